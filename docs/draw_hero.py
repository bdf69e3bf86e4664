"""Draw the two plots at the top of the README from the published studies.

``python docs/draw_hero.py`` writes ``docs/pages/pictures/hero.png``.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dropout_lab as dl
from dropout_lab.analysis import style
from dropout_lab.analysis.curves import draw_curve

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pages" / "pictures" / "hero.png"
REFERENCE = ROOT / "results" / "reference"
COLOUR = style.p_colour(0.5)


def hero() -> Figure:
    """Draw test error over the epochs, with and without dropout, and errors against p."""
    with style.style():
        figure = style.new_figure(10, 4)
        left, right = figure.subplots(1, 2)
        draw_epochs(left)
        draw_p(right)
    return figure


def draw_epochs(axes: Axes) -> None:
    """Draw the mean test error over the epochs of 784-1024-1024-10 on full MNIST."""
    rows = dl.load(REFERENCE / "mnist").metrics
    rows = rows[rows["model.hidden"] == "[1024, 1024]"].assign(
        error=100 - 100 * rows["test_accuracy"]
    )
    last = rows["epoch"].max()
    for is_baseline, name, colour in (
        (True, "no dropout", style.WITHOUT),
        (False, "dropout +\nmax-norm", COLOUR),
    ):
        own = rows[rows["is_baseline"] == is_baseline]
        draw_curve(axes, own, "error", colour, "-", label=name)
        mean = own.loc[own["epoch"] == last, "error"].mean()
        axes.annotate(
            f"{name}\n{mean:.2f}%", (last, mean), (6, 0), textcoords="offset points",
            va="center", color=colour,
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="test error %", xlim=(0, 1.22 * last), ylim=(1, 2.6))
    axes.set(xticks=range(0, last + 1, 10))
    axes.set_title(f"60,000 images, 784-1024-1024-10, {rows['seed'].nunique()} seeds")


def draw_p(axes: Axes) -> None:
    """Draw the errors of the trained networks against p."""
    runs = dl.load(REFERENCE / "jmlr2014_fig9a_quick").runs
    for part, dashes, name in (("test", "-", "test set"), ("train", "--", "training set")):
        rows = runs.assign(error=100 - 100 * runs[f"{part}_accuracy"])
        draw_curve(axes, rows, "error", COLOUR, dashes, label=name, x_column="dropout.p")
    axes.legend(loc="upper center")
    axes.set(xlabel="p, the probability of dropping a hidden unit", ylabel="error %", ylim=(0, 13))
    axes.set_title(f"3,000 images, 784-512-512-10, {runs['seed'].nunique()} seeds")


if __name__ == "__main__":
    PICTURE.write_bytes(style.render(hero(), "png"))
