"""How a paper's numbers and ours agree in their order: counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from dropout_lab.analysis.conclusions import conclusions, short_conclusions
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.tables import StudyTables, read_study
from dropout_lab.config.grid import Run
from tests.report.made import make_study

ERRORS = {0.0: 0.040, 0.25: 0.030, 0.5: 0.034}  # by p, each seed a little apart


def accuracy(run: Run) -> float:
    p = run.settings.dropout.p
    assert isinstance(p, float)
    return round(1 - ERRORS[p] - 0.001 * (run.seed % 3), 6)


def value(label: str, error: float, p: float, **more: Any) -> dict[str, Any]:
    cell = {"dropout.p": p} if p else {"dropout.variant": "none"}
    return {"label": label, "value": error, "seen": True, "cell": cell, **more}


def study_at(folder: Path, *values: dict[str, Any], seeds: str = "8", **section: Any) -> Path:
    published = {"citation": "Somebody 1999, table 2", "values": list(values), **section}
    return make_study(
        folder / "s", accuracy=accuracy, seeds=seeds, p="0,0.25,0.5", noted={"published": published}
    )


THREE = (value("none", 1.6, 0.0), value("a quarter", 1.3, 0.25), value("half", 1.1, 0.5))


def agreement_of(study: StudyTables) -> str:
    """Return the sentence on the order of the numbers; empty if there is none."""
    found = short_conclusions(study)[1]
    assert len(found) <= 1
    return "".join(found)


def test_pairs_are_counted_in_both_directions(tmp_path: Path) -> None:
    """Ours are 4.0, 3.0 and 3.4 % plus the same for each seed; half against a quarter turns."""
    study = read_study(study_at(tmp_path, *THREE))
    told = agreement_of(study)
    assert told == (
        "In 3 pairs of numbers from Somebody 1999, table 2, our means have the paper's order in 2 "
        "(2 significant) and the opposite order in 1 (1 significant). Opposite: half has 0.20 pp "
        "less error than a quarter in the paper and 0.40 pp more here (significant)."
    )
    assert conclusions(study, compare_cells(study))[1] == told


def test_with_few_seeds_nothing_is_called_significant(tmp_path: Path) -> None:
    told = agreement_of(read_study(study_at(tmp_path, *THREE, seeds="3")))
    assert "order in 2 and the opposite order in 1. Opposite: half" in told
    assert "significant" not in told


def test_accuracies_and_fractions_are_the_same_order(tmp_path: Path) -> None:
    values = [
        {**one, "value": round(1 - one["value"] / 100, 6), "quantity": "test_accuracy"}
        for one in THREE
    ]
    study = read_study(study_at(tmp_path, *values, unit="fraction"))
    assert "half has 0.20 pp less error than a quarter in the paper and 0.40" in agreement_of(study)


def test_only_test_results_are_put_in_order(tmp_path: Path) -> None:
    """A training accuracy is higher than a test accuracy of any cell."""
    training = value("half, training", 99.0, 0.5, quantity="train_accuracy")
    told = agreement_of(read_study(study_at(tmp_path, *THREE, training)))
    assert told.startswith("In 3 pairs of numbers")


@pytest.mark.parametrize(
    ("spread", "pairs"),
    [({}, 1), ({"sd": 0.1}, 1), ({"sd": 0.15}, 0), ({"tolerance": 0.15}, 0)],
)
def test_numbers_that_the_paper_does_not_tell_apart_have_no_order(
    tmp_path: Path, spread: dict[str, float], pairs: int
) -> None:
    """1.6 and 1.3 are apart if their spreads are below 0.3 together."""
    close = (value("none", 1.6, 0.0, **spread), value("a quarter", 1.3, 0.25, **spread))
    told = agreement_of(read_study(study_at(tmp_path, *close)))
    assert told.startswith("In 1 pair of numbers") == bool(pairs)
    assert bool(told) == bool(pairs)


def test_numbers_that_were_not_measured_are_in_no_pair(tmp_path: Path) -> None:
    drawn = value("sampled", 1.0, 0.5, inference="monte_carlo")
    absent = value("most", 2.0, 0.75)
    study = read_study(study_at(tmp_path, *THREE[:2], drawn, absent))
    assert agreement_of(study).startswith("In 1 pair of numbers from Somebody 1999, table 2, ")


def test_another_way_to_use_a_network_has_an_order_and_no_test(tmp_path: Path) -> None:
    """Sampling that adds 0.5 points of error to p = 0.5: 3.9 % against 3.4 %."""
    values = (value("half", 1.3, 0.5), value("sampled", 1.1, 0.5, inference="monte_carlo"))
    study = read_study(study_at(tmp_path, *values))
    done = study.runs[["run_id", "dropout.p", "test_accuracy"]].assign(inference="monte_carlo")
    object.__setattr__(study, "inference", done.assign(test_accuracy=done["test_accuracy"] - 0.005))
    assert agreement_of(study).endswith(
        "in 0 and the opposite order in 1. Opposite: sampled has 0.20 pp less error than half in "
        "the paper and 0.50 pp more here."
    )


def test_a_budget_that_is_too_small_is_told_after_the_headline(tmp_path: Path) -> None:
    text = "with 24 updates half is behind a quarter."
    study = read_study(study_at(tmp_path, *THREE, too_small=text))
    answer, first, second, *_ = conclusions(study, compare_cells(study))
    assert first == f"This budget is too small to show the paper's result: {text}"
    assert second.startswith("In 3 pairs of numbers")
    assert short_conclusions(study) == (answer, [first, second])


def test_without_a_paper_there_is_nothing_to_say(tmp_path: Path) -> None:
    folder = study_at(tmp_path)
    assert agreement_of(read_study(folder)) == ""
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text())
    del data["published"]
    manifest.write_text(json.dumps(data))
    assert agreement_of(read_study(folder)) == ""
