"""How sampled networks compare with the mean rule, by hand."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.sampled import sampling_sentence
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells
from tests.report.made import make_study

GAINS = (0.001, 0.002, 0.003)  # of accuracy, by seed


def sampled(folder: Path, *, sign: int = 1, curve: tuple[float, ...] = ()) -> StudyTables:
    """Return a study whose sampled networks gain at p = 0.5, at each k as the curve says."""
    study = read_study(make_study(folder / "s", p="0.5", seeds="3", accuracy=lambda run: 0.95))
    own = study.runs[~study.runs["is_baseline"]]
    rule = own[["run_id", "seed", "dropout.p", "test_accuracy"]].assign(inference="mean", samples=1)
    drawn = rule.assign(inference="monte_carlo", samples=1000)
    drawn["test_accuracy"] = [0.95 + sign * gain for gain in GAINS]
    rows = [
        {"run_id": run_id, "dropout.p": 0.5, "samples": k, "test_accuracy_mean": 0.95 + gain}
        for run_id in rule["run_id"]
        for k, gain in enumerate(curve, 1)
    ]
    averages = pd.DataFrame(rows, columns=["run_id", "dropout.p", "samples", "test_accuracy_mean"])
    return dataclasses.replace(study, inference=pd.concat([rule, drawn]), monte_carlo=averages)


@pytest.mark.parametrize(("sign", "word"), [(1, "less"), (-1, "more")])
def test_the_difference_has_its_interval(tmp_path: Path, sign: int, word: str) -> None:
    """By seed the gain is 0.1, 0.2 and 0.3 points: 0.2 ± 0.1 * 4.302653 / 3 ** 0.5."""
    study = sampled(tmp_path, sign=sign)
    told = sampling_sentence(study, summarize_cells(study).iloc[1])
    assert told == (
        f"The average of 1,000 sampled networks has 0.20 pp [−0.05, 0.45] {word} test error than "
        "the mean rule with p = 0.5 (n = 3 paired seeds)."
    )
    assert told in conclusions(study, compare_cells(study))


def test_equal_means_have_an_interval_too(tmp_path: Path) -> None:
    study = sampled(tmp_path)
    drawn = study.inference["inference"] == "monte_carlo"
    study.inference.loc[drawn, "test_accuracy"] -= 0.002
    told = sampling_sentence(study, summarize_cells(study).iloc[1])
    assert "has the same mean test error [−0.25, 0.25] as the mean rule with p = 0.5 (n = 3" in told


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ((-0.02, -0.01, 0.0, 0.001), " Averages of 3 networks are the smallest that have no more"),
        ((-0.02, -0.01), " Averages of up to 2 networks have more test error than the mean rule."),
    ],
)
def test_the_number_it_takes_is_read_from_the_curve(
    tmp_path: Path, curve: tuple[float, ...], words: str
) -> None:
    study = sampled(tmp_path, curve=curve)
    assert f"(n = 3 paired seeds).{words}" in sampling_sentence(
        study, summarize_cells(study).iloc[1]
    )


def test_networks_that_were_not_sampled_have_no_sentence(tmp_path: Path) -> None:
    study = read_study(make_study(tmp_path / "s", p="0.5", seeds="3"))
    assert sampling_sentence(study, summarize_cells(study).iloc[1]) == ""
