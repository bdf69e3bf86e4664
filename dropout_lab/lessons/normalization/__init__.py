"""Lesson ``normalization``: what batch normalization and dropout do to each other."""

import math
from collections.abc import Generator, Iterator

from dropout_lab.checks.outcome import at_most, within
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.normalization.experiment import (
    BATCH,
    EXAMPLES,
    HIDDEN_UNITS,
    INPUTS,
    OUTPUTS,
    PLACES,
    STEPS,
    BatchNoise,
    LinearLayer,
    Measured,
    TrainedShift,
    make_layer,
    measure_batch_noise,
    measure_shift,
    running_shift,
    train_and_measure,
)
from dropout_lab.lessons.normalization.picture import draw_figure
from dropout_lab.lessons.paired_differences import Difference, run_seeds
from dropout_lab.lessons.training import load_images

_RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_SEEDS = 6
_ROUNDING = 1e-12  # relative, of a sum over 51,200 terms in float64
_NAMES = {0: "nowhere", 1: "after layer 1", 2: "after layer 2"}


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    p = float(InvertedDropout(p).p)  # the layer rounds p to a multiple of 1/65,536
    layer = make_layer(options.seed)
    yield from _show_closed_form(layer, p)
    shifts = yield from _show_shift(layer, options)
    yield from _show_running_statistics(layer, p, options)
    trained = yield from _show_places(p, options)
    yield from _show_correction(trained)
    noise = yield from _show_batch_noise(layer, options)
    yield parts.Plot(
        lambda: draw_figure(layer, shifts, trained, noise),
        "the variance shift over p, that of trained networks, and the noise of a batch",
    )


def _show_closed_form(layer: LinearLayer, p: float) -> Iterator[parts.Part]:
    yield parts.Section("The variance before a normalization, dropout on and off")
    yield parts.Paragraph(
        "Batch normalization divides a unit by its standard deviation over the batch. In "
        "training, the deviation is that of the batch, dropout on. In evaluation, it is a "
        "running mean over the training batches, but dropout is off. Inverted dropout keeps the "
        "mean of a unit and adds variance. For z = sum of w_i h_i m_i / (1 - p), with masks m:"
    )
    yield parts.Formula(
        "Var[z], on  = Var[z], off + p / (1 - p) * sum over i of w_i^2 E[h_i^2]\n"
        "shift       = mean Var[z], on / mean Var[z], off"
    )
    enumerated, closed, off = (
        layer.enumerated_variance(p),
        layer.variance_on(p),
        layer.variance_off,
    )
    yield parts.Table(
        f"variance of {OUTPUTS} units over {EXAMPLES} examples at p = {p:.4g}; {INPUTS} inputs "
        "after ReLU",
        ("unit", "dropout off", "on: formula", f"on: all {2**INPUTS} masks"),
        [
            (f"{index + 1}", *map(float, row))
            for index, row in enumerate(zip(off, closed, enumerated, strict=True))
        ],
    )
    yield parts.Observation(
        f"The last two columns are equal. At this p, the mean variance in training is "
        f"{layer.shift(p):.3g} times that in evaluation. Li et al. call the ratio of the two the "
        "variance shift."
    )
    error = float(((enumerated - closed) / closed).abs().max())
    description = "is the largest relative difference between the formula and the sum over masks"
    yield parts.Check("the variance by formula", at_most(error, _ROUNDING, description))


def _show_shift(
    layer: LinearLayer, options: LessonOptions
) -> Generator[parts.Part, None, list[Measured]]:
    repetitions = 200 if options.quick else 1_000
    found = [measure_shift(layer, p, repetitions, options.seed) for p in _RATES]
    rates = [float(InvertedDropout(p).p) for p in _RATES]
    yield parts.Section("Measured with the dropout layer")
    yield parts.Table(
        f"variance with dropout on over that with dropout off (n = {repetitions:,} repetitions)",
        ("p", "formula", "measured", "standard error", "difference, in SE"),
        [
            (
                nominal,
                layer.shift(p),
                measured.mean,
                measured.standard_error,
                (measured.mean - layer.shift(p)) / measured.standard_error,
            )
            for nominal, p, measured in zip(_RATES, rates, found, strict=True)
        ],
    )
    largest = max(each.z_score(layer.shift(p)) for p, each in zip(rates, found, strict=True))
    description = "is the largest distance of a measured shift from the formula, at any p"
    yield parts.Check.within_chance("the shift, measured", largest, description)
    return found


def _show_running_statistics(
    layer: LinearLayer, p: float, options: LessonOptions
) -> Iterator[parts.Part]:
    repetitions = 100 if options.quick else 400
    running = running_shift(layer, p, repetitions, options.seed)
    expected = layer.shift(p)
    yield parts.Section("The running statistics learn the variance of training")
    yield parts.Paragraph(
        f"A batch normalization sees {STEPS} batches of {BATCH} examples with dropout on. Then "
        "dropout is switched off. The normalization divides by the square root of its running "
        "variance, so the variance of its output is 1 / shift instead of 1."
    )
    yield parts.Table(
        f"the normalization at p = {p:.4g} (n = {repetitions} normalizations)",
        ("", "measured", "standard error", "formula"),
        [
            (
                "running variance / variance, dropout off",
                running.mean,
                running.standard_error,
                expected,
            ),
            (
                "SD of the output, dropout off",
                1 / math.sqrt(running.mean),
                running.standard_error / (2 * running.mean**1.5),
                1 / math.sqrt(expected),
            ),
        ],
    )
    yield parts.Observation(
        f"In evaluation, the units after the normalization have {1 / math.sqrt(expected):.0%} of "
        "the spread that the next layer was trained with."
    )
    yield parts.Check(
        "the running variance",
        within(running.mean, expected, running.standard_error, "is the mean running variance"),
    )


