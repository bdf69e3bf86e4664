"""Draw the two plots at the top of the README from the published studies.

``python docs/draw_hero.py`` writes ``docs/pages/pictures/hero.png``.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dropout_lab as dl
from dropout_lab.analysis import style
from dropout_lab.analysis.tables import half_width

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pages" / "pictures" / "hero.png"
OVER_EPOCHS = ROOT / "results" / "reference" / "mnist"
OVER_P = ROOT / "results" / "reference" / "jmlr2014_fig9a_quick"
HIDDEN = "[1024, 1024]"
COLOUR = style.p_colour(0.5)


def hero(over_epochs: Path = OVER_EPOCHS, over_p: Path = OVER_P) -> Figure:
    """Draw test error over the epochs, with and without dropout, and errors against p."""
    with style.style():
        figure = style.new_figure(10, 4)
        left, right = figure.subplots(1, 2)
        draw_epochs(left, over_epochs)
        draw_p(right, over_p)
        figure.canvas.draw()  # the layout needs the style, too
    return figure


def draw_epochs(axes: Axes, folder: Path) -> None:
    """Draw the mean test error over the epochs of the wider network."""
    metrics = dl.load(folder).metrics
    metrics = metrics[metrics["model.hidden"] == HIDDEN]
    for name, rows in metrics.groupby(
        metrics["is_baseline"].map({True: "no dropout", False: "dropout +\nmax-norm"})
    ):
        colour = style.WITHOUT if name == "no dropout" else COLOUR
        points = means(100 * (1 - rows["test_accuracy"]), rows["epoch"])
        draw_band(axes, points, colour, "-", str(name))
        last = points.iloc[-1]
        label = f"{name}\n{last['mean']:.2f}%"
        axes.annotate(
            label, (points.index[-1], last["mean"]), (6, 0), textcoords="offset points",
            va="center", color=colour,
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="test error %", xlim=(0, 1.22 * metrics["epoch"].max()))
    axes.set(
        ylim=(1, 2.6),
        xticks=range(0, 61, 10),
        title=f"60,000 images, 784-1024-1024-10, {seeds(metrics)}",
    )


def draw_p(axes: Axes, folder: Path) -> None:
    """Draw the errors of the trained networks against p."""
    runs = dl.load(folder).runs
    for part, dash in (("test", "-"), ("train", "--")):
        points = means(100 * (1 - runs[f"{part}_accuracy"]), runs["dropout.p"])
        draw_band(axes, points, COLOUR, dash, {"test": "test set", "train": "training set"}[part])
    axes.legend(loc="upper center")
    axes.set(xlabel="p, the probability of dropping a hidden unit", ylabel="error %")
    axes.set(ylim=(0, 13), title=f"3,000 images, 784-512-512-10, {seeds(runs)}")


def means(values: pd.Series, by: pd.Series) -> pd.DataFrame:
    """Return the mean and half the width of its 95% t interval for each value of ``by``."""
    groups = values.groupby(by)
    halves = groups.agg(lambda group: half_width(group.to_numpy()))
    return pd.DataFrame({"mean": groups.mean(), "half": halves})


def draw_band(axes: Axes, points: pd.DataFrame, colour: str, dash: str, label: str) -> None:
    """Draw a line of means with a band of their intervals."""
    axes.plot(points.index, points["mean"], dash, color=colour, label=label)
    low, high = points["mean"] - points["half"], points["mean"] + points["half"]
    axes.fill_between(points.index, low, high, color=colour, alpha=0.2, linewidth=0)


def seeds(rows: pd.DataFrame) -> str:
    """Return the number of seeds as a text."""
    return f"{rows['seed'].nunique()} seeds"


if __name__ == "__main__":
    PICTURE.write_bytes(style.render(hero(), "png"))
