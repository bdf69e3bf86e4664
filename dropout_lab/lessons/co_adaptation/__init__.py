"""Lesson ``co-adaptation``: whether units rely on each other, with dropout and without."""

import math
from collections.abc import Iterator

import torch

from dropout_lab.checks.outcome import at_least
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions, parts
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
from dropout_lab.lessons.training import load_images

STORY_UNITS = 4  # A, B, C, D
AWAKE_LENGTH = 10 * LAZY_FACTOR  # relative to the other units: ten times the initial length


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    count, size = 8, 1_000 if options.quick else 2_000
    seeds = run_seeds(options, count)
    images = load_images(options, train_size=size)
    yield from _show_story(p, options)
    training = PairedTraining(p, seeds, images)
    yield from _test_story(training)
    yield parts.Section("Two hidden layers, trained with and without dropout")
    yield parts.Paragraph(
        f"The network is 784-{HIDDEN_UNITS}-{HIDDEN_UNITS}-10, trained for 20 epochs on {size:,} "
        f"images with {count} seeds. Dropout with p = {p:g} acts on both hidden layers. Runs of "
        "the same seed share the initial weights and the order of the images, so the seeds form "
        "pairs. All following measurements use test images, with dropout off."
    )
    yield parts.Progress(f"training {2 * count} networks")
    trained_units = measure_trained_units(training)
    yield from _show_removed_units(trained_units)
    yield from _show_unit_measures(trained_units)
    yield parts.Plot(
        lambda: draw_figure(
            p,
            trained_units.features,
            trained_units.accuracy,
            trained_units.correlations,
            trained_units.independent_correlation,
        ),
        "learned features, accuracy with units removed, and correlation of units",
    )


