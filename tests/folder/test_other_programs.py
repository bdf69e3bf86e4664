"""Tables that another program wrote: read, repaired, and nothing is trained again."""

import csv
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dropout_lab import results
from dropout_lab.analysis.tables import read_study
from dropout_lab.errors import StorageError
from dropout_lab.folder.doctor import examine, repair
from dropout_lab.results import ENSEMBLES, METRICS, RUNS, Row, scan_table
from tests.study.test_run import Silent, go, study

SETTINGS = (
    "evaluation.inference=[mean,monte_carlo,ensemble]",
    "evaluation.samples=3",
    "evaluation.curve=3",
    "evaluation.at_end=[reliability,histograms]",
    "dataset.validation_size=0",  # so that there are missing values
)
ASKED: dict[str, Any] = {"p": "0,0.5", "seeds": "2"}
Way = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "s"
    go(study(out, *SETTINGS, **ASKED))
    return out


@pytest.fixture
def out(tmp_path: Path, whole: Path) -> Path:
    shutil.copytree(whole, tmp_path / "s")
    return tmp_path / "s"


def tables(out: Path) -> list[Path]:
    return sorted(out.glob("*.csv"))


def frame(path: Path) -> pd.DataFrame:
    """Read a table as another program does, but for its run ids."""
    return pd.read_csv(path, dtype={"run_id": str})


def by_pandas(**options: Any) -> Way:
    def save(path: Path) -> None:
        frame(path).to_csv(path, index=False, **options)

    return save


def shuffled(path: Path) -> None:
    table = frame(path).sample(frac=1, random_state=1)
    table.sample(frac=1, axis=1, random_state=2).to_csv(path, index=False, sep=";", decimal=",")


def by_text(change: Callable[[str], str], encoding: str = "utf-8") -> Way:
    def save(path: Path) -> None:
        path.write_bytes(change(path.read_text()).encode(encoding))

    return save


def by_value(change: Callable[[str, str], str], delimiter: str = ";") -> Way:
    """Write every value of a table in another way."""

    def save(path: Path) -> None:
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        new = [[change(name, v) for name, v in zip(header, r, strict=True)] for r in rows]
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, *new])

    return save


def exponents(name: str, value: str) -> str:
    """Write numbers as a spreadsheet in German may: 1,5E-05."""
    if name == "run_id" or not re.fullmatch(r"[-+.e\d]+", value):
        return value
    return f"{float(value):.16E}".replace(".", ",")


WAYS: dict[str, tuple[Way, str]] = {
    "semicolons and decimal commas": (by_pandas(sep=";", decimal=","), "a decimal comma"),
    "decimal commas in quotes": (by_pandas(decimal=","), "a decimal comma"),
    "all quoted": (by_pandas(sep=";", decimal=",", quoting=csv.QUOTE_ALL), "separated by ';'"),
    "NA": (by_pandas(sep=";", decimal=",", na_rep="NA"), "separated by ';'"),
    "NULL between tabs": (by_pandas(sep="\t", na_rep="NULL"), r"separated by '\t'"),
    "#N/A": (by_pandas(na_rep="#N/A"), "spelled in another way"),
    "bars, CRLF": (by_pandas(sep="|", lineterminator="\r\n"), "separated by '|'"),
    "rows and columns in another order": (shuffled, "a decimal comma"),
    "Unicode text": (
        by_text(lambda t: t.replace(",", "\t").replace("\n", "\r\n"), "utf-16"),
        "UTF-16 text",
    ),
    "a mark, no last line end": (
        by_text(lambda t: "\ufeff" + t.replace(",", ";").replace("\n", "\r\n").rstrip()),
        "separated by ';'",
    ),
    "old line ends": (by_text(lambda t: t.replace("\n", "\r")), ""),
    "sep= before the header": (
        by_text(lambda t: "sep=;\n" + t.replace(",", ";")),
        "its header is in line 2",
    ),
    "a sorted header": (by_text(lambda t: "\n".join([*t.splitlines()[1:], t.splitlines()[0], ""])),
                        "its header is in line"),
    "row names": (lambda path: frame(path).to_csv(path, sep=";"), "separated by ';'"),
    "exponents": (by_value(exponents), "a decimal comma"),
    "whole numbers with decimals": (
        by_value(lambda name, v: f"{v},0" if v.isdecimal() and name != "run_id" else
                 v if name == "file" else v.replace(".", ",")),
        "a decimal comma",
    ),
}  # fmt: skip


