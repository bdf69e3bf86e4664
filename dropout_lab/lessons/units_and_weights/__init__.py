"""Lesson ``units-and-weights``: dropout and DropConnect on a 2 x 3 matrix."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import none_of, within
from dropout_lab.layers import DropConnect, InvertedDropout, UnscaledDropout
from dropout_lab.layers.base import Mask
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Section,
    Table,
)
from dropout_lab.lessons.units_and_weights.experiment import (
    BIAS,
    DROPPED_PARTS,
    ONES,
    WEIGHT,
    BatchVariances,
    NoisyOutputs,
    drop_units,
    drop_weights,
    dropout_odds,
    measure_batch_means,
    sample_matrices,
)
from dropout_lab.lessons.units_and_weights.picture import draw_figure

_WAN_NETWORK = (784, 800, 800, 10)  # the network of Wan et al. 2013 for MNIST
_BATCH_SIZE = 32
_MASK_KINDS: dict[Mask, str] = {"element": "example", "batch": "batch"}
_DROPOUT_RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
_ENTRIES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    draws = 20_000 if options.quick else 100_000
    yield Section("A layer with 2 inputs and 3 outputs")
    yield Formula(
        "W = 1 2 3      z_j = sum_i x_i w_ij      x = (1, 1) makes z = (5, 7, 9)\n    4 5 6"
    )
    yield Paragraph(
        "A row holds what leaves an input unit, a column what enters an output unit. To drop a "
        "unit before the map is to drop its row, to drop it after the map its column. DropConnect "
        "tosses a coin for each weight instead."
    )
    matrices = {name: sample_matrices(name, p, draws, options.seed) for name in DROPPED_PARTS}
    yield from _show_three_draws(p, matrices)
    yield from _check_independence(matrices)
    yield from _count_sub_networks(matrices)
    batches = draws // 5  # each batch has many draws
    batch_variances = {
        mask: measure_batch_means(mask, p, batches, options.seed) for mask in _MASK_KINDS
    }
    yield from _compare_mask_kinds(p, batches, options.seed, batch_variances)
    yield from _compare_scalings(draws, options.seed)
    noisy_outputs = {
        "units": drop_units(p, draws, options.seed),
        "weights": drop_weights(p, draws, options.seed),
    }
    yield from _show_output_noise(p, noisy_outputs)
    yield from _show_biases(p, draws, options.seed)
    yield Plot(
        lambda: draw_figure(p, matrices, noisy_outputs, batch_variances, batches),
        "what is dropped of the matrix, what the outputs become, and the noise of a batch",
    )


def _show_three_draws(p: float, matrices_by_part: dict[str, Tensor]) -> Iterator[Part]:
    q = 1 / (1 + dropout_odds(p))
    yield Section(f"What is left of W, in three draws at p = {p:g}")
    yield Table(
        "its two rows, before the division by 1 - p; 0: dropped",
        ("dropped", *(f"draw {index + 1}" for index in range(3))),
        [
            (
                DROPPED_PARTS[name],
                *(" | ".join(_format_row(q * row) for row in matrix) for matrix in matrices[:3]),
            )
            for name, matrices in matrices_by_part.items()
        ],
    )
    yield Observation("Units take whole rows or whole columns with them; weights go one by one.")


def _format_row(row: Tensor) -> str:
    return " ".join(f"{value:.3g}" for value in row.tolist())


def _check_independence(matrices: dict[str, Tensor]) -> Iterator[Part]:
    """Check that units are dropped as rows or columns, and weights independently."""
    partly_dropped = 0
    for name, axis in (("inputs", 2), ("outputs", 1)):
        keep_mask = matrices[name] != 0
        partly_dropped += int((keep_mask.any(dim=axis) != keep_mask.all(dim=axis)).sum())
    yield Check(
        "units are dropped whole", none_of(partly_dropped, "rows or columns are dropped in part")
    )
    keep_mask = (matrices["weights"] != 0).double().flatten(1)
    correlations = torch.corrcoef(keep_mask.T)
    largest = float(correlations.triu(diagonal=1).abs().max()) * math.sqrt(len(keep_mask))
    description = "is the largest correlation of two weights' coins, in 1 / sqrt(n)"
    yield Check.within_chance("weights one by one", largest, description)


def _count_sub_networks(matrices: dict[str, Tensor]) -> Iterator[Part]:
    coins = {"inputs": 2, "outputs": 3, "weights": 6}
    hidden_units = sum(_WAN_NETWORK[1:-1])
    weights = sum(a * b for a, b in itertools.pairwise(_WAN_NETWORK))
    draws = len(matrices["inputs"])
    yield Section("How many sub-networks")
    yield Formula(
        "2^units for dropout, 2^weights for DropConnect; with a mask for each of B\n"
        "examples, one step is one of (2^units)^B or (2^weights)^B"
    )
    yield Table(
        f"this layer, and how many were seen in n = {draws:,} draws",
        ("dropped", "coins", "sub-networks", "seen"),
        [
            (
                DROPPED_PARTS[name],
                count,
                2**count,
                len((matrices[name] != 0).flatten(1).unique(dim=0)),
            )
            for name, count in coins.items()
        ],
    )
    yield Table(
        "784-800-800-10, of Wan et al. 2013, without the biases: coins tossed in a step, "
        f"with {_BATCH_SIZE} examples in a batch",
        ("dropped", "one mask a batch", "one an example", "sub-networks of a mask"),
        [
            (name, count, _BATCH_SIZE * count, f"2^{count:,} = 10^{count * math.log10(2):,.0f}")
            for name, count in (("hidden units", hidden_units), ("weights", weights))
        ],
    )
    yield Observation(
        "The further p is from 0.5, the more of the draws are the same few. "
        "Both numbers of the larger network are beyond any count of steps: no training meets more "
        "than a vanishing share of either. So the larger one is no argument for DropConnect by "
        "itself. That its coins are independent makes a difference; see the noise below."
    )


def _compare_mask_kinds(
    p: float, batches: int, seed: int, batch_variances: BatchVariances
) -> Iterator[Part]:
    rows = []
    for name, layer in (("units", InvertedDropout), ("weights", DropConnect)):
        for mask, mask_name in _MASK_KINDS.items():
            inputs = ONES.expand(3, 2)
            outputs = layer(p, mask=mask, noise=noise_source(seed, 20)).connect(
                inputs, WEIGHT, None
            )
            rows.append(
                (name, mask_name, *(_format_row(row / (1 + dropout_odds(p))) for row in outputs))
            )
    yield Section("One mask for a batch, or one for each example")
    yield Table(
        "z, before the division by 1 - p, for three times the same example (1, 1)",
        ("dropped", "mask for each", *(f"example {index + 1}" for index in range(3))),
        rows,
    )
    yield Observation(
        "With one mask for the batch the three are the same: the batch has met one sub-network."
    )
    per_example = batch_variances["element"][_BATCH_SIZE]
    per_batch = batch_variances["batch"][_BATCH_SIZE]
    yield Table(
        f"variance of the mean of z_1 over a batch of {_BATCH_SIZE}, units dropped, "
        f"n = {batches:,} batches",
        ("mask for each", "should be", "measured", "standard error"),
        [
            (mask_name, variance.expected, variance.measured, variance.standard_error)
            for mask_name, variance in (("example", per_example), ("batch", per_batch))
        ],
    )
    yield Observation(
        f"Masks of their own average out within a batch: {_BATCH_SIZE} times less noise in the "
        "mean, and so in a gradient, which is a mean over the batch too."
    )
    yield Misconception(
        "A layer written from scratch often thresholds one uniform vector, as long as a row, and "
        "multiplies the whole batch by it. That is one mask for the batch. Srivastava et al. 2014 "
        "and Wan et al. 2013 draw one for each example."
    )
    description = "is the variance of the batch's mean"
    yield Check(
        "of examples: over B",
        within(per_example.measured, per_example.expected, per_example.standard_error, description),
    )
    yield Check(
        "of a batch: as of one",
        within(per_batch.measured, per_batch.expected, per_batch.standard_error, description),
    )


def _compare_scalings(draws: int, seed: int) -> Iterator[Part]:
    rows: list[tuple[str, float, float, float, float]] = []
    largest_z_score = 0.0
    for index, p in enumerate(_DROPOUT_RATES):
        layer = UnscaledDropout(
            p, noise=noise_source(seed, 40, index)
        )  # each row has its own draws
        outputs = layer(torch.ones(draws)).double()
        mean, q = float(outputs.mean()), 1 - float(layer.p)
        eval_value = float(layer.eval()(torch.ones(1)))
        rows.append(
            (f"{p:g}", mean, eval_value * q / mean, eval_value / mean, eval_value / q / mean)
        )
        largest_z_score = max(
            largest_z_score, abs(mean / (eval_value * q) - 1) / math.sqrt(dropout_odds(p) / draws)
        )
    yield Section("Which way to scale")
    yield Paragraph(
        "Where nothing is divided in training, evaluation has to make up for it. A unit of value 1:"
    )
    yield Table(
        f"evaluation over the mean of training, n = {draws:,}",
        ("p", "mean of training", "times 1 - p", "as it is", "over 1 - p"),
        rows,
    )
    yield Observation(
        "Only times 1 - p makes them equal. As it is, evaluation is 1 / (1 - p) times too "
        "large; divided, 1 / (1 - p)^2 times."
    )
    yield Misconception(
        "'Some units are trained more often than others, so in evaluation the weights are scaled "
        "by 1 / (1 - p).' The direction is wrong, and so is the reason: nothing is averaged by how "
        "often a unit was trained. The next layer learned with sums of which a share p was missing "
        "on the mean; in evaluation nothing is missing, and they have to shrink."
    )
    description = "is how far off it is, at any p"
    yield Check.within_chance("times 1 - p, not over it", largest_z_score, description)


def _show_output_noise(p: float, noisy_outputs: dict[str, NoisyOutputs]) -> Iterator[Part]:
    draws = len(noisy_outputs["units"].outputs)
    yield Section("The noise of the outputs")
    yield Formula(
        "both:          Var z_j        = p / (1 - p) sum_i (x_i w_ij)^2\n"
        "dropout:       Cov(z_j, z_k)  = p / (1 - p) sum_i x_i^2 w_ij w_ik\n"
        "DropConnect:   Cov(z_j, z_k)  = 0"
    )
    entries = ("Var z_1", "Var z_2", "Var z_3", "Cov(z_1, z_2)", "Cov(z_1, z_3)", "Cov(z_2, z_3)")
    rows = []
    for index, name in zip(_ENTRIES, entries, strict=True):
        cells = [name]
        for outputs in noisy_outputs.values():
            cells += [
                f"{outputs.expected_covariances[index]:.4g}",
                f"{outputs.covariances[index]:.4g} ± {outputs.standard_error[index]:.2g}",
            ]
        rows.append(cells)
    yield Table(
        f"closed form, and measured ± standard error; x = (1, 1), p = {p:g}, n = {draws:,} masks",
        ("", "dropout", "measured", "DropConnect", "measured"),
        rows,
    )
    sum_variances = {
        name: float(outputs.covariances.sum()) for name, outputs in noisy_outputs.items()
    }
    yield Observation(
        "Each output has as much noise under both. But a dropped unit is missing from all outputs "
        "at once: under dropout they err together, with a correlation of "
        f"{_format_correlation(noisy_outputs['units'], 0, 1)} between the first two; under "
        f"DropConnect of {_format_correlation(noisy_outputs['weights'], 0, 1)}, by chance. Their "
        f"sum has a variance of {sum_variances['units']:.4g} under dropout and of "
        f"{sum_variances['weights']:.4g} under DropConnect."
    )
    yield Misconception(
        "'Dropout multiplies each weight w_ij by a coin e_ij of its own.' The mean, (1 - p) w_ij, "
        "is right of both. But a coin for each weight is DropConnect; under dropout all weights "
        "that leave a unit share one coin, and so the outputs share their noise."
    )
    description = "is how far a variance or covariance is from the closed form"
    names = {"units": "dropout: they err as one", "weights": "DropConnect: one by one"}
    for name, outputs in noisy_outputs.items():
        yield Check.within_chance(names[name], outputs.largest_z_score, description)


def _format_correlation(outputs: NoisyOutputs, first: int, second: int) -> str:
    covariances = outputs.covariances
    correlation = float(
        covariances[first, second]
        / (covariances[first, first] * covariances[second, second]).sqrt()
    )
    return f"{round(correlation, 3) + 0.0:.3f}"  # + 0.0 turns -0.0 into 0.0


def _show_biases(p: float, draws: int, seed: int) -> Iterator[Part]:
    unbiased, biased = drop_weights(p, 1, seed), drop_weights(p, draws, seed, BIAS)
    yield Section("And the biases")
    yield Paragraph(
        "DropConnect as published masks the biases too, and so does this layer; dropout leaves "
        "them alone. With biases of 1:"
    )
    matrices = (
        unbiased.expected_covariances,
        biased.expected_covariances,
        biased.covariances,
        biased.standard_error,
    )
    yield Table(
        f"DropConnect, variance of the outputs, n = {draws:,} masks",
        ("", "weights only", "with biases", "measured", "standard error"),
        [(f"Var z_{j + 1}", *(float(matrix[j, j]) for matrix in matrices)) for j in range(3)],
    )
    yield Observation(f"Each gains p / (1 - p) b^2 = {dropout_odds(p):.4g}.")
    description = "is how far a variance or covariance is off"
    yield Check.within_chance("biases are dropped too", biased.largest_z_score, description)
