"""What the sentences say, and what they must not say."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.paired import compared
from dropout_lab.analysis.shape import Point, Shape, number, sentence, shape_through, told_apart
from dropout_lab.analysis.tables import StudyTables, read_study
from dropout_lab.config.changes import Changes
from dropout_lab.config.load import load
from tests.analysis.test_tables import made_study

BARE = [0.960, 0.962, 0.958, 0.961, 0.959, 0.963]
GAINS = [0.004, 0.006, 0.005, 0.003, 0.007, 0.005]
EVERY_P = "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"
# Mean accuracies of a sweep of p that is flat in the middle and falls at both ends.
PLATEAU = [0.976, 0.978, 0.980, 0.980, 0.980, 0.980, 0.980, 0.978, 0.970, 0.900]


def study_of(
    folder: Path, *settings: str, accuracies: list[float], seeds: int = 6, **rest: object
) -> StudyTables:
    values = [round(float(value), 6) for value in accuracies]
    return read_study(made_study(folder / "s", *settings, accuracies=values, seeds=seeds, **rest))


def told(study: StudyTables, **options: object) -> list[str]:
    return conclusions(study, compared(study, **options))


def swept_p(folder: Path, seeds: int, means: list[float] = PLATEAU, noise: float = 2e-4):
    """Return a sweep of p with so many seeds, their own level and noise of each run."""
    random = np.random.default_rng(3)
    level = random.normal(0, 0.001, seeds)
    values = [m + level[s] + random.normal(0, noise) for m in means for s in range(seeds)]
    return study_of(folder, f"dropout.p={EVERY_P}", accuracies=values, seeds=seeds)


def test_six_pairs_that_agree_are_called_significant_with_their_numbers(tmp_path: Path) -> None:
    """The gains of test_paired: 0.5 points [0.352, 0.648] by hand."""
    values = [*BARE, *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    value, effect, gap = told(study_of(tmp_path, "dropout.p=0,0.5", accuracies=values))
    assert value.startswith("With p = 0.5: 96.55 % test accuracy [96.")
    assert effect == (
        "Test accuracy with p = 0.5 is 0.50 points [0.35, 0.65] higher than without dropout "
        "(n = 6 paired seeds), which is significant (sign-flip p-value 0.031)."
    )
    assert gap == (
        "The gap between training and test accuracy is 2.45 points, against 2.95 without dropout: "
        "0.50 points [0.35, 0.65] narrower (n = 6 paired seeds)."
    )


def test_below_six_pairs_it_is_said_what_is_missing(tmp_path: Path) -> None:
    values = [*BARE[:3], *(a + 0.01 for a in BARE[:3])]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=values, seeds=3)
    _, effect, _ = told(study)
    assert (
        "3 paired seeds cannot show significance: the smallest p-value they can reach is 0.25; "
        in effect
    )
    assert "6 are needed." in effect
    assert "is significant" not in effect


def test_six_pairs_for_nine_comparisons_are_too_few_and_nine_are_asked_for(tmp_path: Path) -> None:
    text = " ".join(told(swept_p(tmp_path, 6)))
    assert "the smallest p-value they can reach after Holm's correction over 9 comparisons" in text
    assert "is 0.28; 9 are needed for 9 comparisons." in text
    assert "significant" not in text.replace("cannot show significance", "")


def test_what_is_not_significant_is_called_so_and_the_seeds_it_takes(tmp_path: Path) -> None:
    values = [*BARE, *(a + b for a, b in zip(BARE, [0.004, -0.004] * 3, strict=True))]
    _, effect, gap = told(study_of(tmp_path, "dropout.p=0,0.5", accuracies=values))
    assert "which is not significant (sign-flip p-value 1)" in effect
    assert "To find a difference of 0.1 points with 80 % power, about 153 paired seeds" in effect
    assert "the interval does not exclude 0" in gap


def test_a_sweep_of_p_that_is_flat_with_rising_ends_is_told_as_one(tmp_path: Path) -> None:
    study = swept_p(tmp_path, 5)
    (sentence,) = [line for line in told(study) if line.startswith("Test error over p")]
    interval = r"points \[(.*?), (.*?)\]"
    found = re.fullmatch(
        r"Test error over p is flat to within 0\.\d\d points from p = 0\.2 to p = 0\.6, and "
        rf"rises at both ends: by (8\.\d\d) {interval} at p = 0\.9, by (0\.\d\d) {interval} at "
        r"p = 0 \(n = 5 paired seeds\)\. No value from p = 0\.2 to p = 0\.6 can be told from "
        r"p = 0\.[2-6], the best of these by validation \(paired t tests, Holm-corrected "
        r"over 9 values\); "
        r"the simultaneous 95 % intervals leave no more open\.",
        sentence,
    )
    assert found is not None, sentence
    numbers = [float(text) for text in found.groups()]
    for (rise, low, high), truth in ((numbers[:3], 8.0), (numbers[3:], 0.4)):
        assert low < rise < high
        assert rise == pytest.approx(truth, abs=0.1)


def test_the_shape_has_the_paired_differences_of_its_values(tmp_path: Path) -> None:
    study = swept_p(tmp_path, 5)
    table = compared(study)
    shape = shape_through(study, table, table.iloc[4], "dropout.p")
    assert shape is not None
    assert [point.value for point in shape.points] == [i / 10 for i in range(10)]
    by_p = study.runs.pivot_table(index="seed", columns="dropout.p", values="test_accuracy")
    for point in shape.points:
        rises = by_p[shape.points[shape.best].value] - by_p[point.value]
        assert point.rise == pytest.approx(rises.mean(), abs=1e-12)
    first, last = shape.flat
    assert first <= shape.best <= last
    assert shape.open == max(point.reach for point in shape.points[first : last + 1] if point.pairs)
    assert all(point.apart for point in (shape.points[0], shape.points[8], shape.points[9]))


def test_noise_alone_is_no_shape(tmp_path: Path) -> None:
    study = swept_p(tmp_path, 4, means=[0.97] * 10, noise=0.002)
    (sentence,) = [line for line in told(study) if line.startswith("Test error over p")]
    assert "from p = 0 to p = 0.9 no value can be told from p = " in sentence
    assert "points remain open." in sentence
    assert "flat" not in sentence


def test_a_rise_to_one_side_is_told_as_one(tmp_path: Path) -> None:
    means = [0.98 - 0.004 * i for i in range(10)]
    (sentence,) = [
        line for line in told(swept_p(tmp_path, 6, means)) if line.startswith("Test error over p")
    ]
    assert sentence.startswith(
        "Test error over p is lowest at p = 0, the best of these by validation, and rises: by"
    )
    assert "both ends" not in sentence
    assert "and rises: by 3.6" in sentence


def test_two_seeds_have_no_shape(tmp_path: Path) -> None:
    """Two equal differences have no spread, and would tell anything apart."""
    assert told_apart([np.array([0.01, 0.01])]) == [False]
    assert told_apart([np.array([0.01, 0.011, 0.0105])]) == [True]
    assert told_apart([np.array([0.01, 0.01, 0.01])]) == [False]
    assert told_apart([np.full(8, 0.01), np.zeros(8), np.zeros(0)]) == [True, False, False]


def test_widths_and_settings_that_change_together_are_one_axis(tmp_path: Path) -> None:
    assert [number(v) for v in ("[512, 512]", 64, "0.5", [8])] == [512, 64, 0.5, 8]
    assert all(math.isnan(number(v)) for v in ("[512, 64]", "relu", None, "[]", True, "true"))
    widths = ["[8, 8]", "[16, 16]", "[32, 32]", "[64, 64]"]
    values = [0.90, 0.901, 0.902, 0.94, 0.9402, 0.9421, 0.96, 0.9612, 0.962, 0.97, 0.971, 0.9723]
    study = study_of(
        tmp_path, f"model.hidden={','.join(w.replace(' ', '') for w in widths)}", "dropout.p=0.5",
        accuracies=values * 2, seeds=3,
    )  # fmt: skip
    sentences = [line for line in told(study) if line.startswith("Test error over hidden")]
    assert len(sentences) == 1
    assert "at hidden = 8" in sentences[0]


def sizes_study(folder: Path) -> StudyTables:
    """Dropout hurts at 100 images, does nothing at 200, helps at 400."""
    gains = {100: -0.01, 200: 0.0, 400: 0.02}
    random = np.random.default_rng(0)
    bare = {size: 0.8 + size / 4000 + random.normal(0, 0.002, 6) for size in gains}
    wobble = np.array([1, -1, 2, -2, 1, -1]) * 1e-3
    values = [a for size in gains for a in bare[size]]
    values += [a for size, gain in gains.items() for a in bare[size] + gain + wobble]
    return study_of(folder, "dataset.train_size=100,200,400", "dropout.p=0,0.5", accuracies=values)


def test_over_data_sizes_it_is_said_where_dropout_helps(tmp_path: Path) -> None:
    study = sizes_study(tmp_path)
    first, *rest = told(study)
    assert "helps at train size = 400 (+2.00 points [" in first
    assert "hurts at train size = 100 (−1.00 points [" in first
    assert "cannot be told to help or to hurt at train size = 200 (" in first
    assert "Holm-corrected over 3; n = 6 paired seeds" in first
    assert sum(line.startswith("At train size = ") for line in rest) == 3
    assert not [line for line in rest if "alidation chose p = 0.5, train size" in line]


def test_over_data_sizes_with_too_few_seeds_it_is_said_what_is_missing(tmp_path: Path) -> None:
    values = [0.8, 0.81, 0.85, 0.86, 0.9, 0.91, 0.82, 0.83, 0.87, 0.88, 0.92, 0.93]
    study = study_of(
        tmp_path, "dataset.train_size=100,200,400", "dropout.p=0,0.5", accuracies=values, seeds=2
    )
    first, second, *_ = told(study)
    assert "helps" not in first
    assert "cannot be told to help or to hurt at train size = 100" in first
    assert second == (
        "None of the 3 comparisons can be called significant: for so many, 7 paired seeds are "
        "needed (n = 2 paired seeds)."
    )


def test_diverged_and_failed_runs_are_named(tmp_path: Path) -> None:
    statuses = ["completed"] * 7 + ["diverged", "failed", "diverged", "completed", "interrupted"]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=BARE * 2, statuses=statuses)
    *_, diverged, failed, broken = told(study)
    assert diverged == "2 runs diverged and are in no mean and no pair: p = 0.5 (seeds 1, 3)."
    assert failed == "1 run failed and is in no mean and no pair: p = 0.5 (seed 2)."
    assert broken == "1 run broke off and is in no mean and no pair: p = 0.5 (seed 5)."


def test_the_best_on_test_is_told_beside_with_its_optimism(tmp_path: Path) -> None:
    values = [*BARE, *(a + 0.004 for a in BARE), *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    study = study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=values)
    table = compared(study)
    table.loc[1, "validation_accuracy_mean"] = 0.99
    first = conclusions(study, table)[0]
    assert first.startswith(
        "Among the cells with dropout, validation chose p = 0.25: 96.45 % test accuracy ["
    )
    assert "the number to report. The best of them on test is p = 0.5 with 96.55 %" in first
    assert "overrates the winner by about 0.0" in first
    assert "points (bootstrap over 6 seeds)." in first


def test_without_validation_nothing_is_chosen(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=BARE * 3)
    table = compared(study).assign(validation_accuracy_mean=math.nan)
    first = conclusions(study, table)[0]
    assert first.startswith("There is no validation part, so nothing was chosen")


def test_another_reference_is_named_in_the_sentences(tmp_path: Path) -> None:
    values = [*BARE, *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=values)
    _, effect, gap = told(study, against={"dropout.p": 0.5})
    assert effect.startswith(
        "Test accuracy without dropout is 0.50 points [0.35, 0.65] lower than with p = 0.5"
    )
    assert "against 2.45 with p = 0.5: 0.50 points" in gap


def test_a_reference_that_validation_chose_is_compared_with_its_own_cell(tmp_path: Path) -> None:
    """Of two rates p = 0.5 is best at the second: not the first without dropout is told of."""
    settings = ("training.learning_rate=0.1,0.2", "dropout.p=0,0.5")
    values = [v + gain for gain in (0.0, -0.01, 0.002, 0.004) for v in BARE]
    study = study_of(tmp_path, *settings, accuracies=values)
    lines = told(study, against={"dropout.p": 0.5})
    chosen = re.search(r"[Vv]alidation chose (.*?):", lines[0])
    assert chosen is not None
    assert f"than with {chosen[1]} (n = 6 paired seeds)" in lines[1]
    told_of = chosen[1].replace("p = 0.5, ", "")
    assert lines[1].startswith(f"Test accuracy without dropout, {told_of} is ")


def test_runs_without_dropout_are_not_denied_where_another_reference_is_named(
    tmp_path: Path,
) -> None:
    settings = ("dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5")
    whole = study_of(tmp_path, *settings, accuracies=BARE * 5)
    study = dataclasses.replace(whole, runs=whole.runs[whole.runs["dropout.p"] != 0.25])
    assert "no runs without dropout" not in " ".join(told(study, against={"dropout.p": 0.5}))


def test_one_seed_is_told_without_intervals(tmp_path: Path) -> None:
    lines = told(study_of(tmp_path, "dropout.p=0,0.5", accuracies=[0.9, 0.91], seeds=1))
    assert lines[0] == "With p = 0.5: 91.00 % test accuracy after the last epoch (n = 1 seed)."
    assert "[" not in " ".join(lines)
    assert (
        "1 paired seed cannot show significance: the smallest p-value it can reach is 1" in lines[1]
    )


def test_nothing_completed_is_said(tmp_path: Path) -> None:
    lines = told(
        study_of(tmp_path, "dropout.p=0,0.5", accuracies=BARE * 2, statuses=["diverged"] * 12)
    )
    assert lines[0] == "No run completed."
    assert lines[1].startswith("12 runs diverged and are in no mean and no pair: without dropout")


def test_significant_cells_of_a_grid_are_counted_and_named(tmp_path: Path) -> None:
    (line,) = [line for line in told(swept_p(tmp_path, 12)) if line.startswith("Of 9 comparisons")]
    assert "7 significantly better (p = 0.1; p = 0.2; p = 0.3; p = 0.4; 3 more)" in line
    assert "2 significantly worse (p = 0.8; p = 0.9)" in line
    assert line.endswith("(Holm-corrected; n = 12 paired seeds).")


def test_the_word_significant_is_in_no_sentence_where_no_verdict_has_it(tmp_path: Path) -> None:
    """Published studies of two to five seeds: whatever their numbers, none may be called so."""
    reference = Path(__file__).parents[2] / "results" / "reference"
    folders = sorted(path.parent for path in reference.glob("*/manifest.json"))
    if not folders:
        pytest.skip("the published studies are not here")
    for folder in folders:
        study = read_study(folder)
        table = compared(study)
        assert not (table["verdict"] == "significant").any(), folder.name
        text = " ".join(conclusions(study, table))
        assert "cannot show significance" in text
        for word in ("significantly", "is significant", ", significant"):
            assert word not in text, folder.name


def test_cells_without_an_ordered_axis_are_told_in_order(tmp_path: Path) -> None:
    """Three variants, the second as good as the first but for noise, the third far behind."""
    wobble = [0.001, -0.001, 0.002, -0.002, 0.001, -0.0015]
    values = [
        *BARE,
        *(a + 0.02 for a in BARE),
        *(a + 0.02 + b for a, b in zip(BARE, wobble, strict=True)),
    ]
    study = study_of(
        tmp_path, "dropout.variant=inverted,gaussian", "dropout.p=0.5", accuracies=values
    )
    (line,) = [line for line in told(study) if line.startswith("In order of test error")]
    assert line.startswith("In order of test error: 1.95 % [1.")
    assert "with inverted; 1.96 % [" in line
    assert line.endswith(
        "without dropout (n = 6 seeds). 1 of the 2 steps from one to the next can be told from "
        "chance (paired t tests, Holm-corrected): gaussian is better than without dropout."
    )


def test_settings_that_change_with_p_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wider.yaml"
    path.write_text(
        "sweep:\n  baseline: false\n  cells:\n"
        "    - {dropout.p: 0.8, model.hidden: [80]}\n    - {dropout.p: 0.6, model.hidden: [40]}\n"
        "    - {dropout.p: 0.4, model.hidden: [27]}\n    - {dropout.p: 0.2, model.hidden: [20]}\n"
    )
    config = load(path, Changes(sweep=True))
    monkeypatch.setattr("tests.analysis.test_tables.make_config", lambda *_, **__: config)
    values = [0.9, 0.91, 0.905, 0.93, 0.94, 0.935, 0.95, 0.961, 0.955, 0.97, 0.981, 0.9755]
    (line,) = [
        line
        for line in told(study_of(tmp_path, accuracies=values, seeds=3))
        if line.startswith("Test error over")
    ]
    assert line.startswith("Test error over p, hidden changing with it, is lowest at p = 0.2")
    assert "at p = 0.8" in line


@pytest.mark.parametrize(("reach", "flat"), [(0.013, True), (0.02, False)])
def test_flat_is_not_said_where_half_the_change_remains_open(reach: float, flat: bool) -> None:
    points = (
        Point(0.1, 0, 0.0, (math.nan, math.nan), 0.0, apart=False),
        Point(0.5, 6, 0.001, (-0.01, 0.012), reach, apart=False),
        Point(0.9, 6, 0.027, (0.02, 0.034), 0.04, apart=True),
    )
    text = sentence(Shape("dropout.p", (), points, 0, validated=True, rows=frozenset({0, 1, 2})))
    assert ("is flat to within 1.30 points" in text) == flat
    assert ("does not differ by what can be told" in text) != flat
    assert "p = 0.1, the best of these by validation" in text


def test_among_which_cells_validation_chose_is_said(tmp_path: Path) -> None:
    """The cell without dropout is the best of all, and no choice."""
    values = [*(a + 0.03 for a in BARE), *BARE, *(a - 0.01 for a in BARE)]
    first = told(study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=values))[0]
    assert first.startswith("Among the cells with dropout, validation chose p = 0.25: ")
    assert first.endswith("It is the best of them on test too.")
