"""The first sentence of a report: the answer in words, for each verdict, then in numbers."""

import dataclasses
import math
from pathlib import Path

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.headline import headline
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.tables import MISSING, StudyTables, read_study
from tests.analysis.test_conclusions import sizes_study
from tests.analysis.test_equivalence import SMALL
from tests.analysis.test_paired import BARE, GAINS, plus, study_of
from tests.analysis.test_tables import made_study

BARE_8 = [*BARE, 0.957, 0.964]
SLIGHT = [0.0003, 0.0005, 0.0004, 0.0002, 0.0006, 0.0004, 0.0003, 0.0005]


def answer(study: StudyTables, **options: object) -> str:
    table = compare_cells(study, bootstrap=False, **options)
    first = headline(study, table)
    assert conclusions(study, table)[0] == first
    return first


def eight(folder: Path, gains: list[float]) -> StudyTables:
    return study_of(folder, BARE_8, [a + b for a, b in zip(BARE_8, gains, strict=True)])


def test_better_and_worse(tmp_path: Path) -> None:
    """0.5 points are 5 of 1,000 images, and 2 points are 2 of 100."""
    assert answer(study_of(tmp_path / "a", BARE, plus(GAINS))) == (
        "Dropout with p = 0.5 classifies 5 more of 1,000 test images correctly than no dropout "
        "(+0.50 pp [0.35, 0.65], n = 6 paired seeds)."
    )
    worse = plus([-4 * gain for gain in GAINS])
    assert answer(study_of(tmp_path / "b", BARE, worse)).startswith(
        "Dropout with p = 0.5 classifies 2 fewer of 100 test images correctly than no dropout (−2."
    )


def test_a_difference_within_the_margin_is_called_small(tmp_path: Path) -> None:
    assert answer(eight(tmp_path, SLIGHT), margin=0.001) == (
        "Dropout with p = 0.5 classifies 4 more of 10,000 test images correctly than no dropout, "
        "which is less than the margin of 0.1 pp (+0.04 pp [0.03, 0.05], n = 8 paired seeds)."
    )


def test_equivalent(tmp_path: Path) -> None:
    assert answer(eight(tmp_path, SMALL), margin=0.001) == (
        "Dropout with p = 0.5 and no dropout classify equally many test images correctly, to "
        "within 1 of 1,000 (+0.00 pp [−0.01, 0.01], n = 8 paired seeds)."
    )


def test_undecided_is_said_with_the_seeds_that_would_decide(tmp_path: Path) -> None:
    gains = [0.002, -0.001, 0.001, 0.002, -0.001, 0.003]
    study = study_of(tmp_path, BARE, plus(gains))
    needed = compare_cells(study)["seeds_to_decide"][1]
    assert 10 < needed < 40
    assert answer(study) == (
        "Dropout with p = 0.5 classified 1 more of 1,000 test images correctly than no dropout, "
        "which may be chance (+0.10 pp [−0.08, 0.28], n = 6 paired seeds); deciding needs about "
        f"{needed:.0f} paired seeds."
    )


def test_equal_results_without_a_margin_decide_nothing(tmp_path: Path) -> None:
    assert answer(study_of(tmp_path, BARE, BARE)) == (
        "Dropout with p = 0.5 and no dropout classified equally many test images correctly, which "
        "may be chance (+0.00 pp [0.00, 0.00], n = 6 paired seeds); deciding needs more than 1,000 "
        "paired seeds."
    )


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    assert answer(study_of(tmp_path, [0.9], [0.92])).endswith(
        "which may be chance (+2.00 pp, n = 1 paired seed); deciding needs at least 6 paired seeds."
    )


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    statuses = ["completed", "failed", "failed", "completed"]
    assert answer(study_of(tmp_path / "a", [0.9] * 2, [0.91] * 2, statuses=statuses)) == (
        "Dropout with p = 0.5 and no dropout have no completed seed in common."
    )
    alone = read_study(
        made_study(tmp_path / "b" / "s", "dropout.p=0.5", accuracies=[0.9, 0.94] * 2)
    )
    without = dataclasses.replace(alone, runs=alone.runs[~alone.runs["is_baseline"]])
    assert answer(without).startswith(
        "Dropout with p = 0.5 classifies 92 of 100 test images correctly (92.00% ["
    )
    study = study_of(tmp_path / "c", [0.9] * 2, [0.9] * 2, statuses=["diverged"] * 4)
    assert headline(study, compare_cells(study)) == ""


def test_an_incomplete_study_has_an_answer_so_far(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS), plus(GAINS), p="0,0.5,0.25")
    runs = study.runs.copy()
    runs.loc[runs["dropout.p"] == 0.25, "status"] = MISSING
    runs.loc[runs["dropout.p"] == 0.25, "test_accuracy"] = math.nan
    assert answer(dataclasses.replace(study, runs=runs)).startswith(
        "So far, dropout with p = 0.5 classified 5 more of 1,000 test images correctly"
    )


def test_data_sets_are_counted(tmp_path: Path) -> None:
    assert answer(sizes_study(tmp_path)) == (
        "Dropout classifies more test images correctly than no dropout on 1 of 3 data sets (train "
        "size = 400); fewer on 1 (train size = 100); undecided on 1 (train size = 200)."
    )


def test_without_a_choice_the_settings_are_counted(tmp_path: Path) -> None:
    equal = [a + b for a, b in zip(BARE_8, SMALL, strict=True)]
    study = study_of(tmp_path, BARE_8, [a + 0.002 for a in equal], equal, p="0,0.25,0.5")
    table = compare_cells(study, margin=0.001).assign(validation_accuracy_mean=math.nan)
    assert headline(study, table) == (
        "1 of 2 settings classifies more test images correctly than no dropout (p = 0.25); 1 "
        "equally many, to within 0.1 pp (p = 0.5)."
    )


def test_labelled_cells_are_networks(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "sweep:\n  baseline: false\n  cells:\n"
        "  - {label: A, dropout.p: 0.1}\n  - {label: B, dropout.p: 0.5}\n"
    )
    path = made_study(
        tmp_path / "s", accuracies=[round(a, 6) for a in [*BARE, *plus(GAINS)]], seeds=6, file=file
    )
    assert answer(read_study(path), against={"label": "A"}).startswith(
        "The network with B classifies 5 more of 1,000 test images correctly than the network with "
        "A (+0.50 pp"
    )
