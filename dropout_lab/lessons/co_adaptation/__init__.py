"""Lesson ``co-adaptation``: whether units rely on each other, with dropout and without."""

import math
from collections.abc import Iterator

import torch

from dropout_lab.checks.outcome import at_least
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.co_adaptation.experiment import (
    HIDDEN_UNITS,
    LAZY_FACTOR,
    LAZY_NETWORK_UNITS,
    LENGTH_SPREAD,
    PairedTraining,
    TrainedUnits,
    measure_lazy_units,
    measure_trained_units,
)
from dropout_lab.lessons.co_adaptation.picture import draw_figure
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import binomial_probability, sample_keep_mask
from dropout_lab.lessons.paired_differences import PAIR_COLUMNS, Difference, PairedRuns, run_seeds
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Progress,
    Section,
    Table,
)
from dropout_lab.lessons.training import load_images

STORY_UNITS = 4  # A, B, C, D
AWAKE_LENGTH = 10 * LAZY_FACTOR  # relative to the other units: ten times the initial length


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    count, size = 8, 1_000 if options.quick else 2_000
    seeds = run_seeds(options, count)
    images = load_images(options, train_size=size)
    yield from _show_story(p, options)
    training = PairedTraining(p, seeds, images)
    yield from _test_story(training)
    yield Section("Two hidden layers, trained with and without")
    yield Paragraph(
        f"784-{HIDDEN_UNITS}-{HIDDEN_UNITS}-10, {size:,} images, 20 epochs, {count} seeds. "
        f"Dropout with p = {p:g} acts on both hidden layers. The same seed begins with the same "
        "weights and sees the images in the same order, with dropout and without: the seeds are "
        "pairs. All that follows is measured on test images, with dropout off."
    )
    yield Progress(f"training {2 * count} networks")
    trained_units = measure_trained_units(training)
    yield from _show_removed_units(trained_units)
    yield from _show_unit_measures(trained_units)
    yield Plot(
        lambda: draw_figure(
            p,
            trained_units.features,
            trained_units.accuracy,
            trained_units.correlations,
            trained_units.independent_correlation,
        ),
        "what units look for, how many can be removed, and how alike they are",
    )


def _show_story(p: float, options: LessonOptions) -> Iterator[Part]:
    """Yield the story, and the number of dropped units among four."""
    draws = 2_000 if options.quick else 20_000
    layer = InvertedDropout(p, noise=noise_source(options.seed))
    dropped_units = (~sample_keep_mask(layer, draws, STORY_UNITS)).sum(dim=1)
    p = float(layer.p)
    yield Section("A story of four units")
    yield Paragraph(
        "A layer has four units. The weights of A and B happen to be small, C and D do the work. "
        "Without dropout, the story goes, A and B stay lazy. With dropout C and D are both "
        f"dropped at times, here with the chance p * p = {p * p:.3g}, and A and B must learn. How "
        "many of the four are dropped?"
    )
    yield Formula("P(m of n are dropped) = n! / (m! (n - m)!) * p^m * (1 - p)^(n - m)")
    rows = []
    for m in range(STORY_UNITS + 1):
        probability = binomial_probability(STORY_UNITS, m, p)
        standard_error = math.sqrt(probability * (1 - probability) / draws)
        share = float((dropped_units == m).double().mean())
        rows.append((m, probability, share, (share - probability) / standard_error))
    yield Table(
        f"how many of four units the layer drops at p = {p:.4g} (n = {draws:,} examples)",
        ("dropped", "chance", "measured share", "measured - chance, in s.e."),
        rows,
    )
    mask_count = len(torch.unique(sample_keep_mask(layer, 100, STORY_UNITS), dim=0))
    yield Observation(
        "Any number of them, not a fixed one. And each example of each step draws anew: a batch "
        f"of 100 examples has just met {mask_count} of the {2**STORY_UNITS} masks."
    )
    yield Misconception(
        "With p = 0.5, two of four units are dropped at each epoch. The number is binomial, and "
        "two are dropped in 3 of 8 cases. And a mask lasts for one example of one step, not for "
        "an epoch."
    )
    largest_z_score = max(abs(row[3]) for row in rows)
    description = "is how far a share is from the binomial chance"
    yield Check.within_chance("how many are dropped", largest_z_score, description)


