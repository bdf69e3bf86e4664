"""Lesson ``ensemble``: all sub-networks of a tiny network, compared with weight scaling."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import Outcome, at_least, at_most, none_of
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import ReplayedMasks, all_masks, mask_probabilities
from dropout_lab.lessons.ensemble.experiment import (
    DROPPED_UNITS,
    MONTE_CARLO_IMAGES,
    MONTE_CARLO_REPEATS,
    NETWORKS,
    MonteCarlo,
    TrainedNetwork,
    largest_size,
    rounding_bound,
    run_monte_carlo,
    score_predictions,
    train_network,
)
from dropout_lab.lessons.ensemble.picture import draw_figure
from dropout_lab.lessons.training import load_images


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    yield from _show_two_units(p)
    images = load_images(options, train_size=2_000)
    yield parts.Section(f"{DROPPED_UNITS} units and all {2**DROPPED_UNITS} sub-networks")
    yield parts.Paragraph(
        f"Three networks 784-8-8-10 learn digits, with dropout at p = {p:g} on the "
        f"{DROPPED_UNITS} units of one layer. They differ in the layers after those units: a "
        "softmax layer alone, a linear layer and a softmax layer, or a ReLU layer and a softmax "
        "layer. Then the dropout layer gets each mask in turn, in float64."
    )
    yield parts.Progress(f"training three networks and running {3 * 2**DROPPED_UNITS} sub-networks")
    networks = {
        name: train_network(p, place, activation, options, images)
        for name, (place, activation) in NETWORKS.items()
    }
    yield from _compare_means(networks)
    network = networks["ReLU layer"]
    yield from _show_jensen(network)
    yield from _compare_predictions(network)
    monte_carlo = run_monte_carlo(
        network.model, network.place, network.x, network.labels, network.sub_networks, options
    )
    yield from _show_monte_carlo(monte_carlo)
    yield parts.Plot(
        lambda: draw_figure(
            p,
            monte_carlo,
            {
                name: (
                    network.select_label(network.sub_networks.geometric_mean),
                    network.select_label(network.sub_networks.weight_scaling),
                )
                for name, network in networks.items()
            },
        ),
        "the predictions of the sub-networks for one image, the error of weight scaling, and "
        "the error of Monte Carlo",
    )


def _show_two_units(p: float) -> Iterator[parts.Part]:
    masks = all_masks(2)
    layer = InvertedDropout(p, noise=ReplayedMasks([masks]))
    # The logit of class A is log(3) / 2 from unit 1 and -log(3) from unit 2; of class B, 0.
    weight = torch.tensor([[math.log(3) / 2, 0], [-math.log(3), 0]], dtype=torch.float64)
    units = torch.ones(4, 2, dtype=torch.float64)
    probabilities = mask_probabilities(masks, float(layer.p))
    log_probabilities_by_mask = layer.connect(units, weight, None).log_softmax(dim=1)
    arithmetic = float(probabilities @ log_probabilities_by_mask.exp()[:, 0])
    geometric = float((probabilities @ log_probabilities_by_mask).softmax(dim=0)[0])
    scaled_probability = float(layer.eval().connect(units[:1], weight, None).softmax(dim=1)[0, 0])
    yield parts.Section("Two units, four sub-networks")
    yield parts.Paragraph(
        "Two units of value 1 lead to two classes. The logit of A is log(3) / 2 from unit 1 "
        "minus log(3) from unit 2. The logit of B is 0. Each unit is either dropped, or kept "
        "and divided by 1 - p."
    )
    rows = [
        (
            *("yes" if is_kept else "no" for is_kept in mask),
            float(probability),
            float(log_probabilities[0].exp()),
        )
        for mask, probability, log_probabilities in zip(
            masks.tolist(), probabilities, log_probabilities_by_mask, strict=True
        )
    ]
    columns = ("unit 1 kept", "unit 2 kept", "probability", "probability of A")
    yield parts.Table(f"the sub-networks at p = {float(layer.p):.4g}", columns, rows)
    yield parts.Formula(
        "arithmetic     = sum_m P(m) p_m\n"
        "geometric      = prod_m p_m ^ P(m), divided by its sum over the classes\n"
        "weight scaling = the complete network, dropout off: one pass"
    )
    means = [
        ("arithmetic", arithmetic),
        ("geometric", geometric),
        ("weight scaling", scaled_probability),
    ]
    yield parts.Table("probability of A", ("mean of the four", "probability of A"), means, digits=6)
    yield parts.Observation(
        "Weight scaling gives the geometric mean to the last digit, not the arithmetic mean."
    )
    # Each of four logits of at most log(3) / (1 - p) has a few roundings of that size.
    bound = 16 * torch.finfo(torch.float64).eps * math.log(3) / (1 - p)
    description = "is the difference between weight scaling and the geometric mean of four"
    yield parts.Check(
        "two units: geometric", at_most(abs(geometric - scaled_probability), bound, description)
    )


def _compare_means(networks: dict[str, TrainedNetwork]) -> Iterator[parts.Part]:
    distances = {}
    for name, network in networks.items():
        sub_networks = network.sub_networks
        distances[name] = (
            largest_size(sub_networks.geometric_mean - sub_networks.weight_scaling),
            largest_size(sub_networks.arithmetic_mean - sub_networks.weight_scaling),
            largest_size(sub_networks.mean(sub_networks.logits) - sub_networks.full_logits),
        )
    examples = len(networks["ReLU layer"].labels)
    yield parts.Formula(
        "log p_m   = z_m - log(sum exp z_m)    second term: the same for all classes\n"
        "geometric = softmax(sum_m P(m) z_m)\n"
        "          = softmax(z of the complete network)    if z is linear in the mask"
    )
    yield parts.Table(
        f"largest difference between weight scaling and a mean of all {2**DROPPED_UNITS} "
        f"({examples:,} images, all classes)",
        ("next layer", "geometric", "arithmetic", "mean logits"),
        [(name, *row) for name, row in distances.items()],
        digits=2,
    )
    yield parts.Observation(
        "Differences of up to about 1e-13 are rounding. In the first two rows, weight scaling "
        "equals the geometric mean and the mean of the logits (Baldi & Sadowski 2013). In the "
        "third row a ReLU layer follows the dropped units, and weight scaling equals neither. "
        "It never equals the arithmetic mean."
    )
    yield parts.Misconception(
        "'Evaluation without dropout is the average of all sub-networks.' It is their "
        "normalized geometric mean, and only if just a softmax layer or linear layers follow "
        "the dropped units. Otherwise it is an approximation, in one pass instead of 2^k."
    )
    softmax_network, linear_network, relu_network = networks.values()
    description = (
        "is the largest difference between weight scaling and the geometric mean, in any "
        "probability"
    )
    yield parts.Check(
        "softmax layer: geometric",
        at_most(distances["softmax layer"][0], rounding_bound(softmax_network), description),
    )
    description = (
        "is the largest difference between the complete network and the mean of all, in any logit"
    )
    yield parts.Check(
        "linear: mean of outputs",
        at_most(distances["linear layers"][2], rounding_bound(linear_network), description),
    )
    # A million times the rounding bound.
    description = (
        "is the largest difference between weight scaling and the geometric mean, with a ReLU layer"
    )
    yield parts.Check(
        "ReLU layer: not exact",
        at_least(distances["ReLU layer"][0], 1e6 * rounding_bound(relu_network), description),
    )


def _show_jensen(network: TrainedNetwork) -> Iterator[parts.Part]:
    # (examples, units)
    mean_of_relu = network.sub_networks.mean(network.sub_networks.last_hidden)
    relu_of_mean = network.sub_networks.full_last_hidden
    yield parts.Section("Why: the mean of a ReLU is not the ReLU of the mean")
    yield parts.Formula("E[relu(z)] >= relu(E[z])     (Jensen: relu is convex)")
    yield parts.Table(
        "units of the ReLU layer after the dropped units, mean over images",
        ("unit", "E[relu(z)], all masks", "relu(E[z]), dropout off", "difference"),
        [
            (
                unit + 1,
                *(
                    float(values[:, unit].mean())
                    for values in (mean_of_relu, relu_of_mean, mean_of_relu - relu_of_mean)
                ),
            )
            for unit in range(mean_of_relu.shape[1])
        ],
    )
    yield parts.Observation(
        "The mean of z is right. But relu(E[z]) is too small if z is below 0 with some masks "
        "and above 0 with others."
    )
    violations = int((mean_of_relu < relu_of_mean - rounding_bound(network)).sum())
    yield parts.Check(
        "E[relu] >= relu(E)", none_of(violations, "units of an image are below relu(E[z])")
    )


def _compare_predictions(network: TrainedNetwork) -> Iterator[parts.Part]:
    sub_networks = network.sub_networks
    log_probabilities = {
        "arithmetic": sub_networks.arithmetic_mean.log(),
        "geometric": sub_networks.geometric_mean.log(),
        "weight scaling": sub_networks.full_logits.log_softmax(dim=-1),
    }
    scores = {
        name: score_predictions(prediction.unsqueeze(0), network.labels)
        for name, prediction in log_probabilities.items()
    }
    member_scores = score_predictions(sub_networks.log_probabilities, network.labels)
    rows = [
        (
            "one sub-network",
            100 * float(sub_networks.mean(member_scores.accuracy)),
            float(sub_networks.mean(member_scores.loss)),
        ),
        *((name, 100 * float(score.accuracy), float(score.loss)) for name, score in scores.items()),
    ]
    yield parts.Section("Accuracy and NLL of these predictions")
    yield parts.Table(
        f"on {len(network.labels):,} test images, with a ReLU layer after the units; one "
        "sub-network: the mean over all sub-networks",
        ("prediction", "accuracy (%)", "NLL (nats)"),
        rows,
    )
    parameter_count = sum(weight[0].numel() for weight in network.model.parameters())
    yield parts.Observation(
        "Each mean has a lower NLL than its members have on average. By Jensen's inequality "
        "this holds for every image. No theorem says which of the means is best."
    )
    yield parts.Misconception(
        f"'Dropout trains an ensemble of 2^k independent models.' All {2**DROPPED_UNITS} "
        f"sub-networks share the same {parameter_count:,} parameters; as many independent "
        f"networks would have {2**DROPPED_UNITS * parameter_count:,}. No sub-network is fully "
        "trained. With 512 units, hardly any of the 2^512 sub-networks is drawn twice."
    )
    yield parts.Check(
        "means beat their members",
        _compare_with_members(
            network, log_probabilities["arithmetic"], log_probabilities["geometric"]
        ),
    )


def _compare_with_members(network: TrainedNetwork, *means: Tensor) -> Outcome:
    """Count the images on which a mean has a higher NLL than its members have on average."""
    member_means = network.sub_networks.mean(
        network.select_label(network.sub_networks.log_probabilities)
    )
    higher_losses = sum(
        int((network.select_label(mean) < member_means - rounding_bound(network)).sum())
        for mean in means
    )
    return none_of(
        higher_losses, "times a mean has a higher NLL for an image than its members have on average"
    )


def _show_monte_carlo(result: MonteCarlo) -> Iterator[parts.Part]:
    yield parts.Section("Monte Carlo: a sample of sub-networks")
    yield parts.Paragraph(
        "With 512 units nobody can run all sub-networks. Instead, Monte Carlo draws T "
        f"sub-networks and averages their predictions: {MONTE_CARLO_IMAGES} images, "
        f"{MONTE_CARLO_REPEATS} repeats, with a ReLU layer after the units. The error is the "
        "distance from the mean of all sub-networks, which is known here."
    )
    yield parts.Formula("error of the average of T = sqrt(variance over the sub-networks / T)")
    yield parts.Table(
        "probability of the correct class, root mean squared error",
        ("T", "measured", "sqrt(variance / T)", "difference, in SE"),
        [
            (error.draws, math.sqrt(error.measured), math.sqrt(error.expected), error.z_score)
            for error in result.errors
        ],
    )
    equal_draws = result.errors[0].expected / result.scaling_error
    yield parts.Observation(
        "With four times as many sub-networks the error is half as large: T passes reduce it to "
        "1 / sqrt(T). Weight scaling takes one pass and has an error of "
        f"{math.sqrt(result.scaling_error):.2g}. The average of {equal_draws:.2g} sampled "
        "sub-networks has the same error."
    )
    largest_z_score = max(abs(error.z_score) for error in result.errors)
    description = "is the largest distance of a mean squared error from variance / T"
    yield parts.Check.within_chance("Monte Carlo: 1 / sqrt(T)", largest_z_score, description)
