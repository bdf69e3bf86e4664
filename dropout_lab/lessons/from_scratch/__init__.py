"""Lesson ``from-scratch``: a dropout layer from scratch against PyTorch's, on MNIST."""

import math
from collections.abc import Iterator, Mapping, Sequence

from dropout_lab.analysis.statistics import spread
from dropout_lab.checks.outcome import at_most, none_of, within
from dropout_lab.data import Splits
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.from_scratch.experiment import (
    BASELINE,
    CORRECTED,
    EPOCHS,
    IMPLEMENTATIONS,
    LEARNING_RATE,
    LINEAR,
    OUR_LAYER,
    PUBLISHED,
    TORCH_LAYER,
    ScaledNetworks,
    TrainedImplementations,
    merged_layer_errors,
    scale_in_evaluation,
    train_implementations,
    train_wrong_output,
)
from dropout_lab.lessons.from_scratch.picture import draw_figure
from dropout_lab.lessons.paired_differences import Difference, run_seeds
from dropout_lab.lessons.training import load_images

# Training images (None: all), batch size, and number of seeds.
_FULL, _QUICK = (None, 128, 6), (1_000, 32, 5)
_COMPARED_IMAGES = 100  # images for the comparison with one linear map
_WRONG_NETWORKS = 2
_FLOAT64_ROUNDING = 2.0**-53  # relative, of each sum or product


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    size, batch, count = _QUICK if options.quick else _FULL
    images = load_images(options, train_size=size)
    seeds = run_seeds(options, count)
    yield parts.Section("The network, and six implementations")
    yield parts.Formula("784 -> 512 -> 512 -> dropout -> 10")
    yield parts.Paragraph(
        f"ReLU follows both hidden layers, and dropout at p = {p:g} precedes the output layer. "
        f"Training takes {EPOCHS} epochs of Adam (learning rate {LEARNING_RATE:g}, batch size "
        f"{batch}) on {len(images.train):,} images of MNIST. All implementations start from the "
        f"same {len(seeds)} networks and see the images in the same order."
    )
    if options.quick:
        yield parts.Paragraph(
            "After so few images the network is unsure, and the wrong scale costs it little. "
            "The table below shows this cost, and --quick does not check it. Run the lesson "
            "without --quick to check it."
        )
    yield parts.Progress(f"training {len(IMPLEMENTATIONS)} times {len(seeds)} networks")
    results = train_implementations(p, seeds, batch, images)
    yield from _show_results(results, images)
    yield from _compare_with_torch(results)
    yield from _show_missing_scaling(results, checked=not options.quick)
    scaled_networks = scale_in_evaluation(results.fleets[PUBLISHED], p, images)
    yield from _compare_factors(scaled_networks)
    yield parts.Plot(
        lambda: draw_figure(results, scaled_networks, p),
        "macro F1 and NLL of six implementations; scaling after training",
    )
    yield from _show_merged_layers(results, images)
    yield from _show_wrong_output(p, options, batch, images)


def _show_results(results: TrainedImplementations, images: Splits) -> Iterator[parts.Part]:
    yield parts.Table(
        f"after {EPOCHS} epochs, {len(images.test):,} test images, dropout off: mean ± SD over n "
        f"= {results.seeds} seeds",
        ("layer", "what it does", "macro F1", "NLL, nats"),
        [
            (
                name,
                implementation.description,
                _format_mean_sd(results.f1(name)),
                _format_mean_sd(results.loss(name)),
            )
            for name, implementation in IMPLEMENTATIONS.items()
        ],
    )
    yield parts.Observation(
        "Macro F1 is the mean F1 of the ten digits. It depends only on which class has the "
        "largest output, not on how sure the network is. The NLL is the mean of -log of the "
        "probability of the correct class. It depends on both."
    )
    gain = Difference.between_pairs(results.f1(OUR_LAYER), results.f1(BASELINE))
    yield parts.Paragraph(
        f"Our layer minus no dropout, in macro F1: {_format_difference(gain)}. "
        + ("" if gain.is_significant else "The difference is not significant. ")
        + (
            "So short a training says little about dropout: its purpose is to reduce "
            "overfitting in a long training."
        )
    )


