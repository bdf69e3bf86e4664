"""Lesson ``randomness``: how random dropout masks are, and at which p they are most random."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import format_mask, sample_keep_mask
from dropout_lab.lessons.randomness.experiment import (
    BATCH_SIZE,
    BATCHES,
    ENTROPY_UNITS,
    LAYER_SIZES,
    P_GRID,
    UNITS,
    DroppedCounts,
    EntropyEstimate,
    ShownMasks,
    SubNetworkCount,
    count_sub_networks,
    estimate_entropy,
)
from dropout_lab.lessons.randomness.picture import draw_figure

_EXAMPLES = 5
_MASKS_PER_LINE = 4  # masks of ten units in a line of 80 columns
_MASK_KEY, _COUNT_KEY, _ENTROPY_KEY, _GRID_KEY, _BATCH_KEY = range(5)  # one random stream each


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    draws = 200 if options.quick else 1_000
    examples = 20_000 if options.quick else 100_000
    keep_masks = [
        sample_keep_mask(_make_layer(p, options, _MASK_KEY, index), 15, UNITS)
        for index, p in enumerate(options.p)
    ]
    yield from _show_masks(options.p, keep_masks)
    counts = [
        DroppedCounts.measure(_make_layer(p, options, _COUNT_KEY, index), examples)
        for index, p in enumerate(options.p)
    ]
    yield from _show_counts(counts, examples)
    estimates = [
        estimate_entropy(_make_layer(p, options, _ENTROPY_KEY, index), draws)
        for index, p in enumerate(options.p)
    ]
    grid_estimates = [
        estimate_entropy(_make_layer(p, options, _GRID_KEY, index), draws)
        for index, p in enumerate(P_GRID)
    ]
    yield from _show_entropies(estimates, grid_estimates, draws)
    sub_network_counts = [
        count_sub_networks(_make_layer(p, options, _BATCH_KEY, index, units), units)
        for index, p in enumerate(options.p)
        for units in LAYER_SIZES
    ]
    yield from _show_sub_networks(sub_network_counts)
    shown_masks = [
        ShownMasks(p, keep_mask, count.shares)
        for p, keep_mask, count in zip(options.p, keep_masks, counts, strict=True)
    ]
    n = (
        f"{examples:,} examples for the counts; {ENTROPY_UNITS:,} units with {draws:,} draws each "
        f"for the entropy; {BATCHES:,} batches of {BATCH_SIZE} for the sub-networks"
    )
    yield parts.Plot(
        lambda: draw_figure(shown_masks, [*grid_estimates, *estimates], sub_network_counts, n),
        "masks, the number of units they drop, their entropy, and the sub-networks of a batch",
    )


def _make_layer(p: float, options: LessonOptions, *key: int) -> InvertedDropout:
    return InvertedDropout(p, noise=noise_source(options.seed, *key))


def _show_masks(ps: Sequence[float], keep_masks: Sequence[Tensor]) -> Iterator[parts.Part]:
    yield parts.Section("Masks side by side")
    title = f"masks of {UNITS} units: 1 for a kept unit, 0 for a dropped unit"
    for start in range(0, len(ps), _MASKS_PER_LINE):
        line = slice(start, start + _MASKS_PER_LINE)
        rows = [
            (
                f"example {index + 1}",
                *(format_mask(keep_mask[index], "") for keep_mask in keep_masks[line]),
            )
            for index in range(_EXAMPLES)
        ]
        totals = (str(int((~keep_mask[:_EXAMPLES]).sum())) for keep_mask in keep_masks[line])
        rows.append((f"0s of {_EXAMPLES * UNITS}", *totals))
        yield parts.Table(title, ("", *(f"p = {p:g}" for p in ps[line])), rows)
    likeliest = ", ".join(f"{max(p, 1 - p) ** UNITS:.2g} at p = {p:g}" for p in ps)
    yield parts.Observation(
        "The further p is from 0.5, the more similar the masks of the examples are. Below p = "
        "0.5 the most probable mask keeps all units; above 0.5 it drops all units. Its "
        f"probability is max(p, 1 - p)^{UNITS}: {likeliest}."
    )


def _show_counts(counts: Sequence[DroppedCounts], examples: int) -> Iterator[parts.Part]:
    yield parts.Section("How many units are dropped")
    yield parts.Paragraph(
        "Each unit is dropped independently of the others, so the number of dropped units is "
        "binomial:"
    )
    yield parts.Formula(f"mean = k p,  SD = sqrt(k p (1 - p)),  here k = {UNITS}")
    yield parts.Table(
        f"number of dropped units in an example, measured | binomial (n = {examples:,} examples)",
        ("p", "mean", "SD", "range", "share with k p dropped"),
        [
            (
                f"{count.p:.4g}",
                f"{count.mean:.3f} | {UNITS * count.p:.3f}",
                f"{math.sqrt(count.variance):.3f} | {math.sqrt(count.expected_variance):.3f}",
                "{} to {}".format(*torch.where(count.shares > 0)[0][[0, -1]].tolist()),
                f"{float(count.shares[count.nearest_count]):.3f} | {count.expected_share:.3f}",
            )
            for count in counts
        ],
    )
    yield parts.Misconception(
        "'With dropout p, a share p of the units is dropped.' This is true only of the mean "
        "over many examples. The last column shows the share of examples in which exactly k p "
        "units are dropped (k p rounded to a whole number)."
    )
    largest_z_score = max(count.z_score for count in counts)
    description = "is the largest distance of a mean, a variance or a share from the binomial value"
    yield parts.Check.within_chance("the count is binomial", largest_z_score, description)


def _show_entropies(
    estimates: Sequence[EntropyEstimate], grid_estimates: Sequence[EntropyEstimate], draws: int
) -> Iterator[parts.Part]:
    yield parts.Section("The entropy of a unit's mask")
    yield parts.Paragraph(
        "Entropy measures in bits how uncertain the mask of a unit is before it is drawn. The "
        "masks of k units have k times the entropy of one:"
    )
    yield parts.Formula(
        "H(p) = -p log2(p) - (1 - p) log2(1 - p)\n"
        "H(f) : the same formula for f, the share of draws in which a unit was dropped"
    )
    yield parts.Table(
        f"entropy in bits, mean of {ENTROPY_UNITS:,} units, each from {draws:,} draws",
        ("p", "H(f)", "corrected", "standard error", "H(p)", "2^(10 H(p))"),
        [
            (
                f"{estimate.p:.4g}",
                estimate.uncorrected,
                estimate.corrected,
                estimate.standard_error,
                estimate.expected,
                2 ** (10 * estimate.expected),
            )
            for estimate in estimates
        ],
    )
    yield parts.Observation(
        "On average, H(f) is too low by 1 / (2 n ln 2) bits for n draws with two outcomes "
        "(Miller 1955). The column 'corrected' adds this amount, so only chance is left. The "
        "last column: a layer of ten units is as uncertain as a choice among that many equally "
        "probable sub-networks. The layer has 2^10 = 1,024 sub-networks."
    )
    at_half = min(grid_estimates, key=lambda estimate: abs(estimate.p - 0.5))
    runner_up = max(
        (estimate for estimate in grid_estimates if estimate is not at_half),
        key=lambda estimate: estimate.corrected,
    )
    gap_error = math.hypot(at_half.standard_error, runner_up.standard_error)
    gap = (at_half.corrected - runner_up.corrected) / gap_error
    yield parts.Paragraph(
        f"On a grid of p from {P_GRID[0]:g} to {P_GRID[-1]:g}, the entropy is highest at p = 0.5 "
        f"with {at_half.corrected:.4f} bits (standard error {at_half.standard_error:.2g}). The "
        f"next highest is {runner_up.corrected:.4f} bits at p = {runner_up.p:.4g} (standard "
        f"error {runner_up.standard_error:.2g}). A corrected estimate can exceed 1 by chance."
    )
    yield parts.Misconception(
        "'p = 0.5 has the highest entropy, so it is the best p.' The first half is right. But "
        "entropy describes masks, not accuracy. Which p trains best depends on the network, the "
        "data and the layer. Srivastava et al. (2014, section 7.3) found nearly the same test "
        "error from p = 0.2 to 0.6 (their p is our 1 - p: 0.4 to 0.8), and drop inputs with "
        "0.2. Nor does p = 0.5 give the most noise: the variance p / (1 - p) of inverted "
        "dropout keeps rising above 0.5."
    )
    largest_z_score = max(estimate.z_score for estimate in [*estimates, *grid_estimates])
    description = "is the largest distance of an entropy from H(p), at any p"
    yield parts.Check.within_chance("the entropy is H(p)", largest_z_score, description)
    description = "is the difference between the entropy at 0.5 and the next highest of the grid"
    yield parts.Check.beyond_chance("the maximum is at p = 0.5", gap, description)


def _show_sub_networks(counts: Sequence[SubNetworkCount]) -> Iterator[parts.Part]:
    yield parts.Section(f"Sub-networks that a batch of {BATCH_SIZE} sees")
    yield parts.Paragraph(
        "k units have 2^k masks, and each mask is a sub-network. A mask that drops m units has "
        "the probability P = p^m (1 - p)^(k - m). It occurs among n examples with the "
        "probability 1 - (1 - P)^n. So the expected number of different masks in a batch is"
    )
    yield parts.Formula("sum over m of  C(k, m) (1 - (1 - P)^n),  P = p^m (1 - p)^(k - m)")
    yield parts.Table(
        f"different masks in a batch (n = {BATCHES:,} batches)",
        ("p", "units k", "2^k", "mean seen", "standard error", "expected"),
        [
            (
                f"{count.p:.4g}",
                count.units,
                2**count.units,
                count.mean,
                count.standard_error,
                count.expected,
            )
            for count in counts
        ],
        digits=5,
    )
    yield parts.Observation(
        f"A layer of 16 units has 65,536 sub-networks. A batch of {BATCH_SIZE} examples sees at "
        f"most {BATCH_SIZE} of them. A layer of 512 units has 2^512 sub-networks, and no "
        "training sees more than a tiny share of those. The expected number is highest at p = "
        "0.5, where all masks have the same probability."
    )
    lowest_mean, highest_mean = (
        function(count.mean for count in counts) for function in (min, max)
    )
    yield parts.Misconception(
        "'In each epoch, or in each step, some of the units are dropped.' There is no single "
        "mask for all examples. Each example gets its own mask, and a new one each time it is "
        "seen. With one mask for an epoch or for a batch, each row above would have a mean of 1 "
        f"sub-network. The rows have means from {lowest_mean:.3g} to {highest_mean:.3g}."
    )
    largest_z_score = max(count.z_score for count in counts)
    description = "is the largest distance of a mean number of sub-networks from its expected value"
    yield parts.Check.within_chance("sub-networks of a batch", largest_z_score, description)
