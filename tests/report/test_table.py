"""The table of cells: its numbers by hand, and the same numbers in every form."""

import csv
import io
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dropout_lab.analysis.tables import Label
from dropout_lab.config.grid import Run
from dropout_lab.report.cell_table import cell_table, p_text
from dropout_lab.report.exports import csv as csv_of
from dropout_lab.report.exports import latex, markdown, records
from dropout_lab.report.inferences import inference_table
from dropout_lab.report.report import Report, build_report
from tests.report.made import make_study

# t of three values at 95 %: 4.302653. Of 0.90, 0.92, 0.94: mean 0.92, s.d. 0.02, interval
# ± 4.302653 * 0.02 / sqrt(3) = 0.049683. Of 0.91, 0.95, 0.99: 0.95, s.d. 0.04, ± 0.099366.
# Differences 0.01, 0.03, 0.05: mean 0.03, s.d. 0.02, ± 0.049683.
BY_HAND = {0.0: (0.90, 0.92, 0.94), 0.5: (0.91, 0.95, 0.99)}
HOSTILE = "</script><b>\"a\" & 'b' | $x_1$ \\end{table} *c* [d](e) `f` ~g~ 100 % #{h}^"


def by_hand(run: Run) -> float:
    p = run.settings.dropout.p
    assert isinstance(p, float)
    return BY_HAND[p][run.seed]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return build_report(make_study(tmp_path / "s", p="0,0.5", seeds="3", accuracy=by_hand))


def fields(report: Report, line: int) -> dict[str, str]:
    names = (column.name for column in report.cells.columns)
    values = (field.text for field in report.cells.rows[line].fields)
    return dict(zip(names, values, strict=True))


def named(report: Report, text: str) -> Report:
    """Return a report whose second cell has a label of its own."""
    cells = report.cells
    second = cells.rows[1]
    first = replace(second.fields[0], text=text)
    lines = (cells.rows[0], replace(second, fields=(first, *second.fields[1:])))
    return replace(report, cells=replace(cells, rows=lines, title=text))


def test_the_numbers_are_those_worked_by_hand(report: Report) -> None:
    bare, half = fields(report, 0), fields(report, 1)
    assert bare["test accuracy %, mean ± SD (n)"] == "92.00 ± 2.00 (3)"
    assert bare["95% interval"] == "[87.03, 96.97]"
    assert half["test accuracy %, mean ± SD (n)"] == "95.00 ± 4.00 (3)"
    assert half["vs baseline, pp"] == "+3.00 [−1.97, 7.97]"
    assert half["verdict"] == "undecided: too few seeds, needs about 6 seeds"
    # mean / s.d. = 1.5, times Hedges' gamma(1) / (sqrt(1) * gamma(1/2)) = 0.56419
    assert half["effect size"] == "+0.85"
    assert bare["vs baseline, pp"] == bare["p-value, Holm"] == bare["verdict"] == "–"