def _compare_with_torch(results: TrainedImplementations) -> Iterator[parts.Part]:
    f1 = Difference.between_means(results.f1(OUR_LAYER), results.f1(TORCH_LAYER))
    loss = Difference.between_means(results.loss(OUR_LAYER), results.loss(TORCH_LAYER))
    yield parts.Section("Our layer is as good as nn.Dropout")
    yield parts.Formula(
        "x k / (1 - p) in training,  x in evaluation,  k = 1 with probability 1 - p"
    )
    title = f"ours minus nn.Dropout: difference of two means over n = {results.seeds} seeds each"
    yield _difference_table(title, {"macro F1": f1, "NLL, nats": loss})
    yield parts.Observation(
        "The two layers differ only in their random draws, so the difference must be 0 within "
        "its error. This holds for a correct layer; the next sections test an incorrect one."
    )
    yield parts.Check(
        "same F1 as nn.Dropout", within(f1.mean, 0.0, f1.standard_error, "is the difference")
    )
    yield parts.Check(
        "same NLL as nn.Dropout", within(loss.mean, 0.0, loss.standard_error, "is the difference")
    )


def _show_missing_scaling(
    results: TrainedImplementations, *, checked: bool
) -> Iterator[parts.Part]:
    f1 = Difference.between_pairs(results.f1(PUBLISHED), results.f1(OUR_LAYER))
    loss = Difference.between_pairs(results.loss(PUBLISHED), results.loss(OUR_LAYER))
    batch_mask = Difference.between_pairs(results.loss(CORRECTED), results.loss(OUR_LAYER))
    yield parts.Section("Without scaling, and with one mask per batch")
    title = f"as published minus ours, paired over n = {results.seeds} seeds"
    yield _difference_table(title, {"macro F1": f1, "NLL, nats": loss})
    yield parts.Misconception(
        "'A layer that only multiplies by one mask per batch does as well as the library's.' In "
        "evaluation, the output layer of such a network receives on average 1 / (1 - p) times "
        f"the values of training. Its NLL minus ours is {loss.mean:+.2g} nats. With correct "
        f"scaling but still one mask per batch, the difference is {batch_mask.mean:+.2g}: "
        "examples that share a mask do not average its noise out. Draw a mask of shape x.shape, "
        "not of shape x.shape[1]."
    )
    description = "is the NLL as published minus ours, over its error"
    if checked:
        yield parts.Check.beyond_chance("no scaling costs NLL", loss.z_score, description)


def _compare_factors(scaled_networks: Sequence[ScaledNetworks]) -> Iterator[parts.Part]:
    correct, unscaled, upside_down = scaled_networks
    yield parts.Section("In evaluation, reduce the weights")
    yield parts.Paragraph(
        "The published networks were trained without scaling. Before evaluation, their weights "
        "that leave the dropped units are multiplied by one of three factors."
    )
    yield parts.Table(
        f"mean ± SD over n = {len(correct.loss)} seeds",
        ("factor of the weights", "macro F1", "NLL, nats"),
        [
            (_format_factor(networks), _format_mean_sd(networks.f1), _format_mean_sd(networks.loss))
            for networks in scaled_networks
        ],
    )
    yield parts.Misconception(
        "'Scale by 1 / (1 - p) at inference.' This is the wrong way round. A share 1 - p of the "
        "units was present in training, and all units are present in evaluation. So either "
        "multiply the weights by 1 - p in evaluation, or divide the units by 1 - p in training, "
        "but not both. Macro F1 cannot show the mistake: apart from the biases, a factor does "
        "not change which output is largest."
    )
    loss_difference = Difference.between_pairs(upside_down.loss, correct.loss)
    harm = Difference.between_pairs(upside_down.loss, unscaled.loss)
    description = "is the NLL minus the NLL with another factor, over its error"
    yield parts.Check.beyond_chance(
        "times 1 - p, not over it", loss_difference.z_score, description
    )
    yield parts.Check.beyond_chance("times 1 / (1 - p) harms", harm.z_score, description)


