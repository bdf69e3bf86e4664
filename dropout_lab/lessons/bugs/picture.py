"""Plot the accuracy and NLL of each mistake against the correct layer."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.bugs.experiment import MeasuredMistake, is_worse
from dropout_lab.lessons.paired_differences import Difference


def draw_figure(mistakes: Sequence[MeasuredMistake], p: float, seeds: int) -> Figure:
    """Draw each mistake's accuracy and NLL against the correct layer."""
    figure = style.new_figure(11, 4.6)
    panels = figure.subplots(1, 2, sharey=True)
    plotted = mistakes[::-1]
    for axes, lower, factor, label in (
        (panels[0], True, 100.0, "test accuracy minus that of the correct layer, pp"),
        (panels[1], False, 1.0, "test NLL minus that of the correct layer, nats"),
    ):
        axes.axvline(0, color=style.WITHOUT, linewidth=1)
        for height, mistake in enumerate(plotted):
            difference = mistake.accuracy if lower else mistake.loss
            colour, marker = _point_style(difference, lower=lower)
            bar = factor * ERRORS * difference.standard_error
            axes.errorbar(
                factor * difference.mean, height, xerr=bar, fmt=marker, color=colour, markersize=8
            )
        axes.set_xlabel(label)
    panels[0].set_yticks(range(len(plotted)), [mistake.layer.title for mistake in plotted])
    panels[0].set_title("worse to the left")
    panels[1].set_title("worse to the right")
    style.heading(
        figure, f"Nine mistakes compared with the correct layer, p = {p:g}: what training shows"
    )
    style.footnote(
        figure,
        f"mean of n = {seeds} paired seeds; bars: 5 standard errors; red X: worse, grey circle: "
        "not significant, blue square: better",
    )
    return figure


def _point_style(difference: Difference, *, lower: bool) -> tuple[str, str]:
    """Return the colour and marker of a worse, a better, or an insignificant difference."""
    if not difference.is_significant:
        return style.PUBLISHED, "o"
    name = "unscaled" if is_worse(difference, lower=lower) else "inverted"
    return style.variant_colour(name), "X" if name == "unscaled" else "s"
