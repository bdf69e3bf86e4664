"""What the sentences say, and what they must not say."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.family import axis_value, correct_comparisons
from dropout_lab.analysis.headline import headline
from dropout_lab.analysis.paired import compare_cells, seeds_option
from dropout_lab.analysis.response_curve import (
    CurvePoint,
    ResponseCurve,
    response_curve_through,
    response_sentence,
)
from dropout_lab.analysis.tables import MISSING, StudyTables, read_study
from dropout_lab.analysis.verdicts import SIGNIFICANT, has_too_few_seeds
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
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
    """Return the conclusions after the headline."""
    table = compare_cells(study, **options)
    return [line for line in conclusions(study, table) if line != headline(study, table)]


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
    assert value.startswith("With p = 0.5: 96.55% test accuracy [96.")
    assert effect == (
        "Test accuracy with p = 0.5 is 0.50 pp [0.35, 0.65] higher than with no dropout "
        "(n = 6 paired seeds). The difference is significant (sign-flip p-value 0.031)."
    )
    assert gap == (
        "The gap between training and test accuracy is 2.45 pp, against 2.95 pp with no dropout: "
        "0.50 pp [0.35, 0.65] narrower (n = 6 paired seeds)."
    )


def test_below_six_pairs_it_is_said_what_is_missing(tmp_path: Path) -> None:
    values = [*BARE[:3], *(a + 0.01 for a in BARE[:3])]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=values, seeds=3)
    _, effect, _, seeds = told(study)
    assert effect.endswith("higher than with no dropout (n = 3 paired seeds).")
    assert seeds == (
        "3 paired seeds cannot show a significant difference: 1 comparison needs 6 paired seeds. "
        "Add --seeds 6 to the command."
    )


def test_the_option_continues_the_seeds_of_the_study(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=BARE[:4], seeds=2)
    assert seeds_option(study, 6) == "--seeds 6"
    others = {
        name: dataclasses.replace(run, seed=run.seed + 5) for name, run in study.runs_by_id.items()
    }
    assert seeds_option(dataclasses.replace(study, runs_by_id=others), 4) == "--seeds 5,6,7,8"


def test_six_pairs_for_nine_comparisons_are_too_few_and_nine_are_asked_for(tmp_path: Path) -> None:
    text = " ".join(told(swept_p(tmp_path, 6)))
    assert (
        "6 paired seeds cannot show a significant difference: 9 comparisons need 9 paired seeds. "
        "Add --seeds 9 to the command."
    ) in text
    assert ", significant" not in text
    assert "None is significant" in text


def test_what_is_not_significant_is_called_so_and_the_seeds_it_takes(tmp_path: Path) -> None:
    values = [*BARE, *(a + b for a, b in zip(BARE, [0.004, -0.004] * 3, strict=True))]
    _, effect, gap = told(study_of(tmp_path, "dropout.p=0,0.5", accuracies=values))
    assert "The difference is not significant (sign-flip p-value 1)" in effect
    assert "To detect a difference of 0.1 pp with 80% power, about 153 paired seeds" in effect
    assert "the interval includes 0" in gap


def over_p(study: StudyTables) -> str:
    (line,) = [line for line in told(study) if line.startswith("Over p")]
    return line


def test_a_sweep_of_p_that_is_flat_with_rising_ends_is_described_so(tmp_path: Path) -> None:
    line = over_p(swept_p(tmp_path, 12))
    found = re.fullmatch(
        r"Over p, validation chose (p = 0\.[2-6])\. Compared with it, test error is "
        r"(8\.\d\d) pp \[(.*?), (.*?)\] higher at p = 0\.9 and (0\.\d\d) pp \[(.*?), (.*?)\] "
        r"higher at p = 0 \(n = 12 paired seeds\)\. Test error is flat to within 0\.\d\d pp from "
        r"p = 0\.2 to p = 0\.6\.",
        line,
    )
    assert found is not None, line
    numbers = [float(text) for text in found.groups()[1:]]
    for (rise, low, high), truth in ((numbers[:3], 8.0), (numbers[3:], 0.4)):
        assert low < rise < high
        assert rise == pytest.approx(truth, abs=0.1)


def test_nothing_is_called_lowest_on_test_of_a_value_that_validation_chose(tmp_path: Path) -> None:
    """Validation chose p = 0.6; on the test set p = 0.2 is 1.5 pp better, and clearly so."""
    study = swept_p(
        tmp_path, 12, [0.970, 0.984, 0.985, 0.972, 0.971, 0.970, 0.970, 0.96, 0.95, 0.9]
    )
    table = compare_cells(study)
    table.loc[table["dropout.p"] == 0.6, "validation_accuracy_mean"] = 0.999
    (line,) = [line for line in conclusions(study, table) if line.startswith("Over p")]
    assert line.startswith("Over p, validation chose p = 0.6. Compared with it, test error is ")
    assert re.search(r"1\.[345]\d pp \[.*?\] lower at p = 0\.1", line) is not None, line
    assert not re.search("lowest|best|rises", line)


def test_the_shape_has_the_paired_differences_of_its_values(tmp_path: Path) -> None:
    study = swept_p(tmp_path, 12)
    table = compare_cells(study)
    shape = response_curve_through(
        study, table, table.iloc[4], "dropout.p", correct_comparisons(study, table)
    )
    assert shape is not None
    assert [point.value for point in shape.points] == [i / 10 for i in range(10)]
    by_p = study.runs.pivot_table(index="seed", columns="dropout.p", values="test_accuracy")
    for point in shape.points:
        rises = by_p[shape.points[shape.best].value] - by_p[point.value]
        assert point.rise == pytest.approx(rises.mean(), abs=1e-12)
    first, last = shape.flat_range
    assert first <= shape.best <= last
    assert shape.max_undetected == max(
        point.max_difference for point in shape.points[first : last + 1] if point.pairs
    )
    assert all(point.differs for point in (shape.points[0], shape.points[8], shape.points[9]))


def test_noise_alone_is_no_shape(tmp_path: Path) -> None:
    line = over_p(swept_p(tmp_path, 12, means=[0.97] * 10, noise=0.002))
    assert "No test error from p = 0 to p = 0.9 differs detectably from it (" in line
    assert line.endswith(" pp remain possible.")
    assert "flat" not in line


def test_a_rise_to_one_side_is_described_as_one(tmp_path: Path) -> None:
    line = over_p(swept_p(tmp_path, 12, [0.98 - 0.004 * i for i in range(10)]))
    assert line.startswith("Over p, validation chose p = 0. Compared with it, test error is 3.5")
    assert "higher at p = 0.9 (n = 12 paired seeds). Each neighboring value differs" in line


def test_five_seeds_have_no_shape(tmp_path: Path) -> None:
    """Whatever the numbers: below six pairs nothing differs, in no sentence."""
    study = swept_p(tmp_path, 5, noise=1e-6)
    assert not correct_comparisons(study, compare_cells(study)).significant
    assert "No test error from p = 0 to p = 0.9 differs detectably" in over_p(study)


def test_widths_and_settings_that_change_together_are_one_axis(tmp_path: Path) -> None:
    assert [axis_value(v) for v in ("[512, 512]", 64, "0.5", [8])] == [512, 64, 0.5, 8]
    assert all(math.isnan(axis_value(v)) for v in ("[512, 64]", "relu", None, "[]", True, "true"))
    widths = ["[8, 8]", "[16, 16]", "[32, 32]", "[64, 64]"]
    values = [0.90, 0.901, 0.902, 0.94, 0.9402, 0.9421, 0.96, 0.9612, 0.962, 0.97, 0.971, 0.9723]
    study = study_of(
        tmp_path, f"model.hidden={','.join(w.replace(' ', '') for w in widths)}", "dropout.p=0.5",
        accuracies=values * 2, seeds=3,
    )  # fmt: skip
    sentences = [line for line in told(study) if line.startswith("Over hidden")]
    assert len(sentences) == 1
    assert "validation chose hidden = 64" in sentences[0]
    assert "from hidden = 8 to hidden = 64" in sentences[0]


def sizes_study(folder: Path) -> StudyTables:
    """Dropout hurts at 100 images, does nothing at 200, helps at 400: with seven seeds."""
    gains = {100: -0.01, 200: 0.0, 400: 0.02}
    random = np.random.default_rng(0)
    bare = {size: 0.8 + size / 4000 + random.normal(0, 0.002, 7) for size in gains}
    wobble = np.array([1, -1, 2, -2, 1, -1, 0.5]) * 1e-3
    values = [a for size in gains for a in bare[size]]
    values += [a for size, gain in gains.items() for a in bare[size] + gain + wobble]
    settings = ("dataset.train_size=100,200,400", "dropout.p=0,0.5")
    return study_of(folder, *settings, accuracies=values, seeds=7)


def test_over_data_sizes_it_is_said_where_dropout_helps(tmp_path: Path) -> None:
    """With seven seeds: three comparisons take so many."""
    study = sizes_study(tmp_path)
    first, second, *rest = told(study)
    assert first.startswith(
        "Test accuracy with dropout, compared with the baseline (no dropout), is "
        "significantly higher at train size = 400 (+2."
    )
    assert "significantly lower at train size = 100 (−" in first
    assert "not significantly different at train size = 200 (" in first
    assert "n = 7 paired seeds; Holm's correction over 3 comparisons" in first
    assert "(p = 0.5, train size = 400: +2." in second
    assert "(p = 0.5, train size = 100: −0.99 pp, significant)" in second
    assert sum(line.startswith("At train size = ") for line in rest) == 3
    assert not [line for line in rest if "alidation chose p = 0.5, train size" in line]


def test_one_pair_has_one_verdict_in_all_sentences(tmp_path: Path) -> None:
    """What is said of a data size is the table's verdict, corrected over all comparisons."""
    values = [0.8, 0.81, 0.85, 0.86, 0.9, 0.91, 0.82, 0.83, 0.87, 0.88, 0.92, 0.93]
    study = study_of(
        tmp_path, "dataset.train_size=100,200,400", "dropout.p=0,0.5", accuracies=values, seeds=2
    )
    first, second, third, *_ = told(study)
    assert "is not decided with so few seeds at train size = 100 (+2.00 pp [" in first
    assert second.startswith(
        "In 3 comparisons with the baseline (no dropout), the mean test accuracy is higher in 3"
    )
    assert third == (
        "2 paired seeds cannot show a significant difference: 3 comparisons need 7 paired seeds. "
        "Add --seeds 7 to the command."
    )