def _show_merged_layers(results: TrainedImplementations, images: Splits) -> Iterator[parts.Part]:
    x = images.pixels(images.test.images[:_COMPARED_IMAGES]).double().unsqueeze(0)
    yield parts.Section("Without activations, three layers are one linear map")
    yield parts.Formula("((x W1 + b1) W2 + b2) W3 + b3 = x (W1 W2 W3) + (b1 W2 W3 + b2 W3 + b3)")
    errors = {name: merged_layer_errors(results.fleets[name], x) for name in (LINEAR, OUR_LAYER)}
    yield parts.Table(
        f"logits of {_COMPARED_IMAGES} test images, compared with one linear map, in float64",
        ("network", "largest difference"),
        [("without activation", errors[LINEAR][0]), ("with ReLU", errors[OUR_LAYER][0])],
        digits=2,
    )
    f1 = Difference.between_pairs(results.f1(LINEAR), results.f1(OUR_LAYER))
    loss = Difference.between_pairs(results.loss(LINEAR), results.loss(OUR_LAYER))
    title = f"no activation minus ours, paired over n = {results.seeds} seeds"
    yield _difference_table(title, {"macro F1": f1, "NLL, nats": loss})
    yield parts.Misconception(
        "A sequence of nn.Linear layers looks like a deep network. Without activations between "
        "them, the layers are softmax regression with more parameters, and dropout between them "
        "is dropout in a linear model. This model also scores far above guessing on MNIST, so "
        "the score does not show the mistake."
    )
    # Each order of the products has at most one rounding error per term of a sum, relative to the
    # sum of the terms' sizes (Higham 2002, section 3.1).
    terms = sum(weight.shape[1] + 1 for weight in results.fleets[LINEAR].fleet.model.weights)
    description = (
        "is the largest difference between a logit and one linear map, relative to its terms"
    )
    yield parts.Check(
        "three layers are one map",
        at_most(errors[LINEAR][1], 2 * terms * _FLOAT64_ROUNDING, description),
    )


def _show_wrong_output(
    p: float, options: LessonOptions, batch: int, images: Splits
) -> Iterator[parts.Part]:
    yield parts.Section("A forward pass that returns the wrong variable")
    yield parts.Formula("x = dropout(layer_2(layer_1(x)))\noutput = layer_3(x)\nreturn x")
    results = [
        train_wrong_output(
            p, seed, images, epochs=EPOCHS, batch_size=batch, learning_rate=LEARNING_RATE
        )
        for seed in run_seeds(options, _WRONG_NETWORKS)
    ]
    yield parts.Table(
        f"the published network, trained on its 512 outputs; n = {len(results)} seeds",
        ("seed", "macro F1", "accuracy", "predictions above 9", "output weights changed"),
        [
            (
                str(seed),
                float(result.scores.macro_f1),
                float(result.scores.accuracy),
                result.outside_digits,
                result.moved_parameters,
            )
            for seed, result in zip(run_seeds(options, _WRONG_NETWORKS), results, strict=True)
        ],
    )
    yield parts.Observation(
        "Cross-entropy accepts 512 outputs as readily as 10. The labels 0 to 9 select the first "
        "ten hidden units. The other 502 units learn to be small, and the output layer never "
        "learns."
    )
    yield parts.Misconception(
        "'It trains and the score is good, so the code is right.' This network passes that test "
        "although its output layer is unused. Check the shape of the returned tensor: (batch, "
        "10)."
    )
    moved_parameters = sum(result.moved_parameters for result in results)
    yield parts.Check(
        "output layer unchanged", none_of(moved_parameters, "of its weights and biases changed")
    )
    accuracy = sum(float(result.scores.accuracy) for result in results) / len(results)
    standard_error = math.sqrt(
        0.1 * 0.9 / len(images.test) / len(results)
    )  # of guessing one digit in ten
    description = "is the accuracy minus the accuracy of guessing, over its error"
    yield parts.Check.beyond_chance(
        "it learns anyway", (accuracy - 0.1) / standard_error, description
    )


def _difference_table(title: str, differences: Mapping[str, Difference]) -> parts.Table:
    return parts.Table(
        title,
        ("measure", "mean difference", "standard error", "in SE"),
        [
            (name, difference.mean, difference.standard_error, difference.z_score)
            for name, difference in differences.items()
        ],
        digits=3,
    )


def _format_difference(difference: Difference) -> str:
    return f"{difference.mean:+.2g} with a standard error of {difference.standard_error:.2g}"


def _format_factor(networks: ScaledNetworks) -> str:
    value = f"{networks.factor:.3g}"
    return value if networks.description == value else f"{networks.description} = {value}"


def _format_mean_sd(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} ± {spread(values):.3f}"
