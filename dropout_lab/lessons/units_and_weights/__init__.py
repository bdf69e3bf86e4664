"""Lesson ``units-and-weights``: dropout and DropConnect on a 2 x 3 matrix."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import none_of, within
from dropout_lab.layers import DropConnect, InvertedDropout, UnscaledDropout
from dropout_lab.layers.base import Mask
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import noise_source
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


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    draws = 20_000 if options.quick else 100_000
    yield parts.Section("A layer with 2 inputs and 3 outputs")
    yield parts.Formula(
        "W = 1 2 3      z_j = sum_i x_i w_ij      x = (1, 1) gives z = (5, 7, 9)\n    4 5 6"
    )
    yield parts.Paragraph(
        "A row of W holds the weights that leave an input unit. A column holds the weights that "
        "enter an output unit. Dropping an input unit removes its row; dropping an output unit "
        "removes its column. DropConnect drops each weight independently instead."
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
    yield parts.Plot(
        lambda: draw_figure(p, matrices, noisy_outputs, batch_variances, batches),
        "the dropped parts of the matrix, the outputs, and the noise of a batch",
    )


def _show_three_draws(p: float, matrices_by_part: dict[str, Tensor]) -> Iterator[parts.Part]:
    q = 1 / (1 + dropout_odds(p))
    yield parts.Section(f"The matrix W in three draws at p = {p:g}")
    yield parts.Table(
        "the two rows of W before the division by 1 - p; 0: dropped",
        ("dropped", *(f"draw {index + 1}" for index in range(3))),
        [
            (
                DROPPED_PARTS[name],
                *(" | ".join(_format_row(q * row) for row in matrix) for matrix in matrices[:3]),
            )
            for name, matrices in matrices_by_part.items()
        ],
    )
    yield parts.Observation(
        "Dropping a unit removes a full row or column. Dropping weights removes single numbers."
    )


def _format_row(row: Tensor) -> str:
    return " ".join(f"{value:.3g}" for value in row.tolist())


def _check_independence(matrices: dict[str, Tensor]) -> Iterator[parts.Part]:
    """Check that units are dropped as rows or columns, and weights independently."""
    partly_dropped = 0
    for name, axis in (("inputs", 2), ("outputs", 1)):
        keep_mask = matrices[name] != 0
        partly_dropped += int((keep_mask.any(dim=axis) != keep_mask.all(dim=axis)).sum())
    yield parts.Check(
        "units: full rows, columns",
        none_of(partly_dropped, "rows or columns are only partly dropped"),
    )
    keep_mask = (matrices["weights"] != 0).double().flatten(1)
    correlations = torch.corrcoef(keep_mask.T)
    largest = float(correlations.triu(diagonal=1).abs().max()) * math.sqrt(len(keep_mask))
    description = "is the largest correlation between the masks of two weights, in 1 / sqrt(n)"
    yield parts.Check.within_chance("weights: independent", largest, description)


def _count_sub_networks(matrices: dict[str, Tensor]) -> Iterator[parts.Part]:
    coins = {"inputs": 2, "outputs": 3, "weights": 6}
    hidden_units = sum(_WAN_NETWORK[1:-1])
    weights = sum(a * b for a, b in itertools.pairwise(_WAN_NETWORK))
    draws = len(matrices["inputs"])
    yield parts.Section("The number of sub-networks")
    yield parts.Formula(
        "2^units for dropout, 2^weights for DropConnect; with a mask for each of B\n"
        "examples, a step has (2^units)^B or (2^weights)^B possibilities"
    )
    yield parts.Table(
        f"sub-networks of this layer, and how many were seen in n = {draws:,} draws",
        ("dropped", "random bits", "sub-networks", "seen"),
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
    yield parts.Table(
        "network 784-800-800-10 of Wan et al. 2013, without the biases: random bits in a step, "
        f"with {_BATCH_SIZE} examples in a batch",
        ("dropped", "one mask per batch", "one mask per example", "sub-networks per mask"),
        [
            (name, count, _BATCH_SIZE * count, f"2^{count:,} = 10^{count * math.log10(2):,.0f}")
            for name, count in (("hidden units", hidden_units), ("weights", weights))
        ],
    )
    yield parts.Observation(
        "The further p is from 0.5, the more often the same few sub-networks are drawn. Both "
        "numbers for the larger network exceed any possible number of steps: training meets "
        "only a tiny share of the sub-networks. So the larger number alone is no argument for "
        "DropConnect. The independence of its masks does make a difference, as the section on "
        "noise shows."
    )


def _compare_mask_kinds(
    p: float, batches: int, seed: int, batch_variances: BatchVariances
) -> Iterator[parts.Part]:
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
    yield parts.Section("One mask per batch or one mask per example")
    yield parts.Table(
        "z before the division by 1 - p, for three copies of the example (1, 1)",
        ("dropped", "one mask per", *(f"example {index + 1}" for index in range(3))),
        rows,
    )
    yield parts.Observation(
        "With one mask per batch, the three rows are equal: the batch has met one sub-network."
    )
    per_example = batch_variances["element"][_BATCH_SIZE]
    per_batch = batch_variances["batch"][_BATCH_SIZE]
    yield parts.Table(
        f"variance of the mean of z_1 over a batch of {_BATCH_SIZE} with dropped units (n = "
        f"{batches:,} batches)",
        ("one mask per", "expected", "measured", "standard error"),
        [
            (mask_name, variance.expected, variance.measured, variance.standard_error)
            for mask_name, variance in (("example", per_example), ("batch", per_batch))
        ],
    )
    yield parts.Observation(
        "If each example has its own mask, the noise averages out within a batch. The variance "
        f"of the mean is {_BATCH_SIZE} times smaller. The same holds for a gradient, which is "
        "also a mean over the batch."
    )
    yield parts.Misconception(
        "Many layers written from scratch compare one vector of uniform numbers, as long as a "
        "row, with the rate, and multiply the complete batch by the result. This gives one mask "
        "per batch. Srivastava et al. 2014 and Wan et al. 2013 draw one mask per example."
    )
    description = "is the variance of the batch's mean"
    yield parts.Check(
        "mask per example",
        within(per_example.measured, per_example.expected, per_example.standard_error, description),
    )
    yield parts.Check(
        "mask per batch",
        within(per_batch.measured, per_batch.expected, per_batch.standard_error, description),
    )


def _compare_scalings(draws: int, seed: int) -> Iterator[parts.Part]:
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
    yield parts.Section("Multiply or divide by 1 - p in evaluation?")
    yield parts.Paragraph(
        "If training does not divide by 1 - p, evaluation must compensate. The table shows a "
        "unit of value 1:"
    )
    yield parts.Table(
        f"value in evaluation over the mean in training, n = {draws:,}; evaluation is",
        ("p", "mean in training", "times 1 - p", "unchanged", "divided by 1 - p"),
        rows,
    )
    yield parts.Observation(
        "Only the factor 1 - p makes evaluation equal to the mean in training. Without a "
        "factor, evaluation is 1 / (1 - p) times too large. Divided by 1 - p, it is 1 / (1 - "
        "p)^2 times too large."
    )
    yield parts.Misconception(
        "'Some units are trained more often than others, so in evaluation the weights are "
        "scaled by 1 / (1 - p).' The direction is wrong, and so is the reason: no average "
        "depends on how often a unit was trained. In training, a share p of each sum is missing "
        "on average, and the next layer learns with these smaller sums. In evaluation nothing "
        "is missing, so the sums must shrink."
    )
    description = "is the largest deviation from 1, at any p"
    yield parts.Check.within_chance("times 1 - p, not over it", largest_z_score, description)


def _show_output_noise(p: float, noisy_outputs: dict[str, NoisyOutputs]) -> Iterator[parts.Part]:
    draws = len(noisy_outputs["units"].outputs)
    yield parts.Section("The noise of the outputs")
    yield parts.Formula(
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
    yield parts.Table(
        f"closed form, and measured ± standard error; x = (1, 1), p = {p:g}, n = {draws:,} masks",
        ("", "dropout", "measured", "DropConnect", "measured"),
        rows,
    )
    sum_variances = {
        name: float(outputs.covariances.sum()) for name, outputs in noisy_outputs.items()
    }
    yield parts.Observation(
        "Each output has the same noise variance under both. But a dropped unit is missing from "
        "all outputs at once, so under dropout the errors of the outputs are correlated. The "
        "first two outputs have a correlation of "
        f"{_format_correlation(noisy_outputs['units'], 0, 1)} under dropout, and of "
        f"{_format_correlation(noisy_outputs['weights'], 0, 1)} by chance under DropConnect. The "
        f"sum of the three outputs has a variance of {sum_variances['units']:.4g} under dropout "
        f"and of {sum_variances['weights']:.4g} under DropConnect."
    )
    yield parts.Misconception(
        "'Dropout multiplies each weight w_ij by its own random bit e_ij.' The mean, (1 - p) "
        "w_ij, is right for both methods. But a bit for each weight is DropConnect. Under "
        "dropout, all weights that leave a unit share one bit, so the outputs share their noise."
    )
    description = "is the largest distance of a variance or covariance from the closed form"
    names = {"units": "dropout: shared noise", "weights": "DropConnect: own noise"}
    for name, outputs in noisy_outputs.items():
        yield parts.Check.within_chance(names[name], outputs.largest_z_score, description)


def _format_correlation(outputs: NoisyOutputs, first: int, second: int) -> str:
    covariances = outputs.covariances
    correlation = float(
        covariances[first, second]
        / (covariances[first, first] * covariances[second, second]).sqrt()
    )
    return f"{round(correlation, 3) + 0.0:.3f}"  # + 0.0 turns -0.0 into 0.0


def _show_biases(p: float, draws: int, seed: int) -> Iterator[parts.Part]:
    unbiased, biased = drop_weights(p, 1, seed), drop_weights(p, draws, seed, BIAS)
    yield parts.Section("The biases")
    yield parts.Paragraph(
        "Published DropConnect masks the biases too, and so does this layer. Dropout never "
        "masks them. The table has biases of 1:"
    )
    matrices = (
        unbiased.expected_covariances,
        biased.expected_covariances,
        biased.covariances,
        biased.standard_error,
    )
    yield parts.Table(
        f"DropConnect, variance of the outputs, n = {draws:,} masks",
        ("", "weights only", "with biases", "measured", "standard error"),
        [(f"Var z_{j + 1}", *(float(matrix[j, j]) for matrix in matrices)) for j in range(3)],
    )
    yield parts.Observation(
        f"The biases add p / (1 - p) b^2 = {dropout_odds(p):.4g} to each variance."
    )
    description = "is the largest distance of a variance or covariance from the closed form"
    yield parts.Check.within_chance("biases are dropped too", biased.largest_z_score, description)
