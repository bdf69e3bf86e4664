"""A paper's numbers beside a made study's: which cell, in which unit, what verdict."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dropout_lab.analysis.published import PublishedComparison, compare_with_published
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells
from dropout_lab.config.grid import Run
from tests.report.made import make_study

ERRORS = {0: 0.015, 1: 0.016, 2: 0.017}  # of 4,000 examples after 3 epochs, by seed
SPREAD = 0.1 * 4.302653 / 3**0.5  # half of the 95% t interval, in %


def accuracy(run: Run) -> float:
    return 1 - ERRORS[run.seed] - (0.01 if run.settings.training.learning_rate == 0.5 else 0)


def study_with(
    folder: Path,
    *values: dict[str, Any],
    settings: tuple[str, ...] = (),
    noted: dict[str, Any] | None = None,
    **published: Any,
) -> StudyTables:
    own = [{"label": "it", "seen": True, "cell": {"dropout.p": 0.5}, **value} for value in values]
    section = {"citation": "Somebody 1999", "dataset": "mnist_5k", "values": own, **published}
    made = make_study(
        folder / "s",
        *settings,
        accuracy=accuracy,
        seeds="3",
        p="0,0.5",
        noted={"published": section, **(noted or {})},
    )
    return read_study(made)


def rows_of(study: StudyTables) -> tuple[PublishedComparison, ...]:
    found = compare_with_published(study, summarize_cells(study))
    assert found is not None
    return found.rows


def test_verdicts_by_hand(tmp_path: Path) -> None:
    """Errors of 1.5, 1.6 and 1.7 %: the mean is 1.6 ± 0.248."""
    asked = [{"value": value} for value in (1.36, 1.34, 1.84, 1.86)]
    rows = rows_of(study_with(tmp_path, *asked))
    within = "within our interval"
    assert [row.verdict for row in rows] == [within, "worse", within, "better"]
    assert rows[0].ours == pytest.approx(1.6)
    assert rows[0].n == 3
    assert (rows[0].low, rows[0].high) == pytest.approx((1.6 - SPREAD, 1.6 + SPREAD), rel=1e-6)
    assert [row.difference for row in rows] == pytest.approx([0.24, 0.26, -0.24, -0.26])
    assert {row.reasons for row in rows} == {()}


def test_an_accuracy_is_better_where_it_is_higher(tmp_path: Path) -> None:
    asked = [{"value": value, "quantity": "test_accuracy"} for value in (0.98, 0.99, 0.984)]
    rows = rows_of(study_with(tmp_path, *asked, unit="fraction"))
    assert [row.verdict for row in rows] == ["better", "worse", "within our interval"]
    assert rows[0].ours == pytest.approx(0.984)


def test_accuracies_on_other_parts_are_set_beside_those_parts(tmp_path: Path) -> None:
    """Made studies have 3 points more on the training set, 2 in the steps, 0.1 in validation."""
    means = {"train": 101.4, "noisy_train": 100.4, "validation": 98.5}
    asked = [{"value": mean, "quantity": f"{part}_accuracy"} for part, mean in means.items()]
    sampled = {"value": 99, "quantity": "train_accuracy", "inference": "ensemble"}
    rows = rows_of(study_with(tmp_path, *asked, sampled))
    assert [row.verdict for row in rows[:1]] == ["worse"]  # a training accuracy ends at 100%
    assert rows[0].ours == pytest.approx(100)
    assert rows[1].ours == pytest.approx(99)
    assert rows[2].ours == pytest.approx(98.5)
    assert rows[2].verdict == "within our interval"
    assert rows[3].verdict == "not trained"


def test_errors_without_spread_equal_the_number_that_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 * (1 - 0.984) is 1.6 and a rounding error."""
    monkeypatch.setattr("tests.analysis.test_published.ERRORS", {0: 0.016, 1: 0.016, 2: 0.016})
    (row,) = rows_of(study_with(tmp_path, {"value": 1.6}))
    assert (row.verdict, row.difference) == ("within our interval", 0)


@pytest.mark.parametrize(
    ("section", "reasons"),
    [
        ({"dataset": "mnist"}, ("data: mnist_5k instead of mnist",)),
        ({"training_examples": 330}, ()),
        ({"training_examples": 334}, ("300 training examples instead of 334",)),
        ({"training_examples": 272}, ("300 training examples instead of 272",)),
        ({"updates": 26}, ()),
        ({"updates": 27}, ("24 updates instead of 27",)),
        ({"updates": 5}, ()),
    ],
)
def test_other_data_and_fewer_updates_are_not_comparable(
    tmp_path: Path, section: dict[str, Any], reasons: tuple[str, ...]
) -> None:
    settings = ("dataset.train_size=300",)
    (row,) = rows_of(study_with(tmp_path, {"value": 1.6}, settings=settings, **section))
    assert row.reasons == reasons
    assert row.verdict == ("not comparable" if reasons else "within our interval")