def _show_places(
    p: float, options: LessonOptions
) -> Generator[parts.Part, None, list[TrainedShift]]:
    size, epochs = (500, 8) if options.quick else (1_000, 10)
    images = load_images(options, train_size=size)
    seeds = run_seeds(options, _SEEDS)
    yield parts.Section("Trained networks: dropout before and after the last normalization")
    yield parts.Paragraph(
        f"The network is 784-{HIDDEN_UNITS}-{HIDDEN_UNITS}-10 with batch normalization before "
        f"both activations, trained for {epochs} epochs on {size:,} images with {_SEEDS} seeds. "
        "Dropout is after the first hidden layer, where the second normalization follows, or "
        "after the second hidden layer, where only the output layer follows."
    )
    yield parts.Progress(f"training {_SEEDS * len(PLACES)} networks")
    trained = [train_and_measure(p, place, epochs, seeds, images) for place in PLACES]
    yield parts.Table(
        f"the input of the second normalization on 1,000 test images, p = {p:.4g}; both "
        f"normalizations with their running statistics (n = {_SEEDS} seeds)",
        ("dropout", "shift: formula", "measured / formula", "largest difference on - off"),
        [
            (
                _NAMES[each.place],
                float(each.closed_form.mean()),
                f"{each.ratio.mean:.4f} ± {each.ratio.standard_error:.4f}",
                each.largest_difference,
            )
            for each in trained
        ],
    )
    yield parts.Observation(
        "Dropout after the last normalization changes no input of any normalization: the largest "
        "difference is exactly 0. So its running statistics are right in evaluation."
    )
    _, before, after = trained
    yield parts.Check(
        "the shift of networks",
        within(before.ratio.mean, 1.0, before.ratio.standard_error, "is measured over formula"),
    )
    yield parts.Check(
        "no shift after the last",
        at_most(after.largest_difference, 0.0, "is the largest change of a normalization's input"),
    )
    return trained


def _show_correction(trained: list[TrainedShift]) -> Iterator[parts.Part]:
    changes = [Difference.between_pairs(each.corrected_loss, each.loss) for each in trained]
    spreads = [Difference.between_pairs(each.spread) for each in trained]
    yield parts.Section("What the shift costs, and how to correct it")
    yield parts.Paragraph(
        "With the right statistics, the units after a normalization have variance 1. The running "
        "statistics can be replaced by those of the training images with dropout off. The weights "
        "stay as they are."
    )
    yield parts.Table(
        "variance of the units after the second normalization, dropout off; and test loss in "
        f"nats (n = {_SEEDS} seeds, mean ± SE)",
        ("dropout", "variance as trained", "loss as trained", "loss corrected", "difference"),
        [
            (
                _NAMES[each.place],
                spread.format(sign=False),
                Difference.between_pairs(each.loss).format(sign=False),
                Difference.between_pairs(each.corrected_loss).format(sign=False),
                change.format(),
            )
            for each, spread, change in zip(trained, spreads, changes, strict=True)
        ],
    )
    yield parts.Observation(
        "Where dropout is before the normalization, the correction changes the test loss by "
        f"{changes[1].format()} nats; where it is after, by {changes[2].format()}. A corrected "
        "network is not always better. With too little variance, its predictions are less "
        "confident, and this may lower the loss of a network that overfits."
    )
    yield parts.Misconception(
        "'Never use dropout with batch normalization.' The variance shift needs a normalization "
        "after the dropout. Dropout after the last normalization has none. 'Batch normalization "
        "replaces dropout' is another question; the study normalization measures it."
    )
    missing = Difference.between_pairs(1 - trained[1].spread)
    description = "is 1 minus the variance of the units, with dropout before the normalization"
    yield parts.Check.beyond_chance("too little variance", missing.z_score, description)


def _show_batch_noise(
    layer: LinearLayer, options: LessonOptions
) -> Generator[parts.Part, None, list[BatchNoise]]:
    batches = 1_000 if options.quick else 10_000
    noise = measure_batch_noise(layer, batches, options.seed)
    yield parts.Section("Batch normalization has noise of its own")
    yield parts.Paragraph(
        "The mean that is subtracted from an example depends on the other examples of its batch. "
        f"For batches of B examples, drawn without replacement from N = {EXAMPLES}:"
    )
    yield parts.Formula("Var[batch mean] / Var[z] = (N - B) / (B (N - 1)),  about 1 / B")
    yield parts.Table(
        f"variance of the batch mean over that of the unit, no dropout (n = {batches:,} batches)",
        ("B", "formula", "measured", "standard error", "difference, in SE"),
        [
            (
                each.size,
                each.expected,
                each.measured.mean,
                each.measured.standard_error,
                (each.measured.mean - each.expected) / each.measured.standard_error,
            )
            for each in noise
        ],
    )
    yield parts.Observation(
        "Small batches are noisy, so batch normalization regularizes, too. The noise of a unit "
        "under dropout is p / (1 - p) times its mean square, for any size of the batch."
    )
    largest = max(each.measured.z_score(each.expected) for each in noise)
    description = "is the largest distance of a measured variance from the formula, at any B"
    yield parts.Check.within_chance("the noise of a batch", largest, description)
    return noise