def rows_of(path: Path) -> list[tuple[str, ...]]:
    """Return the rows of a table as they are spelled, in one order of rows and columns."""
    table = scan_table(path)
    header = sorted(table.header)
    return [tuple(header), *sorted(tuple(row[name] for name in header) for row in table.rows)]


@pytest.mark.parametrize("way", WAYS)
def test_a_table_of_another_program_is_read_and_written_as_ours(
    out: Path, whole: Path, way: str
) -> None:
    save, words = WAYS[way]
    for path in tables(out):
        save(path)
    written = {path: path.read_bytes() for path in tables(out)}
    found = examine(out)
    if words:
        assert {f.path.name for f in found if words in f.words} >= {METRICS, RUNS}, found
    assert all(f.repair for f in found if f.damaged), found
    assert len(read_study(out).completed) == 2
    assert not [f for f in repair(out)[1] if f.damaged]
    for path in tables(out):
        assert rows_of(path) == rows_of(whole / path.name)
        if path.read_bytes() != written[path]:
            assert path.with_name(f"{path.name}.damaged").read_bytes() == written[path]
    assert go(study(out, *SETTINGS, **ASKED)).trained == 0
    for path in tables(out):
        assert rows_of(path) == rows_of(whole / path.name)
    assert examine(out) == []


@pytest.mark.parametrize("way", ["semicolons and decimal commas", "#N/A", "Unicode text"])
def test_the_same_command_reads_it_too_says_so_and_keeps_the_file(
    out: Path, whole: Path, way: str
) -> None:
    for path in tables(out):
        WAYS[way][0](path)
    written = {path: path.read_bytes() for path in tables(out)}
    foreign = [path.name for path in tables(out) if scan_table(path).foreign]
    assert {METRICS, RUNS} <= set(foreign)
    events = Silent()
    assert go(study(out, *SETTINGS, **ASKED), events).trained == 0
    assert any("runs.csv was written by another program" in text for text in events.warnings)
    for path, content in written.items():
        assert rows_of(path) == rows_of(whole / path.name)
        if path.name in foreign:
            assert path.with_name(f"{path.name}.damaged").read_bytes() == content


@pytest.mark.parametrize(
    ("true", "false", "none"),
    [("TRUE", "FALSE", "NA"), ("WAHR", "FALSCH", "#NV"), ("VRAI", "FAUX", "NULL"),
     ("True", "False", "None")],
)  # fmt: skip
def test_swept_values_are_spelled_as_ours(out: Path, true: str, false: str, none: str) -> None:
    """In ensembles.csv nothing else says which cell a row is of."""
    table = scan_table(out / ENSEMBLES)
    values = [(true, "1E-05", none, "none"), (false, "0,50", "64", "inverted")]
    keys = ["training.nesterov", "training.learning_rate", "dataset.train_size", "dropout.variant"]
    with (out / ENSEMBLES).open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow([*keys, *table.header])
        for row, own in zip(table.rows, values, strict=True):
            writer.writerow([*own, *(value.replace(".", ",") for value in row.values())])
    read = [[row[key] for key in keys] for row in scan_table(out / ENSEMBLES).rows]
    assert read == [["true", "1e-05", "", "none"], ["false", "0.5", "64", "inverted"]]


def change(out: Path, name: str, column: str, value: Callable[[str], str]) -> None:
    table = scan_table(out / name)
    rows: Sequence[Row] = [{**row, column: value(row[column])} for row in table.rows]
    (out / name).write_text(results.table_text(table.header, rows))


