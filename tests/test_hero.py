"""The plots at the top of the README show the published numbers."""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
from matplotlib.axes import Axes

from tests.documents import README, ROOT

REFERENCE = ROOT / "results" / "reference"


def rows_of(study: str, name: str) -> list[dict[str, str]]:
    with (REFERENCE / study / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn(axes: Axes) -> dict[str, dict[float, float]]:
    return {
        str(line.get_label()): {float(x): float(y) for x, y in line.get_xydata().tolist()}
        for line in axes.lines
    }


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    monkeypatch.syspath_prepend(ROOT / "docs")
    sys.modules.pop("draw_hero", None)
    from draw_hero import hero  # type: ignore[import-not-found]

    axes: list[Axes] = hero().axes
    return axes


def test_the_plots_show_the_means_of_the_published_runs(panels: list[Axes]) -> None:
    left, right = map(drawn, panels)
    errors = defaultdict(list)
    for row in rows_of("mnist", "metrics.csv"):
        if row["model.hidden"] == "[1024, 1024]":
            name = "no dropout" if row["dropout.variant"] == "none" else "dropout +\nmax-norm"
            errors[name, int(row["epoch"])].append(100 - 100 * float(row["test_accuracy"]))
    assert {(name, x) for name, line in left.items() for x in line} == errors.keys()
    for (name, epoch), values in errors.items():
        assert len(values) == 7
        assert left[name][epoch] == pytest.approx(fmean(values))
    by_p = defaultdict(list)
    for row in rows_of("jmlr2014_fig9a_quick", "runs.csv"):
        by_p[float(row["dropout.p"])].append(100 - 100 * float(row["test_accuracy"]))
    assert right["test set"] == pytest.approx({p: fmean(v) for p, v in by_p.items()})


def test_the_picture_is_the_first_of_the_readme() -> None:
    path = "docs/pages/pictures/hero.png"
    assert f"({path})" in README.read_text(encoding="utf-8").split("## ")[0]
    assert Path(ROOT / path).stat().st_size > 20_000