def _test_story(training: PairedTraining) -> Iterator[Part]:
    """Yield the test of the story: units with small weights, with dropout and without."""
    yield Section("The story, tried")
    yield Paragraph(
        f"784-{LAZY_NETWORK_UNITS}-10; the weights of half of the hidden units are multiplied by "
        f"{LAZY_FACTOR:g} before training: those that enter them, or those that leave them as "
        "well. After training, how long are the weights that enter them beside those of the "
        "others?"
    )
    input_weights_small, all_weights_small = (
        measure_lazy_units(training, all_weights=all_weights) for all_weights in (False, True)
    )
    yield Table(
        "length of the weights that enter the lazy half, over that of the others; before training "
        f"about {LAZY_FACTOR:g} (mean ± s.e., n = {len(training.seeds)} seeds)",
        ("made small", *PAIR_COLUMNS),
        [
            ("entering", *input_weights_small.table_cells()),
            ("all", *all_weights_small.table_cells()),
        ],
    )
    yield Observation(
        "Without dropout the units wake as well where only the weights that enter them are small: "
        f"they come to {input_weights_small.baseline.mean():.2g} of the others' length. With all "
        "of their weights small their gradient is small too: they learn little, the others learn "
        "first, and little is left to learn. They come to "
        f"{all_weights_small.baseline.mean():.2g}, with dropout to "
        f"{all_weights_small.dropout.mean():.2g}."
    )
    yield Misconception(
        "Without dropout, units with small weights do not learn since others do the work. There is "
        "no theorem of it, and the first row shows the opposite. A unit learns as fast as its "
        "gradient is large; the story is right where that is small, as in the second row."
    )
    lower_bound = (
        float(input_weights_small.baseline.mean())
        - ERRORS * Difference.between_pairs(input_weights_small.baseline).standard_error
    )
    description = "of the others' length, less 5 s.e., without dropout"
    yield Check("they wake without dropout", at_least(lower_bound, AWAKE_LENGTH, description))
    description = "is what dropout adds to that length, where all weights of the units were small"
    yield Check.beyond_chance(
        "and more of them with it", all_weights_small.difference.z_score, description
    )


def _show_removed_units(trained_units: TrainedUnits) -> Iterator[Part]:
    accuracy = trained_units.accuracy
    n = len(accuracy[0].baseline)
    yield Section("Units removed")
    yield Paragraph(
        "A share of the units of each hidden layer is set to 0, drawn at random in five orders; "
        "the others stay as they are. A network whose units rely on each other falls apart."
    )
    yield Table(
        f"test accuracy in per cent (mean ± s.e., n = {n} seeds)",
        ("% removed", *PAIR_COLUMNS),
        [(share, *pair.scale(100).table_cells(digits=1)) for share, pair in accuracy.items()],
    )
    all_units, half_removed = accuracy[0].scale(100), accuracy[50].scale(100)
    yield Observation(
        f"With all units dropout changes the accuracy by {all_units.difference.mean:+.1f} points, "
        f"with half of them by {half_removed.difference.mean:+.1f}: it is less dependent on any "
        "of them."
    )
    yield Paragraph(
        "Be careful with what that proves. To work with units missing is what dropout trains a "
        "network for, so this says that it has learned it, and not yet that its units are better."
    )
    description = "is what dropout adds to the accuracy with half of the units removed"
    yield Check.beyond_chance(
        "half the units removed", half_removed.difference.z_score, description
    )


def _show_unit_measures(trained_units: TrainedUnits) -> Iterator[Part]:
    n = len(trained_units.correlations[0].baseline)
    independent_level = trained_units.independent_correlation
    yield Section("What the units do")
    yield Formula(
        "mean |correlation| = mean of |r_ij| over the pairs of units i < j\n"
        f"of independent units: sqrt(2 / (pi n)) = {independent_level:.2g} at "
        f"n = {trained_units.examples:,} images\n"
        "share near 0  = share of the activations of at most 0.01 in size\n"
        "effective rank = exp(-sum_k s_k log s_k),  s_k = sigma_k / sum_j sigma_j,\n"
        "    sigma_k: singular values of the activations, each unit less its mean\n"
        "length spread = s.d. / mean, over units, of |weights that leave a unit|"
    )
    for layer, measures in enumerate(trained_units.layers, start=1):
        yield Table(
            f"units of hidden layer {layer}, dropout off (mean ± s.e., n = {n} seeds)",
            ("measure", *PAIR_COLUMNS),
            [(name, *pair.table_cells()) for name, pair in measures.items()],
        )
    changes = " ".join(
        f"In layer {layer} it {_describe_change(pair)} ({pair.difference.z_score:+.1f} s.e.)."
        for layer, pair in enumerate(trained_units.correlations, start=1)
    )
    lowest = min(float(pair.dropout.min()) for pair in trained_units.correlations)
    yield Observation(
        "With dropout units are less active, and share the work more evenly: the weights that "
        f"leave them are more alike in length. And their correlation? {changes} Independent units "
        f"would come to {independent_level:.2g}; with dropout the least of any layer and seed is "
        f"{lowest:.3g}."
    )
    yield Misconception(
        "Dropout is said to make units independent, or to decorrelate them. Nothing in it asks for "
        "that: units that may be missing are worth having twice, and copies are correlated. What "
        "it does to the correlation differs from layer to layer and from one training to another. "
        "What holds is the table before: the network relies less on any one unit."
    )
    for name, measure in (
        ("units are less active", "mean activation"),
        ("and share the work evenly", LENGTH_SPREAD),
    ):
        smallest_drop = min(-layer[measure].difference.z_score for layer in trained_units.layers)
        description = f"is how much dropout lowers the {measure}, in the layer where it is least"
        yield Check.beyond_chance(name, smallest_drop, description)
    # Of independent units, even a single pair's |r|, with SD sqrt((1 - 2 / pi) / n), stays below.
    pair_bound = independent_level + ERRORS * math.sqrt((1 - 2 / math.pi) / trained_units.examples)
    description = (
        "is the lowest mean |correlation| with dropout; independent units are below the bound"
    )
    yield Check("but remain correlated", at_least(lowest, pair_bound, description))


def _describe_change(pair: PairedRuns) -> str:
    if not pair.difference.is_significant:
        return "changes by nothing that these seeds can tell"
    return "rises" if pair.difference.mean > 0 else "falls"