REFUSED: dict[str, tuple[Way, str]] = {
    "thousands": (lambda out: change(out, METRICS, "updates", lambda v: "1,234"), "thousands"),
    "thousands of Switzerland": (
        lambda out: change(out, METRICS, "test_loss", lambda v: "1'234.5"), "thousands",
    ),
    "spaces": (lambda out: change(out, METRICS, "test_loss", lambda v: "1 234,5"), "thousands"),
    "commas that may be of thousands": (
        lambda out: by_pandas(sep=";", float_format=lambda v: "1,234")(out / METRICS),
        "may be decimal or of thousands",
    ),
    "two marks": (
        lambda out: by_value(lambda name, v: v.replace(".", ",") if "loss" in name else v)(
            out / METRICS
        ),
        "a decimal comma in some numbers and a decimal point in others",
    ),
    "another mark in one column": (
        lambda out: change(out, METRICS, "test_loss", lambda v: v.replace(".", ",")),
        "in the column test_loss, which is no number",
    ),
    "per cent": (
        lambda out: change(out, METRICS, "test_accuracy", lambda v: f"{100 * float(v)}%"),
        "which is no number",
    ),
    "dates": (
        lambda out: change(out, METRICS, "p", lambda v: "05. Mai"),
        "which is no number, but perhaps a date made of one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_read_in_one_way_only_is_refused_and_kept(out: Path, how: str) -> None:
    damage, words = REFUSED[how]
    damage(out)
    content = (out / METRICS).read_bytes()
    (finding,) = [finding for finding in examine(out) if finding.damaged]
    assert words in finding.words
    assert "nothing was thrown away" in finding.words
    assert finding.hopeless
    repair(out)
    with pytest.raises(StorageError, match="save the table again"):
        go(study(out, *SETTINGS, **ASKED))
    assert (out / METRICS).read_bytes() == content


def test_one_number_with_another_mark_is_damage_of_its_row_alone(out: Path) -> None:
    for path in tables(out):
        by_pandas(sep=";", decimal=",")(path)
    lines = (out / METRICS).read_text().splitlines(keepends=True)
    head, _, last = lines[1].rpartition("0,")
    lines[1] = f"{head}0.{last}"
    (out / METRICS).write_text("".join(lines))
    assert any("other numbers have a decimal comma" in finding.words for finding in examine(out))
    repair(out)
    assert go(study(out, *SETTINGS, **ASKED)).trained == 1
    assert examine(out) == []


# ------------------------------------------------------------------------------------- run ids


@pytest.mark.parametrize(
    ("run_id", "number"),
    [("123e45678901", "inf"), ("123e45678901", "1.23E+45678903"), ("12345678e123", "1,2346E+130"),
     ("000123456789", "123456789"), ("123456789012", "1.23457E+11"), ("0e1234567890", "0")],
)  # fmt: skip
def test_an_id_that_became_a_number_is_restored(tmp_path: Path, run_id: str, number: str) -> None:
    path = tmp_path / "a.csv"
    decimal = "," if "," in number else "."
    path.write_text(f"run_id;x\n{number};1\n")
    from dropout_lab.results.ids import possible_ids

    others = ["0123456789ab", "98765e4321ab", "111111111111"]
    text = number.replace(decimal, ".")
    assert possible_ids(text, {}, [*others, run_id]) == [run_id]
    assert possible_ids(text, {}, others) == []
    assert possible_ids(text, {}, None) == []


def test_ids_are_restored_where_the_manifest_leaves_one_possibility(
    out: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the runs get ids that a spreadsheet takes for numbers, which look the same then."""
    manifest = results.read_manifest(whole)
    assert manifest is not None
    runs = manifest.list_runs()
    old = list(runs)
    new = dict(zip(old, ["123456100001", "123456100002", "000000000007", old[3]], strict=True))
    known = {new[run_id]: run for run_id, run in runs.items()}
    spelled = {old[0]: "1,23456E+11", old[1]: "1,23456E+11", old[2]: "7", old[3]: old[3]}
    for name in (METRICS, RUNS):
        path = out / name
        by_value(lambda name, v: spelled.get(v, v.replace(".", ",")))(path)
        table = scan_table(path, known)
        assert table.faults == []
        assert "run ids had become numbers ('1,23456E+11' is 12345610000" in table.foreign
        before = scan_table(whole / name).rows
        assert [row["run_id"] for row in table.rows] == [new[row["run_id"]] for row in before]
    twins = {**known, "123456100003": known["123456100001"]}
    table = scan_table(out / RUNS, twins)
    assert [str(fault) for fault in table.faults] == ["line 2 has '1,23456E+11' for a run_id"]


# -------------------------------------------------------------------------------------- digits


def rounded(out: Path, name: str, decimals: int) -> None:
    frame(out / name).round(decimals).to_csv(out / name, index=False, sep=";", decimal=",")


def test_digits_that_runs_lost_are_taken_from_metrics(out: Path, whole: Path) -> None:
    rounded(out, RUNS, 3)
    mended, left = repair(out)
    assert any("has lost digits of 4 runs" in finding.words for finding in mended)
    assert left == []
    measured = [name for name in frame(whole / RUNS) if name not in ("seconds", "message")]
    pd.testing.assert_frame_equal(
        frame(out / RUNS)[measured].drop(columns="examples_per_second"),
        frame(whole / RUNS)[measured].drop(columns="examples_per_second"),
    )
    rounded(out, RUNS, 3)
    events = Silent()
    assert go(study(out, *SETTINGS, **ASKED), events).trained == 0
    assert any("has lost digits of 4 runs; taken from" in text for text in events.warnings)
    assert list(frame(out / RUNS)["test_loss"]) == list(frame(whole / RUNS)["test_loss"])


@pytest.mark.parametrize("decimals", [2, 3, 6])
def test_digits_that_cannot_be_restored_are_said_and_nothing_is_trained(
    out: Path, decimals: int
) -> None:
    rounded(out, METRICS, decimals)
    left = repair(out)[1]
    words = f"has lost digits, which cannot be restored: its numbers have at most {decimals} deci"
    assert [finding.damaged for finding in left] == [False]
    assert words in left[0].words
    events = Silent()
    assert go(study(out, *SETTINGS, **ASKED), events).trained == 0
    assert any(words in text for text in events.warnings)


@pytest.mark.parametrize("patience", [None, "1"])
def test_rounding_everything_is_no_contradiction(tmp_path: Path, patience: str | None) -> None:
    """Rounding makes the best epochs equal, and a gap differ from its parts."""
    more = () if patience is None else (f"training.patience={patience}",)
    settings = (*more, "dataset.validation_size=100", "training.epochs=6")
    go(study(tmp_path / "s", *settings, **ASKED))
    for path in tables(tmp_path / "s"):
        rounded(tmp_path / "s", path.name, 1)
    assert [f.words for f in repair(tmp_path / "s")[1] if f.damaged] == []
    assert go(study(tmp_path / "s", *settings, **ASKED)).trained == 0


def test_a_wrong_number_among_rounded_ones_is_still_damage(out: Path) -> None:
    for path in tables(out):
        rounded(out, path.name, 3)
    repair(out)
    table = scan_table(out / METRICS)
    table.rows[0] = {**table.rows[0], "accuracy_gap": "0.5"}
    (out / METRICS).write_text(results.table_text(table.header, table.rows))
    assert any("accuracy_gap is 0.5" in finding.words for finding in examine(out))


def test_nan_where_a_number_may_be_absent_stays(tmp_path: Path) -> None:
    path = tmp_path / "activations.csv"
    path.write_text("run_id;layer;of;low;high;count;mean;noise_mean_1\n"
                    "0123456789ab;1;unit_mean;0,5;0,75;2;0,6;nan\n"
                    "0123456789ab;1;unit_mean;0,75;1,0;2;NA;NA\n")  # fmt: skip
    rows = scan_table(path).rows
    assert [(row["mean"], row["noise_mean_1"]) for row in rows] == [("0.6", "nan"), ("nan", "")]


def test_nothing_for_nan_is_no_contradiction(out: Path) -> None:
    """As pandas writes it by itself."""
    for path in tables(out):
        by_pandas()(path)
    assert np.isnan(frame(out / METRICS)["validation_loss"]).all()
    assert examine(out) == []