def _show_story(p: float, options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the story, and the number of dropped units among four."""
    draws = 2_000 if options.quick else 20_000
    layer = InvertedDropout(p, noise=noise_source(options.seed))
    dropped_units = (~sample_keep_mask(layer, draws, STORY_UNITS)).sum(dim=1)
    p = float(layer.p)
    yield parts.Section("A story of four units")
    yield parts.Paragraph(
        "A layer has four units. The weights of A and B happen to be small; C and D do the "
        "work. A common story says that without dropout, A and B stay lazy. With dropout, C "
        f"and D are sometimes both dropped, here with probability p * p = {p * p:.3g}. Then A "
        "and B must learn. How many of the four units are dropped?"
    )
    yield parts.Formula("P(m of n are dropped) = n! / (m! (n - m)!) * p^m * (1 - p)^(n - m)")
    rows = []
    for m in range(STORY_UNITS + 1):
        probability = binomial_probability(STORY_UNITS, m, p)
        standard_error = math.sqrt(probability * (1 - probability) / draws)
        share = float((dropped_units == m).double().mean())
        rows.append((m, probability, share, (share - probability) / standard_error))
    yield parts.Table(
        f"number of the four units that the layer drops at p = {p:.4g} (n = {draws:,} examples)",
        ("dropped", "probability", "measured share", "measured - probability, in SE"),
        rows,
    )
    mask_count = len(torch.unique(sample_keep_mask(layer, 100, STORY_UNITS), dim=0))
    yield parts.Observation(
        "Any number of units can be dropped, not a fixed number. Each example of each step has "
        f"a new mask: a batch of 100 examples has just met {mask_count} of the {2**STORY_UNITS} "
        "masks."
    )
    yield parts.Misconception(
        "'With p = 0.5, two of four units are dropped in each epoch.' The number is binomial, "
        "and two units are dropped in 3 of 8 cases. A mask lasts for one example of one step, "
        "not for an epoch."
    )
    largest_z_score = max(abs(row[3]) for row in rows)
    description = "is the largest distance of a share from the binomial probability"
    yield parts.Check.within_chance("how many are dropped", largest_z_score, description)


def _test_story(training: PairedTraining) -> Iterator[parts.Part]:
    """Yield the test of the story: units with small weights, with dropout and without."""
    yield parts.Section("A test of the story")
    yield parts.Paragraph(
        f"The network is 784-{LAZY_NETWORK_UNITS}-10. Before training, the weights of half of "
        f"the hidden units are multiplied by {LAZY_FACTOR:g}. This is done for the incoming "
        "weights only, or for all of their weights. After training, how long are the incoming "
        "weights of these units, compared with those of the other units?"
    )
    input_weights_small, all_weights_small = (
        measure_lazy_units(training, all_weights=all_weights) for all_weights in (False, True)
    )
    yield parts.Table(
        "length of the lazy half's incoming weights, divided by that of the other units; about "
        f"{LAZY_FACTOR:g} before training (mean ± SE, n = {len(training.seeds)} seeds)",
        ("reduced weights", *PAIR_COLUMNS),
        [
            ("incoming", *input_weights_small.table_cells()),
            ("all", *all_weights_small.table_cells()),
        ],
    )
    yield parts.Observation(
        "If only the incoming weights are small, the units learn without dropout too. Their "
        f"incoming weights reach {input_weights_small.baseline.mean():.2g} of the others' "
        "length. If all weights of a unit are small, its gradient is small too. The unit then "
        "learns little: the others learn first, and little is left to learn. Such units reach "
        f"{all_weights_small.baseline.mean():.2g} without dropout and "
        f"{all_weights_small.dropout.mean():.2g} with dropout."
    )
    yield parts.Misconception(
        "'Without dropout, units with small weights do not learn, since others do the work.' No "
        "theorem says this, and the first row shows the opposite. A unit learns as fast as its "
        "gradient is large. The story is right if the gradient is small, as in the second row."
    )
    lower_bound = (
        float(input_weights_small.baseline.mean())
        - ERRORS * Difference.between_pairs(input_weights_small.baseline).standard_error
    )
    description = "of the others' length, minus 5 SE, without dropout"
    yield parts.Check("learn without dropout too", at_least(lower_bound, AWAKE_LENGTH, description))
    description = "is the increase of that length by dropout, with all weights reduced"
    yield parts.Check.beyond_chance(
        "dropout helps lazy units", all_weights_small.difference.z_score, description
    )


def _show_removed_units(trained_units: TrainedUnits) -> Iterator[parts.Part]:
    accuracy = trained_units.accuracy
    n = len(accuracy[0].baseline)
    yield parts.Section("Removing units")
    yield parts.Paragraph(
        "A share of the units in each hidden layer is set to 0, at random and in five orders. "
        "The other units are unchanged. If the units of a network rely on each other, its "
        "accuracy collapses."
    )
    yield parts.Table(
        f"test accuracy in % (mean ± SE, n = {n} seeds)",
        ("% removed", *PAIR_COLUMNS),
        [(share, *pair.scale(100).table_cells(digits=1)) for share, pair in accuracy.items()],
    )
    all_units, half_removed = accuracy[0].scale(100), accuracy[50].scale(100)
    yield parts.Observation(
        "With all units present, dropout changes the accuracy by "
        f"{all_units.difference.mean:+.1f} pp. With half of them removed, it changes the "
        f"accuracy by {half_removed.difference.mean:+.1f} pp: the network depends less on any "
        "single unit."
    )
    yield parts.Paragraph(
        "This result proves less than it seems to. Dropout trains a network to work with units "
        "missing. The result shows that the network has learned this, but not that its units "
        "are better."
    )
    description = "is the increase of accuracy by dropout with half of the units removed"
    yield parts.Check.beyond_chance(
        "half the units removed", half_removed.difference.z_score, description
    )


def _show_unit_measures(trained_units: TrainedUnits) -> Iterator[parts.Part]:
    n = len(trained_units.correlations[0].baseline)
    independent_level = trained_units.independent_correlation
    yield parts.Section("Properties of the units")
    yield parts.Formula(
        "mean |correlation| = mean of |r_ij| over the pairs of units i < j\n"
        f"for independent units: sqrt(2 / (pi n)) = {independent_level:.2g} at n = "
        f"{trained_units.examples:,} images\n"
        "share near 0  = share of activations with an absolute value of at most 0.01\n"
        "effective rank = exp(-sum_k s_k log s_k),  s_k = sigma_k / sum_j sigma_j,\n"
        "    sigma_k: singular values of the activations, minus the mean of each unit\n"
        "length spread = SD / mean, over units, of |weights that leave a unit|"
    )
    for layer, measures in enumerate(trained_units.layers, start=1):
        yield parts.Table(
            f"units of hidden layer {layer}, dropout off (mean ± SE, n = {n} seeds)",
            ("measure", *PAIR_COLUMNS),
            [(name, *pair.table_cells()) for name, pair in measures.items()],
        )
    changes = " ".join(
        f"In layer {layer} the correlation {_describe_change(pair)} "
        f"({pair.difference.z_score:+.1f} SE)."
        for layer, pair in enumerate(trained_units.correlations, start=1)
    )
    lowest = min(float(pair.dropout.min()) for pair in trained_units.correlations)
    yield parts.Observation(
        "With dropout, units are less active. They also share the work more evenly: their "
        f"outgoing weights are more similar in length. {changes} Independent units would have a "
        f"mean |correlation| of {independent_level:.2g}. With dropout, the lowest value of any "
        f"layer and seed is {lowest:.3g}."
    )
    yield parts.Misconception(
        "'Dropout makes units independent, or decorrelates them.' Nothing in dropout causes "
        "this. Since a unit may be missing, it is useful to have two copies of it, and copies "
        "are correlated. The effect on the correlation differs between layers and between "
        "trainings. The table on removed units shows what dropout does: the network relies less "
        "on any single unit."
    )
    for name, measure in (
        ("units are less active", "mean activation"),
        ("units share work evenly", LENGTH_SPREAD),
    ):
        smallest_drop = min(-layer[measure].difference.z_score for layer in trained_units.layers)
        description = (
            f"is the reduction of the {measure} by dropout, in the layer with the smallest "
            "reduction"
        )
        yield parts.Check.beyond_chance(name, smallest_drop, description)
    # Of independent units, even a single pair's |r|, with SD sqrt((1 - 2 / pi) / n), stays below.
    pair_bound = independent_level + ERRORS * math.sqrt((1 - 2 / math.pi) / trained_units.examples)
    description = (
        "is the lowest mean |correlation| with dropout; independent units are below the bound"
    )
    yield parts.Check("units remain correlated", at_least(lowest, pair_bound, description))


def _describe_change(pair: PairedRuns) -> str:
    if not pair.difference.is_significant:
        return "does not change significantly"
    return "rises" if pair.difference.mean > 0 else "falls"