def test_errors_are_the_same_numbers_from_the_other_side(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", p="0,0.5", seeds="3", accuracy=by_hand)
    half = fields(build_report(folder, errors=True), 1)
    assert half["test error %, mean ± SD (n)"] == "5.00 ± 4.00 (3)"
    assert half["95% interval"] == "[−4.94, 14.94]"
    assert half["vs baseline, pp"] == "−3.00 [−7.97, 1.97]"
    assert half["gap, pp"] == "2.33 ± 1.15"  # 3, 3 and, up to 100 % in training, 1
    assert half["effect size"].startswith("−")


def test_the_best_by_validation_and_the_reference_are_marked(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", p="0,0.3,0.6", seeds="2")
    lines = build_report(folder).cells.rows
    assert [line.chosen for line in lines] == [False, True, False]
    assert [line.reference for line in lines] == [True, False, False]
    against = build_report(folder, {"dropout.p": 0.6})
    assert [line.reference for line in against.cells.rows] == [False, False, True]
    assert "vs p = 0.6, pp" in fields(against, 0)
    assert fields(against, 2)["vs p = 0.6, pp"] == "–"


def test_of_one_seed_nothing_is_told_that_is_not_known(tmp_path: Path) -> None:
    report = build_report(make_study(tmp_path / "s", p="0,0.5", seeds="1"))
    half = fields(report, 1)
    assert half["test accuracy %, mean ± SD (n)"].endswith(" (1)")
    assert "±" not in half["test accuracy %, mean ± SD (n)"]
    assert half["95% interval"] == half["effect size"] == "–"
    assert half["vs baseline, pp"][1:].replace(".", "").isdigit()


def test_pairs_are_told_where_they_are_fewer_than_the_runs(tmp_path: Path) -> None:
    """The third seed without dropout failed: three runs with dropout, two pairs."""

    def ends(run: Run) -> tuple[str, str]:
        lost = run.seed == 2 and run.settings.dropout.p == 0
        return ("failed", "a cable") if lost else ("completed", "")

    report = build_report(make_study(tmp_path / "s", p="0,0.5", seeds="3", ends=ends))
    assert fields(report, 1)["test accuracy %, mean ± SD (n)"].endswith("(3)")
    assert fields(report, 1)["vs baseline, pp"].endswith("(2)")
    assert "1 run did not complete and do not count" not in report.cells.note
    assert "1 run did not complete and does not count" in report.cells.note


def test_where_nothing_completed_the_table_says_so(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", p="0,0.5", seeds="1", ends=lambda run: ("diverged", "inf"))
    report = build_report(folder)
    assert fields(report, 0)["test accuracy %, mean ± SD (n)"] == "– (0)"
    assert report.write()


@pytest.mark.parametrize(("p", "text"), [(math.nan, "–"), (0.0004, "<0.001"), (0.03125, "0.031")])
def test_a_p_value_in_words(p: float, text: str) -> None:
    assert p_text(p) == text


def test_the_csv_has_every_number_at_full_precision(report: Report) -> None:
    frame = pd.read_csv(io.StringIO(csv_of(records(report.statistics, report.cells, errors=True))))
    for name in ("test_accuracy_mean", "difference_low", "p_holm", "seeds_needed"):
        assert frame[name].tolist() == pytest.approx(report.statistics[name].tolist(), nan_ok=True)
    assert frame["test_accuracy_mean"][1] == report.statistics["test_accuracy_mean"][1]
    assert frame["test_error_percent_mean"][1] == pytest.approx(
        100 * (1 - frame["test_accuracy_mean"][1])
    )
    assert frame["cell"].tolist() == ["no dropout", "p = 0.5"]
    assert frame["reference"].tolist()[1] == "no dropout"
    assert frame["best_by_validation"].tolist() == [False, True]
    assert frame["is_baseline"].tolist() == [True, False]


def test_the_files_have_the_margin_and_its_tests(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", p="0,0.5", seeds="6", accuracy=lambda run: 0.9)
    equal = build_report(folder, margin=0.001)
    frame = pd.read_csv(io.StringIO(csv_of(records(equal.statistics, equal.cells, errors=False))))
    assert frame["margin"].tolist() == [0.001, 0.001]
    # All six differences are 0: of 2^6 patterns of signs one is within the margin at each end.
    assert frame["p_equivalence"].tolist()[1] == frame["p_equivalence_holm"].tolist()[1] == 1 / 64
    assert frame["verdict"].tolist() == ["no pairs", "equivalent"]
    assert frame["seeds_to_decide"].isna().all()
    assert fields(equal, 1)["verdict"] == "equivalent"
    assert fields(equal, 1)["p-value, equivalence"] == "0.016"
    assert equal.cells.note.count("margin of equivalence: 0.1 pp") == 1
    assert "equivalent" in markdown(equal.cells)
    plain = build_report(folder)
    assert plain.cells.margin is None
    assert "margin" not in plain.cells.note
    assert fields(plain, 1)["p-value, equivalence"] == "–"


def test_markdown_is_a_table_whatever_a_cell_is_called(report: Report) -> None:
    header, rule, first, second, *_ = markdown(named(report, HOSTILE).cells).splitlines()
    bars = [row.replace("\\|", "").count("|") for row in (header, rule, first, second)]
    assert len(set(bars)) == 1
    assert second.startswith(
        "| **\\</script\\>\\<b\\>\"a\" \\& 'b' \\| \\$x\\_1\\$ \\\\end{table} "
    )
    assert "95.00 ± 4.00 (3)" in second


def test_a_cell_that_begins_like_a_formula_is_none_in_a_spreadsheet(report: Report) -> None:
    cells = named(report, '=HYPERLINK("http://x")').cells
    rows = list(
        csv.DictReader(io.StringIO(csv_of(records(report.statistics, cells, errors=False))))
    )
    assert rows[1]["cell"] == '\'=HYPERLINK("http://x")'
    assert float(rows[1]["difference_low"]) < 0  # a negative number stays one


def test_latex_has_the_rules_of_booktabs_and_a_field_for_each_column(report: Report) -> None:
    lines = latex(report.cells).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule", r"\midrule", r"\bottomrule"
    ]  # fmt: skip
    assert {row.count("&") for row in rows} == {5}
    assert r"\begin{tabular}{lrrrrl}" in lines
    assert rows[-1].startswith(r"\textbf{p = 0.5} * & $95.00 \pm 4.00$ ($3$) & ")
    assert "$+3.00$ [$-1.97$, $7.97$]" in rows[-1]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_is_set_whatever_a_cell_is_called(report: Report, tmp_path: Path) -> None:
    (tmp_path / "cells.tex").write_text(latex(named(report, HOSTILE).cells))
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
        "\\input{cells.tex}\n\\end{document}\n"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_each_way_to_use_the_network_has_its_mean_over_the_seeds(report: Report) -> None:
    """Accuracies 0.90 and 0.94: mean 0.92, s.d. 0.028284. One ensemble of them has no spread."""
    used = pd.DataFrame(
        {
            "dropout.p": 0.5,
            "inference": ["mean", "mean", "monte_carlo", "monte_carlo"],
            "test_accuracy": [0.90, 0.94, 0.5, 0.5],
            "test_loss": [0.2, 0.4, 1000.0, 1000.0],
            "test_ece": [0.01, 0.03, 0.1, 0.1],
        }
    )
    one = {"dropout.p": [0.5], "test_accuracy": [0.95], "test_loss": [0.1], "test_ece": [0.02]}
    study = replace(report.study, inference=used, ensembles=pd.DataFrame(one))
    found = inference_table(study, report.statistics)
    assert found is not None
    assert [[field.text for field in line.fields] for line in found.rows] == [
        ["p = 0.5", "mean", "92.00 ± 2.83", "0.300 ± 0.141", "0.020 ± 0.014"],
        ["p = 0.5", "monte carlo", "50.00 ± 0.00", "1e+03", "0.100 ± 0.000"],
        ["p = 0.5", "ensemble", "95.00", "0.100", "0.020"],
    ]
    assert inference_table(report.study, report.statistics) is None


def test_a_label_of_the_config_names_its_cell(tmp_path: Path) -> None:
    report = build_report(make_study(tmp_path / "s", p="0,0.25", seeds="2"))
    label = Label("the paper's net", frozenset({"dropout.p"}))
    lines = cell_table(report.study, report.statistics.assign(label=[None, label])).rows
    assert [line.fields[0].text for line in lines] == ["no dropout", "the paper's net"]


def test_the_mark_of_a_cell_is_a_plain_bool_wherever_it_stands(tmp_path: Path) -> None:
    """With cells without dropout between the others the rows are no range."""
    report = build_report(make_study(tmp_path / "s", p="0,0.25,0.5,0.75,0.9", seeds="2"))
    table = report.statistics.assign(is_baseline=[True, False, False, True, False])
    marks = [line.chosen for line in cell_table(report.study, table).rows]
    assert marks == [False, True, False, False, False]
    assert {type(mark) for mark in marks} == {bool}


def test_each_data_size_has_its_own_best_cell(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", "dataset.train_size=64,128", p="0,0.25,0.5", seeds="2")
    cells = build_report(folder).cells
    marked = [line.fields[0].text for line in cells.rows if line.chosen]
    assert marked == ["p = 0.25, train size = 64", "p = 0.25, train size = 128"]
    assert "for each data set" in cells.note
