"""The spread that each source of randomness causes, from accuracies made up for it."""

from pathlib import Path

import numpy as np
import pytest

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.plots import draw_plots
from dropout_lab.analysis.spread import ALL, describe_spread, draw_spread, spreads
from dropout_lab.analysis.tables import StudyTables, read_study
from tests.analysis.test_tables import made_study

CELLS = """
    - {label: all vary, training.mask_seed: null}
    - {label: weights, training.data_order_seed: 0, training.mask_seed: 0}
    - {label: order, training.initial_weights_seed: 0, training.mask_seed: 0}
    - {label: masks, training.initial_weights_seed: 0, training.data_order_seed: 0}
"""
# Of the seeds 0, 1, 2. Seed 0 is the same run in every cell.
WITHOUT = [0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90, 0.90, 0.90, 0.90, 0.90, 0.90]
WITH = [0.92, 0.96, 0.94, 0.92, 0.93, 0.94, 0.92, 0.92, 0.95, 0.92, 0.90, 0.91]


def held(folder: Path, cells: str = CELLS) -> StudyTables:
    file = folder / "c.yaml"
    file.write_text(f"name: t\nseeds: 3\nsweep:\n  cells:{cells}")
    return read_study(made_study(folder / "s", accuracies=[*WITHOUT, *WITH], file=file, seeds=3))


def test_each_source_has_the_standard_deviation_of_the_runs_that_it_alone_varies(
    tmp_path: Path,
) -> None:
    found = spreads(held(tmp_path))
    ours = {(each.source, each.setting.dropout.p): each for each in found}
    wanted = {  # by hand: sqrt(((a - m)^2 + ...) / 2)
        ("initial weights", 0.0): 0.01, ("data order", 0.0): 0.0, (ALL, 0.0): 0.01,
        ("initial weights", 0.5): 0.01, ("data order", 0.5): np.sqrt(3) / 100,
        ("masks", 0.5): 0.01, (ALL, 0.5): 0.02,
    }  # fmt: skip
    assert {key: each.sd for key, each in ours.items()} == pytest.approx(wanted)
    assert {each.values for each in found} == {3}
    # sqrt(2 / 7.3778) and sqrt(2 / 0.050636), the quantiles of chi-squared with two degrees
    assert ours[ALL, 0.5].interval == pytest.approx((0.02 * 0.52066, 0.02 * 6.2847), rel=1e-4)
    assert [each.source for each in found][-1] == ALL


def test_the_split_is_a_source_that_is_compared_within_each_seed(tmp_path: Path) -> None:
    cells = "".join(
        f"\n    - {{label: split {split} {mask}, dataset.split_seed: {split}, "
        f"training.mask_seed: {mask}}}"
        for split, mask in ((0, "null"), (1, "null"), (2, "null"), (0, 0))
    )
    accuracies = {0: [0.90, 0.90, 0.92], 1: [0.91, 0.93, 0.92], 2: [0.92, 0.96, 0.92]}
    study = held(tmp_path, cells + "\n")
    for split, values in accuracies.items():
        for seed, value in enumerate(values):
            chosen = (study.runs["seed"] == seed) & (study.runs["dataset.split_seed"] == split)
            study.runs.loc[chosen, "test_accuracy"] = value
    own = [each for each in spreads(study) if each.source == "data split"]
    # Each seed has a mean of its own: squares 2 e-4, 18 e-4 and 0, over 2 + 2 + 2.
    assert [each.sd for each in own] == pytest.approx([np.sqrt(20e-4 / 6)] * 2)
    assert [each.values for each in own] == [3, 3]
    told = conclusions(study, compare_cells(study))
    assert any("data split: 1.83 pp [0.95, 11.47]" in sentence for sentence in told)


def test_it_is_drawn_and_said(tmp_path: Path) -> None:
    study = held(tmp_path)
    figure = draw_spread(study, "t")
    assert figure is not None
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["initial weights", "data order", "masks", ALL]
    with_dropout = axes.containers[1].lines[0]
    np.testing.assert_allclose(with_dropout.get_xdata(), [1, np.sqrt(3), 1, 2])
    assert "spread" in dict(draw_plots(study))
    without, sentence = describe_spread(study)
    assert "of no dropout" in without
    assert "masks: 1.00 pp [0.52, 6.28]; all three: 2.00 pp [1.04, 12.57] (n = 3" in sentence


def test_a_study_that_holds_no_source_has_no_such_picture(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9] * 6, seeds=3)
    assert draw_spread(read_study(path), "t") is None
    assert describe_spread(read_study(path)) == []
