"""Plot losses and logit differences of standard and inverted networks."""

from typing import Any

from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.lessons.inverted.experiment import STEPS, TrainingCourse

_SMALLEST_SHOWN = 1e-17  # the height at which a difference of 0 is drawn


def draw_figure(p: float, standard: TrainingCourse, inverted: dict[str, TrainingCourse]) -> Figure:
    """Draw the losses, and the logit differences of the inverted networks from the standard one."""
    figure = style.new_figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    steps = range(STEPS + 1)
    curves = {
        "both": ("inverted: W times q, rate times q²", style.variant_colour("inverted"), "-"),
        "weights only": ("inverted: W times q only", style.variant_colour("targeted_unit"), "--"),
        "rate only": ("inverted: rate times q² only", style.variant_colour("dropconnect"), "-."),
    }
    for name, (label, colour, dashes) in curves.items():
        course = inverted[name]
        if name != "rate only":  # a different network from the start
            left.plot(steps[1:], course.losses, dashes, color=colour, label=label)
        differences = [
            max(difference, _SMALLEST_SHOWN) for difference in course.logit_differences(standard)
        ]
        right.plot(steps, differences, dashes, color=colour, label=label)
    colour, marker = style.variant_look("standard")
    standard_look: Any = {
        "color": colour,
        "markerfacecolor": "none",
        "markeredgewidth": 1.8,
        "zorder": 3,
    }
    left.plot(steps[1:], standard.losses, marker, label="standard", **standard_look)
    left.set_title("training, dropout on")
    left.set_ylabel("cross-entropy of the batch, nats")
    right.set_title("evaluation: difference from standard")
    right.set_ylabel("largest difference of the logits\nover their root mean square")
    right.set_yscale("log")
    right.set_ylim(_SMALLEST_SHOWN / 2, None)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    for axes in (left, right):
        axes.set_xlabel("SGD step")
        axes.set_xticks(range(0, STEPS + 1, 5))
    lowest, highest = left.get_ylim()
    left.set_ylim(lowest, highest + 0.4 * (highest - lowest))  # room for the legend
    left.legend(loc="upper right")
    right.legend(loc="center")  # between rounding errors and real differences
    style.heading(
        figure, f"Standard and inverted dropout give the same network: q = 1 − p, p = {p:g}"
    )
    style.footnote(
        figure,
        "784-32-16-10, float64, the same masks; n = 1 seed; the left plot omits 'rate times q² "
        "only', which differs from the start;\n"
        "right: a difference of 0 is drawn at 1e-17",
    )
    return figure