def test_a_number_of_an_epoch_is_set_beside_that_epoch(tmp_path: Path) -> None:
    """The study has three epochs of eight updates; fewer updates at the end do not matter."""
    asked = [{"value": 2.6, "epoch": 1}, {"value": 1.6, "epoch": 3}, {"value": 1, "epoch": 60}]
    study = study_with(tmp_path, *asked, {"value": 1.6}, updates=1_000_000)
    first = (study.metrics["epoch"] == 1).to_numpy()
    study.metrics.loc[first, "test_accuracy"] = 0.974
    rows = rows_of(study)
    within, absent = "within our interval", "not trained"
    assert [row.verdict for row in rows] == [within, within, absent, "not comparable"]
    assert rows[0].ours == pytest.approx(2.6)
    labels = ["it, 1 epoch", "it, 3 epochs", "it, 60 epochs", "it"]
    assert [row.label for row in rows] == labels
    study.runs.loc[study.runs["seed"] == 0, "status"] = "diverged"
    assert [row.n for row in rows_of(study)] == [2, 2, 0, 2]


def test_one_run_has_no_interval_and_none_no_verdict(tmp_path: Path) -> None:
    study = study_with(tmp_path, {"value": 1.6}, {"value": 1.6, "cell": {"dropout.p": 0.25}})
    study.runs.loc[study.runs["seed"] > 0, "status"] = "diverged"
    one, none = rows_of(study)
    assert (one.n, one.verdict, one.reasons) == (1, "not comparable", ("one run has no interval",))
    assert (none.n, none.verdict, none.reasons) == (0, "not trained", ())


def test_a_cell_is_found_by_its_settings_or_its_label(tmp_path: Path) -> None:
    named = [{"value": 1.6, "cell": "fast"}, {"value": 1.6, "cell": "nothing"}]
    by_keys = {"value": 1.6, "cell": {"training.learning_rate": 0.5, "dropout.p": 0.5}}
    bare = {"value": 1.6, "cell": {"training.learning_rate": 0.1, "dropout.variant": "none"}}
    unknown = {"value": 1.6, "cell": {"nowhere.p": 0.5}}
    study = study_with(
        tmp_path, *named, by_keys, bare, unknown, settings=("training.learning_rate=0.1,0.5",)
    )
    for run_id, run in study.runs_by_id.items():
        if run.settings.training.learning_rate == 0.5 and run.settings.dropout.p == 0.5:
            study.runs_by_id[run_id].cell.__dict__["label"] = "fast"
    fast, nothing, keys, without, strange = rows_of(study)
    assert fast.ours == pytest.approx(2.6)
    assert keys.ours == pytest.approx(2.6)
    assert without.ours == pytest.approx(1.6)
    assert nothing.verdict == strange.verdict == "not trained"


def test_a_label_of_a_whole_grid_is_that_at_the_own_setting(tmp_path: Path) -> None:
    value = {"value": 1.6, "cell": "half"}
    settings = ("training.learning_rate=0.1,0.5",)
    study = study_with(tmp_path, value, settings=settings, noted={"labelled": ["dropout.p"]})
    for run in study.runs_by_id.values():
        run.cell.__dict__["label"] = "half" if run.settings.dropout.p == 0.5 else ""
    own = study.manifest.settings["training"]
    for rate, expected in ((0.5, 2.6), (0.1, 1.6)):
        own["learning_rate"] = rate
        assert rows_of(study)[0].ours == pytest.approx(expected)
    own["learning_rate"] = 0.2
    assert rows_of(study)[0].verdict == "not trained"


def test_other_ways_to_use_the_network_are_of_completed_runs(tmp_path: Path) -> None:
    value = {"value": 1.6, "inference": "monte_carlo"}
    study = study_with(tmp_path, value, {"value": 1.6, "inference": "ensemble"})
    done = study.runs[["run_id", "dropout.p", "test_accuracy"]]
    parts = [done.assign(inference=name) for name in ("mean", "monte_carlo")]
    inference = pd.concat(parts, ignore_index=True)
    inference.loc[inference["inference"] == "monte_carlo", "test_accuracy"] += 0.005
    object.__setattr__(study, "inference", inference)
    study.runs.loc[study.runs["seed"] == 2, "status"] = "interrupted"
    drawn, ensemble = rows_of(study)
    assert drawn.ours == pytest.approx(1.05)
    assert drawn.n == 2
    assert ensemble.verdict == "not trained"
    one = pd.DataFrame({"dropout.p": [0.5], "test_accuracy": [0.99]})
    object.__setattr__(study, "ensembles", one)
    assert rows_of(study)[1].ours == pytest.approx(1.0)
