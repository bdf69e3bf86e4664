"""The picture of lesson ``from-scratch``."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.lessons.from_scratch.networks import (
    CORRECTED,
    EPOCHS,
    LINEAR,
    OURS,
    PUBLISHED,
    THEIRS,
    WAYS,
    WITHOUT,
    Results,
    Scaled,
)

_LOOKS = {
    OURS: style.variant_look("inverted"),
    THEIRS: ("#44AA99", "D"),
    CORRECTED: style.variant_look("standard"),
    PUBLISHED: style.variant_look("unscaled"),
    WITHOUT: style.variant_look("none"),
    LINEAR: ("#AA3377", "v"),
}


def draw(results: Results, scaled: Sequence[Scaled], p: float) -> Figure:
    """Draw macro F1 and NLL of the six ways, and the NLL after three ways to scale in evaluation.

    Args:
        results: Of the six ways.
        scaled: The networks trained without scaling, scaled after it.
        p: The chance of dropping.
    """
    figure = style.new_figure(11, 4.2)
    f1, loss, scale = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    names = list(WAYS)[::-1]
    for axes, values_of in ((f1, results.f1), (loss, results.loss)):
        for at, name in enumerate(names):
            _dots(axes, values_of(name), at, _LOOKS[name])
        axes.set_yticks(range(len(names)), names if axes is f1 else [""] * len(names))
        axes.set_ylim(-0.5, len(names) - 0.5)
    f1.set_xlabel("test macro F1")
    loss.set_xlabel("test NLL, nats")
    f1.set_title("the largest class:\nmacro F1")
    loss.set_title("the probabilities:\nNLL")
    for seed in range(len(scaled[0].loss)):
        scale.plot([e.loss[seed] for e in scaled], color=_LOOKS[PUBLISHED][0], alpha=0.4)
    ours = results.loss(OURS)
    scale.axhline(
        sum(ours) / len(ours), color=_LOOKS[OURS][0], linestyle="--", label="mean of ours"
    )
    scale.legend(loc="upper left")
    for at, each in enumerate(scaled):
        low, high = t_interval(each.loss)
        mean = sum(each.loss) / len(each.loss)
        scale.errorbar(at, mean, [[mean - low], [high - mean]], fmt="X", color=_LOOKS[PUBLISHED][0])
    scale.set_xticks(range(len(scaled)), [f"{e.words}\n({e.factor:.2g})" for e in scaled])
    scale.set_xlim(-0.4, len(scaled) - 0.6)
    scale.set_ylim(0, None)
    scale.set_xlabel("factor of the weights in evaluation")
    scale.set_ylabel("test NLL, nats")
    scale.set_title("trained without scaling:\nwhich remedy?")
    style.heading(
        figure, f"Dropout from scratch, 784-512-512-10 on MNIST, p = {p:g}, {EPOCHS} epochs"
    )
    style.footnote(
        figure, f"small: each of n = {results.seeds} seeds; large: their mean; " + style.BARS
    )
    return figure


def _dots(axes: Axes, values: Sequence[float], at: int, look: tuple[str, str]) -> None:
    """Draw the values of the seeds at one height, and their mean with its interval below them."""
    colour, marker = look
    mean = sum(values) / len(values)
    low, high = t_interval(values)
    axes.plot(values, [at + 0.2] * len(values), ".", color=colour, alpha=0.5)
    axes.errorbar(
        mean, at - 0.1, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, markersize=8
    )
