"""Plot macro F1 and NLL of six implementations, and of three factors."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.lessons.from_scratch.experiment import (
    BASELINE,
    CORRECTED,
    EPOCHS,
    IMPLEMENTATIONS,
    LINEAR,
    OUR_LAYER,
    PUBLISHED,
    TORCH_LAYER,
    ScaledNetworks,
    TrainedImplementations,
)

_STYLES = {
    OUR_LAYER: style.variant_look("inverted"),
    TORCH_LAYER: ("#44AA99", "D"),
    CORRECTED: style.variant_look("standard"),
    PUBLISHED: style.variant_look("unscaled"),
    BASELINE: style.variant_look("none"),
    LINEAR: ("#AA3377", "v"),
}


def draw_figure(
    results: TrainedImplementations, scaled_networks: Sequence[ScaledNetworks], p: float
) -> Figure:
    """Draw macro F1 and NLL of six implementations, and the NLL for three factors in evaluation.

    Args:
        results: The trained implementations.
        scaled_networks: The networks trained without scaling, with scaled weights.
        p: The dropout rate.
    """
    figure = style.new_figure(11, 4.2)
    f1_axes, loss_axes, scale_axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    names = list(IMPLEMENTATIONS)[::-1]
    for axes, values_of in ((f1_axes, results.f1), (loss_axes, results.loss)):
        for position, name in enumerate(names):
            _draw_seeds(axes, values_of(name), position, _STYLES[name])
        axes.set_yticks(range(len(names)), names if axes is f1_axes else [""] * len(names))
        axes.set_ylim(-0.5, len(names) - 0.5)
    f1_axes.set_xlabel("test macro F1")
    loss_axes.set_xlabel("test NLL, nats")
    f1_axes.set_title("which output is largest:\nmacro F1")
    loss_axes.set_title("the probabilities:\nNLL")
    for seed in range(len(scaled_networks[0].loss)):
        scale_axes.plot(
            [networks.loss[seed] for networks in scaled_networks],
            color=_STYLES[PUBLISHED][0],
            alpha=0.4,
        )
    our_losses = results.loss(OUR_LAYER)
    scale_axes.axhline(
        sum(our_losses) / len(our_losses),
        color=_STYLES[OUR_LAYER][0],
        linestyle="--",
        label="mean of ours",
    )
    scale_axes.legend(loc="upper left")
    for position, networks in enumerate(scaled_networks):
        low, high = t_interval(networks.loss)
        mean = sum(networks.loss) / len(networks.loss)
        scale_axes.errorbar(
            position, mean, [[mean - low], [high - mean]], fmt="X", color=_STYLES[PUBLISHED][0]
        )
    scale_axes.set_xticks(
        range(len(scaled_networks)),
        [f"{networks.description}\n({networks.factor:.2g})" for networks in scaled_networks],
    )
    scale_axes.set_xlim(-0.4, len(scaled_networks) - 0.6)
    scale_axes.set_ylim(0, None)
    scale_axes.set_xlabel("factor of the weights in evaluation")
    scale_axes.set_ylabel("test NLL, nats")
    scale_axes.set_title("trained without scaling:\nwhich factor?")
    style.heading(
        figure, f"Dropout from scratch, 784-512-512-10 on MNIST, p = {p:g}, {EPOCHS} epochs"
    )
    style.footnote(
        figure, f"small: each of n = {results.seeds} seeds; large: their mean; " + style.BARS
    )
    return figure


def _draw_seeds(
    axes: Axes, values: Sequence[float], height: int, style_pair: tuple[str, str]
) -> None:
    """Draw the values of all seeds at one height, and below them their mean with its interval."""
    colour, marker = style_pair
    mean = sum(values) / len(values)
    low, high = t_interval(values)
    axes.plot(values, [height + 0.2] * len(values), ".", color=colour, alpha=0.5)
    axes.errorbar(
        mean,
        height - 0.1,
        xerr=[[mean - low], [high - mean]],
        fmt=marker,
        color=colour,
        markersize=8,
    )