def test_what_speaks_against_dropout_is_named_as_well(tmp_path: Path) -> None:
    """Three seeds, six networks: dropout is ahead in one and behind in five, far in one."""
    widths = [4, 8, 16, 32, 64, 128]
    gains = [-0.28, -0.04, -0.01, -0.005, -0.002, 0.003]
    bare = [0.90 + 0.01 * i + 0.001 * seed for i in range(6) for seed in range(3)]
    values = [*bare, *(a + gains[i // 3] for i, a in enumerate(bare))]
    hidden = ",".join(f"[{width}]" for width in widths)
    study = study_of(
        tmp_path, f"model.hidden={hidden}", "dropout.p=0.5", accuracies=values, seeds=3
    )
    (line,) = [line for line in told(study) if line.startswith("In 6 comparisons")]
    assert "higher in 1 (p = 0.5, hidden = [128]: +0.30 pp)" in line
    assert "and lower in 5 (p = 0.5, hidden = [4]: −28.00 pp; p = 0.5, hidden = [8]: −4.00" in line
    assert "None is significant" in line


def test_a_partial_study_says_so_first_and_corrects_over_what_was_planned(tmp_path: Path) -> None:
    """Three values of p were planned; one of them was not trained."""
    values = [*BARE, *(a + b for a, b in zip(BARE, GAINS, strict=True)), *BARE, *BARE]
    whole = study_of(tmp_path, "dropout.p=0,0.8,0.5,0.25", accuracies=values)
    runs = whole.runs.copy()
    runs.loc[runs["dropout.p"] == 0.25, "status"] = MISSING
    runs.loc[runs["dropout.p"] == 0.25, "test_accuracy"] = math.nan
    study = dataclasses.replace(whole, runs=runs)
    table = compare_cells(study)
    row = table[table["dropout.p"] == 0.8].iloc[0]
    # Three comparisons with the baseline have 0.95 of the error rate, three others 0.05, one of
    # which is significant and leaves its share.
    assert row["p_holm"] == pytest.approx(3 / 32 / 0.95 * (0.95 + 0.05 * 2 / 3))
    assert has_too_few_seeds(row)
    first, *rest = conclusions(study, table)[1:]
    assert first == (
        "This study is incomplete: 6 of 24 runs are missing (6 of 6 with p = 0.25). Run its "
        "command again to finish it; what follows can still change. The p-values are corrected for "
        "all 3 planned comparisons."
    )
    assert rest[0].startswith("Among the cells with results so far, validation chose p = 0.8: ")
    assert not [line for line in rest if line.startswith("Validation chose")]


def test_a_gap_below_zero_is_neither_narrow_nor_wide(tmp_path: Path) -> None:
    """With moved training labels train − test accuracy is negative, and measures no overfitting."""
    values = [*BARE, *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    settings = ("dropout.p=0,0.5", "dataset.label_noise=0.4")
    whole = study_of(tmp_path, *settings, accuracies=values)
    study = dataclasses.replace(
        whole, runs=whole.runs.assign(accuracy_gap=whole.runs["accuracy_gap"] - 0.3)
    )
    (line,) = [line for line in told(study) if line.startswith("Train − test accuracy")]
    assert line.startswith(
        "Train − test accuracy is −27.55 pp, against −27.05 pp with no dropout: 0.50 pp "
        "[0.35, 0.65] lower (n = 6 paired seeds)."
    )
    assert "on the labels as trained, of which 40% were moved to another class" in line
    assert "narrower" not in line
    assert "wider" not in line


def test_diverged_and_failed_runs_are_named(tmp_path: Path) -> None:
    statuses = ["completed"] * 7 + ["diverged", "failed", "diverged", "completed", "interrupted"]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=BARE * 2, statuses=statuses)
    first, *_, diverged, failed, broken = told(study)
    assert first.startswith("This study is incomplete: 1 of 12 runs is missing (1 of 6 with p = ")
    assert diverged == "2 runs diverged and are in no mean and no pair: p = 0.5 (seeds 1, 3)."
    assert failed == "1 run failed and is in no mean and no pair: p = 0.5 (seed 2)."
    assert broken == "1 run broke off and is in no mean and no pair: p = 0.5 (seed 5)."


def test_the_best_on_test_is_told_beside_with_its_optimism(tmp_path: Path) -> None:
    values = [*BARE, *(a + 0.004 for a in BARE), *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    study = study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=values)
    table = compare_cells(study)
    table.loc[1, "validation_accuracy_mean"] = 0.99
    first = conclusions(study, table)[1]
    assert first.startswith(
        "Among the cells with dropout, validation chose p = 0.25: 96.45% test accuracy ["
    )
    assert (
        "This is the number to report. The highest test accuracy of them, 96.55% with p = 0.5, is "
        "overstated by "
    ) in first
    assert first.endswith(" 0.01 pp, because the test set picked it (bootstrap over 6 seeds).")


def test_without_validation_nothing_is_chosen(tmp_path: Path) -> None:
    study = study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=BARE * 3)
    table = compare_cells(study).assign(validation_accuracy_mean=math.nan)
    first = conclusions(study, table)[1]
    assert first.startswith("There is no validation set, so no cell was chosen.")


def test_another_reference_is_named_in_the_sentences(tmp_path: Path) -> None:
    values = [*BARE, *(a + b for a, b in zip(BARE, GAINS, strict=True))]
    study = study_of(tmp_path, "dropout.p=0,0.5", accuracies=values)
    _, effect, gap = told(study, against={"dropout.p": 0.5})
    assert effect.startswith(
        "Test accuracy with no dropout is 0.50 pp [0.35, 0.65] lower than with p = 0.5"
    )
    assert "against 2.45 pp with p = 0.5: 0.50 pp" in gap


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
    assert lines[1].startswith(f"Test accuracy with no dropout, {told_of} is ")


def test_runs_without_dropout_are_not_denied_where_another_reference_is_named(
    tmp_path: Path,
) -> None:
    settings = ("dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5")
    whole = study_of(tmp_path, *settings, accuracies=BARE * 5)
    study = dataclasses.replace(whole, runs=whole.runs[whole.runs["dropout.p"] != 0.25])
    assert "no runs no dropout" not in " ".join(told(study, against={"dropout.p": 0.5}))


def test_one_seed_is_told_without_intervals(tmp_path: Path) -> None:
    lines = told(study_of(tmp_path, "dropout.p=0,0.5", accuracies=[0.9, 0.91], seeds=1))
    assert lines[0] == "With p = 0.5: 91.00% test accuracy after the last epoch (n = 1 seed)."
    assert "[" not in " ".join(lines)
    assert lines[-1].startswith("1 paired seed cannot show a significant difference: ")


def test_nothing_completed_is_said(tmp_path: Path) -> None:
    lines = told(
        study_of(tmp_path, "dropout.p=0,0.5", accuracies=BARE * 2, statuses=["diverged"] * 12)
    )
    assert lines[0] == "No run completed."
    assert lines[1].startswith("12 runs diverged and are in no mean and no pair: no dropout")


def test_significant_cells_of_a_grid_are_counted_and_named(tmp_path: Path) -> None:
    (line,) = [line for line in told(swept_p(tmp_path, 12)) if line.startswith("In 9 comparisons")]
    assert re.search(
        r"is higher in 7 \((p = 0\.\d: \+0\.\d\d pp, significant; ){4}3 more\) and lower in 2 "
        r"\(p = 0\.9: −7\.\d\d pp, significant; p = 0\.8: −0\.\d\d pp, significant\)",
        line,
    ), line
    assert line.endswith(
        "(n = 12 paired seeds). 9 are significant (sign-flip tests, Holm's correction over 9 "
        "comparisons)."
    )


def test_the_word_significant_is_in_no_sentence_where_no_verdict_has_it(tmp_path: Path) -> None:
    """Published studies: whatever their numbers, only a verdict calls something significant."""
    reference = Path(__file__).parents[2] / "results" / "reference"
    folders = sorted(path.parent for path in reference.glob("*/manifest.json"))
    if not folders:
        pytest.skip("the published studies are not here")
    words = ("significantly ", "difference is significant", ", significant")
    for folder in folders:
        study = read_study(folder)
        table = compare_cells(study)
        text = " ".join(conclusions(study, table))
        found = bool(table["verdict"].isin(SIGNIFICANT).any())
        assert any(word in text for word in words) == found, folder.name
        few = bool(table.apply(has_too_few_seeds, axis=1).any())
        assert ("cannot show a significant difference" in text) == few, folder.name


def test_cells_without_an_ordered_axis_are_told_in_order(tmp_path: Path) -> None:
    """Three variants, the second as good as the first but for noise, the third far behind."""
    wobble = [0.001, -0.001, 0.002, -0.002, 0.001, -0.0015]
    values = [
        *BARE,
        *(a + 0.02 for a in BARE),
        *(a + 0.02 + b for a, b in zip(BARE, wobble, strict=True)),
    ]
    values = [a for i in range(3) for a in (*values[6 * i : 6 * i + 6], values[6 * i])]
    study = study_of(
        tmp_path, "dropout.variant=inverted,gaussian", "dropout.p=0.5", accuracies=values, seeds=7
    )
    (line,) = [line for line in told(study) if line.startswith("In order of test error")]
    assert re.match(r"In order of test error: 1\.9\d% \[1\.", line)
    assert re.search(r"with gaussian; 1\.9\d% \[.*with inverted; 3\.9\d% \[", line) is not None
    assert line.endswith(
        "no dropout (n = 7 seeds). 1 of the 2 steps from one cell to the next is significant: "
        "inverted is better than no dropout."
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
    lines = told(study_of(tmp_path / "without", accuracies=values, seeds=3))
    (line,) = [line for line in lines if line.startswith("Over ")]
    assert line.startswith("Over p, hidden changing with it, validation chose p = 0.2.")
    assert "from p = 0.2 to p = 0.8" in line
    # The cell without dropout, of a width of its own, is p = 0 of the line.
    with path.open("a") as file:
        file.write("    - {dropout.p: 0.0, model.hidden: [16]}\n")
    config = load(path, Changes(sweep=True))
    lines = told(study_of(tmp_path / "with", accuracies=[*values, 0.96, 0.96, 0.96], seeds=3))
    (line,) = [line for line in lines if line.startswith("Over ")]
    assert "from p = 0 to p = 0.8" in line
    # One of a width that another p has is not.
    path.write_text(path.read_text().replace("[16]", "[20]"))
    config = load(path, Changes(sweep=True))
    lines = told(study_of(tmp_path / "equal", accuracies=[*values, 0.96, 0.96, 0.96], seeds=3))
    assert "from p = 0.2 to p = 0.8" in next(line for line in lines if line.startswith("Over "))


def test_a_line_of_values_that_are_null_is_a_line(tmp_path: Path) -> None:
    """Validation chooses a p without a bound on the norms."""
    values = [0.9, 0.9, 0.95, 0.92, 0.93, 0.9, 0.9, 0.91, 0.9, 0.9]
    study = study_of(
        tmp_path, "regularization.max_norm=null,2", "dropout.p=0,0.2,0.4,0.6,0.8",
        accuracies=[value + each for value in values for each in (0, 0.001)], seeds=2,
    )  # fmt: skip
    (line,) = [line for line in told(study) if line.startswith("Over p")]
    assert line.startswith("Over p (at max norm = none), validation chose p = 0.2. ")
    assert "from p = 0 to p = 0.8" in line


@pytest.mark.parametrize(("reach", "flat"), [(0.0065, True), (0.008, False)])
def test_flat_is_not_said_where_over_a_quarter_of_the_change_remains_open(
    reach: float, flat: bool
) -> None:
    points = (
        CurvePoint(0.1, 0, 0.0, (math.nan, math.nan), 0.0, differs=False),
        CurvePoint(0.5, 6, 0.001, (-0.01, 0.012), reach, differs=False),
        CurvePoint(0.9, 6, 0.027, (0.02, 0.034), 0.04, differs=True),
    )
    text = response_sentence(
        ResponseCurve("dropout.p", (), points, 0, validated=True, rows=frozenset({0, 1, 2}))
    )
    assert ("is flat to within 0.65 pp" in text) == flat
    assert ("No test error from p = 0.1 to p = 0.5 differs detectably" in text) != flat
    assert "validation chose p = 0.1" in text


def test_among_which_cells_validation_chose_is_said(tmp_path: Path) -> None:
    """The cell without dropout is the best of all, and no choice."""
    values = [*(a + 0.03 for a in BARE), *BARE, *(a - 0.01 for a in BARE)]
    first = told(study_of(tmp_path, "dropout.p=0,0.25,0.5", accuracies=values))[0]
    assert first.startswith("Among the cells with dropout, validation chose p = 0.25: ")
    assert first.endswith("It also has the highest test accuracy of them.")
