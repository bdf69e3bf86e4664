"""CSV text out and in: what is written is read back, what is damaged is named, nothing else."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropout_lab import results
from dropout_lab.config.grid import runs_of, sweep_cells
from dropout_lab.config.sections.evaluation import diagnostic_columns
from dropout_lab.errors import StorageError
from dropout_lab.folder.manifest import add_runs, join_study, new_manifest
from dropout_lab.results import (
    METRICS,
    RUNS,
    DamagedManifestError,
    NewerManifestError,
    Table,
    cell_text,
    csv_text,
    message_cell,
    message_text,
    one_line,
    read_manifest,
    read_rows,
    read_table,
    scan_table,
    table_text,
)
from dropout_lab.training import RECORD_COLUMNS
from tests.conftest import make_config

HEADER = ["run_id", "seed", "dropout.p", *RECORD_COLUMNS]
ONE, OTHER = "0123456789ab", "ba9876543210"


def test_values_as_fields() -> None:
    assert [cell_text(v) for v in (None, 0.1, 3, math.nan, -math.inf, "a", True, (1, 2))] == [
        "", "0.1", "3", "nan", "-inf", "a", "true", "[1, 2]",
    ]  # fmt: skip


@given(st.floats(allow_nan=False))
def test_a_float_is_read_back_to_the_same_bits(value: float) -> None:
    assert float(cell_text(value)).hex() == value.hex()


_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(st.lists(_text, min_size=2, max_size=2), max_size=5))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(csv_text([["run_id", "b"], *rows]), encoding="utf-8")
    assert [row for row in read_rows(path) if row["run_id"] != "run_id"] == [
        {"run_id": row[0], "b": row[1]} for row in rows if row[0] != "run_id"
    ]


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_message_is_one_line_no_formula_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    rows = [{"run_id": str(index), "message": text} for index, text in enumerate(messages)]
    text = table_text(["run_id", "message"], rows)
    path.write_bytes(text.encode())
    assert text.count("\n") == len(rows) + 1
    assert [row["message"] for row in read_rows(path)] == [one_line(each) for each in messages]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("-0.5", "'-0.5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1", "'+1"),
        ("'=1", "''=1"),
        ("\t=1\r\n2", "'=1  2"),
        ("＝1", "'＝1"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("'quoted'", "'quoted'"),
        ("the loss is not finite", "the loss is not finite"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_a_text_that_a_spreadsheet_would_run_is_neutralised(text: str, cell: str) -> None:
    assert message_cell(text) == cell
    assert message_text(cell) == one_line(text)


def test_numbers_and_other_columns_are_untouched() -> None:
    row = {"run_id": ONE, "test_loss": "-0.5", "dropout.variant": "-x", "message": "-x"}
    assert table_text(list(row), [row]).splitlines()[1] == f"{ONE},-0.5,-x,'-x"


def test_every_column_of_ours_is_known_by_its_name() -> None:
    settings_ = make_config(
        "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
    )
    columns = {*RECORD_COLUMNS, *diagnostic_columns(settings_)}
    assert [c for c in columns - {"inference"} if not results.is_number_column(c)] == []


# ------------------------------------------------------------------------------- damaged tables


def records(run_id: str = ONE, epochs: int = 3, **changes: str) -> list[list[str]]:
    """Return rows of metrics.csv as fields."""
    values = {"run_id": run_id, "seed": "0", "dropout.p": "0.5", "sparsity": "", **changes}
    counts = dict.fromkeys(("updates", "test_errors"), "5")
    return [
        [{"epoch": str(epoch), **counts, **values}.get(name, "0.5") for name in HEADER]
        for epoch in range(1, epochs + 1)
    ]


def metrics(folder: Path, *rows: list[str], header: list[str] = HEADER) -> Path:
    path = folder / METRICS
    path.write_text(csv_text([header, *rows]))
    return path


def only_fault(table: Table) -> tuple[int, str, str, str]:
    (fault,) = table.faults
    return fault.line, fault.run_id, fault.words, fault.kind


@pytest.mark.parametrize("torn", ["2,0.9", "2", "2,", "2,0.97\n3,0.98\n4,0.9"])
def test_a_row_counts_only_with_its_newline(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"run_id,accuracy\n1,0.95\n{torn}")
    whole = torn.count("\n")
    table = read_table(path)
    assert table.faults[-1].kind == "torn"
    assert "does not end in a newline" in table.faults[-1].words
    assert [row["run_id"] for row in table.rows] == ["1", "2", "3"][: 1 + whole]
    assert table.rows[0] == {"run_id": "1", "accuracy": "0.95"}


def test_a_row_of_another_width_is_left_out_and_named(tmp_path: Path) -> None:
    rows = records()
    path = metrics(tmp_path, rows[0], rows[1][:-1], [*rows[2], "1"])
    table = read_table(path)
    assert [row["epoch"] for row in table.rows] == ["1"]
    width = len(HEADER)
    assert [str(fault) for fault in table.faults] == [
        f"line 3 (run {ONE}) has {width - 1} fields, not {width}",
        f"line 4 (run {ONE}) has {width + 1} fields, not {width}",
    ]
    assert table.damaged_runs == {ONE}


def test_a_doubled_header_is_noted_and_nothing_lost(tmp_path: Path) -> None:
    rows = records()
    table = read_table(metrics(tmp_path, rows[0], HEADER, *rows[1:]))
    assert only_fault(table) == (3, "", "is the header again", "noted")
    assert [row["epoch"] for row in table.rows] == ["1", "2", "3"]


@pytest.mark.parametrize("bytes_", [b"\x00" * 40, b"\x00", b"a\x1bb", b"\x7f"])
def test_nul_and_control_bytes_are_named(tmp_path: Path, bytes_: bytes) -> None:
    path = metrics(tmp_path, *records())
    head, first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([head, first, bytes_ + b"\n", *rest]))
    table = read_table(path)
    assert "control characters" in only_fault(table)[2]
    assert len(table.rows) == 3


def test_a_row_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = metrics(tmp_path, *records())
    path.write_bytes(path.read_bytes().replace(b"0.5\n", b"\xff.5\n", 1))
    table = read_table(path)
    assert only_fault(table)[::2] == (2, "is no UTF-8 text")
    assert len(table.rows) == 2


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("test_loss", "abc", "has 'abc' in the column test_loss, which is no number"),
        ("test_accuracy", "0,97", "has '0,97' in the column test_accuracy, which is no number"),
        ("test_loss", "1_0", "has '1_0' in the column test_loss, which is no number"),
        ("test_loss", "[0.1]", "has '[0.1]' in the column test_loss, which is no number"),
        ("p", "[0.1, x]", "has '[0.1, x]' in the column p, which is no number"),
        ("epoch", "1.5", "has '1.5' in the column epoch, which counts from 1"),
        ("epoch", "0", "has '0' in the column epoch, which counts from 1"),
        ("epoch", "", "has '' in the column epoch, which counts from 1"),
        ("test_errors", "1.5", "has '1.5' in the column test_errors, which is no whole number"),
        ("updates", "inf", "has 'inf' in the column updates, which is no whole number"),
        ("run_id", "", "has '' for a run_id"),
        ("run_id", "../../x", "has '../../x' for a run_id"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_named(
    tmp_path: Path, column: str, value: str, words: str
) -> None:
    (row,) = records(epochs=1)
    row[HEADER.index(column)] = value
    table = read_table(metrics(tmp_path, row, *records(OTHER)))
    assert only_fault(table)[2] == words
    assert {each["run_id"] for each in table.rows} == {OTHER}


@pytest.mark.parametrize(
    ("column", "value"),
    [("p", "[0.1, 0.25]"), ("sparsity", "[0.5, NaN]"), ("test_loss", "nan"), ("test_loss", "inf"),
     ("test_loss", "-1.5e-07"), ("validation_loss", ""), ("dropout.p", "anything")],
)  # fmt: skip
def test_a_value_that_its_column_may_hold_is_read(tmp_path: Path, column: str, value: str) -> None:
    (row,) = records(epochs=1)
    row[HEADER.index(column)] = value
    table = read_table(metrics(tmp_path, row))
    assert table.faults == []
    assert table.rows[0][column] == value


def test_a_run_that_the_manifest_does_not_list_is_named(tmp_path: Path) -> None:
    table = read_table(metrics(tmp_path, *records(epochs=1), *records(OTHER, 1)), known={ONE})
    assert only_fault(table)[1:3] == (OTHER, "is of a run that the manifest does not list")


def test_of_a_row_that_stands_twice_the_later_holds(tmp_path: Path) -> None:
    rows = records()
    later = records(train_loss="0.25")[1]
    table = read_table(metrics(tmp_path, *rows, later))
    assert only_fault(table) == (
        5, ONE, "is of epoch 2, there already in line 3; the later holds", "noted",
    )  # fmt: skip
    assert [row["epoch"] for row in table.rows] == ["1", "2", "3"]
    assert table.rows[1]["train_loss"] == "0.25"


def test_epochs_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    one, other = records(), records(OTHER)
    path = metrics(tmp_path, one[2], other[0], one[0], other[1], one[1])
    table = read_table(path)
    assert [fault.words for fault in table.faults] == [
        "is out of order: epoch 1 after 3",
        "is out of order: epoch 2 after 3",
    ]
    assert [(row["run_id"], row["epoch"]) for row in table.rows] == [
        (ONE, "1"), (OTHER, "1"), (ONE, "2"), (OTHER, "2"), (ONE, "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b"", "the file is empty"),
        (lambda b: b"\x00" * len(b), "cut short or no text"),
        (lambda b: b[:30], "cut short or no text"),
        (lambda b: b.split(b"\n", 1)[1], "its first line is a row, not the header"),
        (lambda b: b.replace(b"test_errors", b"errors"), "has no column test_errors"),
        (lambda b: b.replace(b"loss_gap", b"run_id"), "has no column loss_gap"),
        (lambda b: b.replace(b"sparsity", b"p"), "names a column twice"),
    ],
)
def test_a_file_that_is_not_the_table_written_is_refused_by_name(
    tmp_path: Path, change: Any, words: str
) -> None:
    path = metrics(tmp_path, *records())
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StorageError, match=words) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert f"dropout-lab doctor {tmp_path}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.replace(b",", b";"), "separated by ';'"),
        (lambda b: b.replace(b",", b"\t"), r"separated by '\t'"),
        (lambda b: b.decode().encode("utf-16"), "it is UTF-16 text"),
        (lambda b: b.decode().encode("utf-16-le"), "it is UTF-16 text"),
        (lambda b: b.decode().encode("utf-16-be"), "it is UTF-16 text"),
    ],
)
def test_a_table_that_another_program_wrote_is_read(
    tmp_path: Path, change: Any, words: str
) -> None:
    path = metrics(tmp_path, *records())
    before = read_table(path).rows
    path.write_bytes(change(path.read_bytes()))
    table = read_table(path)
    assert (table.rows, table.faults) == (before, [])
    assert words in table.foreign
    assert table.sentences == [f"{path} {table.foreign}."]


def test_the_last_row_without_a_line_end_counts_where_lines_end_as_in_windows(
    tmp_path: Path,
) -> None:
    path = metrics(tmp_path, *records())
    content = path.read_bytes().rstrip()
    path.write_bytes(content)
    assert len(read_table(path).rows) == 2  # a number cut short is still a number
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert len(read_table(path).rows) == 3


def test_a_text_of_windows_in_a_message_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("run_id,message\n0,für immer\n".encode("cp1252"))
    assert read_table(path).rows == [{"run_id": "0", "message": "für immer"}]


def test_what_a_spreadsheet_does_to_line_ends_is_harmless(tmp_path: Path) -> None:
    path = metrics(tmp_path, *records())
    before = read_table(path).rows
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    table = read_table(path)
    assert (table.rows, table.faults) == (before, [])


def test_columns_of_another_program_are_told(tmp_path: Path) -> None:
    row = [*records(epochs=1)[0], "my remark"]
    table = read_table(metrics(tmp_path, row, header=[*HEADER, "remark"]))
    assert (table.foreign_columns, table.faults) == (["remark"], [])
    assert table.rows[0]["remark"] == "my remark"


def test_a_missing_file_has_no_rows_and_no_text_is_an_error(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "absent.csv") == []
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StorageError, match="cannot be read"):
        read_rows(tmp_path / "b.csv")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(StorageError, match="is no file"):
        read_rows(tmp_path / "c.csv")


def test_a_file_that_is_too_large_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / METRICS
    with path.open("wb") as file:
        file.truncate(results.LARGEST_TABLE + 1)  # sparse: it takes no room
    with pytest.raises(StorageError, match=r"has 2,000,000,001 bytes; tables up to 2,000,000,000"):
        read_table(path)


@pytest.mark.parametrize("junk", [b"\n", b"\x00", b"x,y\n", os.urandom(997)])
def test_a_hundred_megabytes_of_junk_end_in_a_sentence(tmp_path: Path, junk: bytes) -> None:
    path = metrics(tmp_path, *records())
    with path.open("ab") as file:
        for _ in range(100):
            file.write((junk * (1_000_000 // len(junk) + 1))[:1_000_000])
    table = scan_table(path)
    assert len(table.faults) <= results.MOST_FAULTS + 1
    assert table.faults
    assert table.unreadable == "" or "damaged rows" in table.unreadable


@given(st.binary(max_size=300), st.booleans(), st.sampled_from([METRICS, RUNS, "a.csv"]))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
def test_no_bytes_make_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, headed: bool, name: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / name
    path.write_bytes((csv_text([HEADER]).encode() if headed else b"") + content)
    table = scan_table(path)
    try:
        assert read_table(path).rows == table.rows
    except StorageError as error:
        assert table.unreadable in str(error)  # noqa: PT017  # either is right


@given(st.data())
@settings(max_examples=200)
def test_a_flipped_byte_costs_a_row_at_most(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = metrics(tmp_path_factory.mktemp("csv"), *records(), *records(OTHER))
    content = bytearray(path.read_bytes())
    head = len(csv_text([HEADER]))
    place = data.draw(st.integers(head, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    assert len(read_table(path).rows) >= 4  # a newline more or less joins or cuts rows


# ---------------------------------------------------------------------------------- the manifest


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    config = make_config("dropout.p=0.25,0.5", sweep=True)
    manifest = new_manifest(config)
    cells = sweep_cells(config)
    join_study(manifest, config, cells, tmp_path)
    add_runs(manifest, [(run,) for run in runs_of(cells, (0, 1))])
    copy: dict[str, Any] = json.loads(json.dumps(manifest.to_json()))
    return copy


def write(folder: Path, manifest: Any) -> Path:
    (folder / results.MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_a_good_manifest_is_read_back(tmp_path: Path, good: dict[str, Any]) -> None:
    read = read_manifest(write(tmp_path, good))
    assert read is not None
    assert read.to_json() == good
    assert len(read.list_runs()) == 6
    assert read_manifest(tmp_path / "nowhere") is None


def changed(good: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    at: Any = good
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return good


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["format"], "1", "format: Input should be a valid integer"),
        (["runs"], [], "runs: Input should be a valid dictionary"),
        (["swept"], ["dropout.droput"], "it sweeps 'dropout.droput', which is no key"),
        (["figure"], {"by": ["x"]}, "it draws lines by 'x', which is no key"),
        (["swept"], [["x"]], r"swept.0: Input should be a valid string"),
        (["settings", "dropout", "p"], 0.25, "settings_digest is not the digest"),
        (["fleets"], [["0123456789ab"]], "its fleets are not made of its runs"),
        (["fleets"], [], "its fleets are not made of its runs"),
        (["runs", "../../../tmp/x"], {"seed": 0, "settings": {}}, "String should match pattern"),
        (["sessions"], {"a": 1}, "sessions: Input should be a valid list"),
        (["plugins"], {"mine": {"file": "a.py"}}, "plugins.mine.sha256: Field required"),
        (["name"], None, "name: Input should be a valid string"),
        (["sessions"], [1], "sessions.0: Input should be a valid dictionary"),
        (["sessions"], [{"command": 1}], "sessions.0.command: Input should be a valid string"),
        (["sessions"], [{"machine": []}], "sessions.0.machine: Input should be a valid dict"),
        (["sessions"], [{"packages": {"torch": 2}}], "packages.torch: Input should be a valid str"),
        (["sessions"], [{"more": [float("inf")]}], "it holds the number inf"),
        (["about"], float("nan"), "it holds the number nan"),
        (["more"], json.loads("[" * 31 + "]" * 31), "it is nested too deeply"),
        (["swept"], ["dropout.p", "dropout.p"], "it sweeps a key twice"),
        (["removed"], [{"values": {}, "runs": [], "comparisons": 10**30}], "less than 2147483648"),
    ],
)
def test_a_damaged_manifest_is_refused_in_a_sentence(
    tmp_path: Path, good: dict[str, Any], path: list[str], value: Any, words: str
) -> None:
    with pytest.raises(DamagedManifestError, match=words) as caught:
        read_manifest(write(tmp_path, changed(good, path, value)))
    assert "cannot be read as a manifest" in str(caught.value)
    assert f"dropout-lab doctor --fix {tmp_path}" in str(caught.value)


def test_a_session_may_lack_everything(tmp_path: Path, good: dict[str, Any]) -> None:
    good["sessions"] = [{}]
    read = read_manifest(write(tmp_path, good))
    assert read is not None
    assert read.to_json() == good


def test_a_section_that_is_lost_is_named(tmp_path: Path, good: dict[str, Any]) -> None:
    del good["settings"]["evaluation"]
    good["settings_digest"] = results.digest(good["settings"])
    with pytest.raises(DamagedManifestError, match=r"settings\.evaluation is not there"):
        read_manifest(write(tmp_path, good))


def test_a_version_of_thousands_of_digits_is_not_newer(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    good["sessions"] = [{"dropout_lab": "9" * 5_000}]
    good["swept"] = ["dropout.invented"]
    with pytest.raises(DamagedManifestError, match="which is no key"):
        read_manifest(write(tmp_path, good))


def test_every_text_of_a_manifest_is_one_printable_line(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    evil = "a\x1b[31m\nb\u202e \ud800"
    good |= {"name": evil, "sessions": [{"command": evil, evil: [evil]}]}
    read = read_manifest(write(tmp_path, good))
    shown = r"a\x1b[31m b\u202e \ud800"
    assert read is not None
    assert read.name == shown
    assert read.to_json()["sessions"] == [{"command": shown, shown: [shown]}]


def test_what_cannot_be_shown_in_a_field_is_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("run_id,\u202ecolumn\nx,a\x9b\u2066\n", encoding="utf-8")
    (row,) = read_rows(path)
    assert row == {"run_id": "x", r"\u202ecolumn": r"a\x9b\u2066"}


def test_a_missing_key_is_named(tmp_path: Path, good: dict[str, Any]) -> None:
    for key in sorted(good.keys() - {"plugins"}):
        rest = {name: value for name, value in good.items() if name != key}
        with pytest.raises(DamagedManifestError, match=f"{key}: Field required"):
            read_manifest(write(tmp_path, rest))


def test_a_flipped_seed_or_setting_is_no_longer_its_run(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    run_id = sorted(good["runs"])[0]
    good["runs"][run_id]["seed"] ^= 4
    with pytest.raises(DamagedManifestError, match=f"run {run_id} is not the digest"):
        read_manifest(write(tmp_path, good))


def test_a_variant_of_a_plugin_that_is_not_recorded_is_named(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    run_id = next(i for i, entry in good["runs"].items() if not entry["settings"].get("dropout"))
    good["runs"][run_id]["settings"]["dropout"] = {"variant": "mine"}
    with pytest.raises(DamagedManifestError, match="--plugin FILE"):
        read_manifest(write(tmp_path, good))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Expecting value"),
        (b"\x00" * 500, "Expecting value"),
        (b"[" * 5_000 + b"]" * 5_000, "nested too deeply"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested too deeply"),
        (b"\xff\xfe", "codec can't decode"),
        (b"[1, 2]", "it is no JSON object"),
        (b"{torn", "Expecting property name"),
    ],
)
def test_what_is_no_json_of_ours_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / results.MANIFEST).write_bytes(content)
    with pytest.raises(DamagedManifestError, match=words):
        read_manifest(tmp_path)


def test_a_manifest_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / results.MANIFEST).open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(DamagedManifestError, match="more than 67,108,864 bytes"):
        read_manifest(tmp_path)


def test_a_newer_manifest_is_told_from_a_damaged_one(tmp_path: Path, good: dict[str, Any]) -> None:
    with pytest.raises(NewerManifestError, match="has format 2"):
        read_manifest(write(tmp_path, {**good, "format": 2}))
    newer = changed(good, ["swept"], ["dropout.invented"])
    newer["sessions"] = [{"dropout_lab": "99.0.0"}]
    with pytest.raises(NewerManifestError, match=r"written by dropout-lab 99\.0\.0"):
        read_manifest(write(tmp_path, newer))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=300,
    deadline=None,
)
def test_no_json_makes_a_traceback(
    tmp_path: Path, good: dict[str, Any], data: st.DataObject
) -> None:
    """Arbitrary values, alone and in the place of any value of a good manifest."""
    manifest = json.loads(json.dumps(good))
    at: Any = manifest
    while isinstance(at, dict | list) and at:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(_json)
            break
        at = at[key]
    for content in (manifest, data.draw(_json)):
        try:
            read = read_manifest(write(tmp_path, content))
        except StorageError as error:
            assert "\n" not in str(error)  # noqa: PT017  # one sentence
            str(error).encode()
        else:
            assert read is not None
            read.list_runs()
