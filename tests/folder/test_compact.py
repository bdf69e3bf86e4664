"""Rows kept in little memory come back as they were."""

import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dropout_lab.folder.compact import CompactRows
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import cell_text
from dropout_lab.results.packed import PackedRows
from dropout_lab.study import run_study
from dropout_lab.training import RECORD_COLUMNS
from tests.study.test_run import Silent, study

FIELD = st.text(st.characters(exclude_characters="\0"), max_size=8)
ROWS = st.lists(
    st.dictionaries(FIELD, FIELD, max_size=4).flatmap(
        lambda row: st.sampled_from("abc").map(lambda run_id: {"run_id": run_id, **row})
    ),
    max_size=12,
)


@given(ROWS)
def test_what_is_kept_comes_back_by_its_run_in_its_order(rows: list[dict[str, str]]) -> None:
    kept = CompactRows(rows)
    ids = list(dict.fromkeys(row["run_id"] for row in rows))
    assert list(kept) == ids
    assert {i: [row for row in rows if row["run_id"] == i] for i in ids} == dict(kept)
    assert [list(row) for i in ids for row in kept[i]] == [
        list(row) for i in ids for row in rows if row["run_id"] == i
    ]  # the fields in their order


def test_rows_are_replaced_and_dropped_by_their_run() -> None:
    kept = CompactRows([{"run_id": "a", "x": "1"}, {"run_id": "b", "x": ""}])
    kept["a"].clear()  # a copy
    assert kept["a"] == [{"run_id": "a", "x": "1"}]
    kept["a"] = [{"run_id": "a", "y": "2"}]
    del kept["b"]
    assert dict(kept) == {"a": [{"run_id": "a", "y": "2"}]}
    assert kept.get("b") is None


def test_a_study_holds_little_for_a_record(tmp_path: Path) -> None:
    """A row of metrics.csv has 23 fields; as a dictionary it takes over two kilobytes."""
    asked = study(tmp_path / "s", p="0,0.5", seeds="20")
    run_study(study(tmp_path / "s", p="0", seeds="1"), Silent(), print)
    row = {name: cell_text(1 / 3 + place) for place, name in enumerate(RECORD_COLUMNS)}
    folder = StudyFolder(tmp_path / "s", asked.runs)
    with folder:
        tracemalloc.start()
        for epoch in range(1, 26):
            for run in asked.runs:
                folder._metrics.add({"run_id": run.run_id, **row, "epoch": str(epoch)})
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    records = 25 * len(asked.runs)
    assert records == 1_000
    assert size / records < 400


@given(ROWS)
def test_packed_rows_are_a_list(rows: list[dict[str, str]]) -> None:
    packed, plain = PackedRows(rows), list(rows)
    assert packed == plain
    assert packed[1:] == plain[1:]
    for each in (packed, plain):
        each.append({"run_id": "z", "x": "\n"})
        each.insert(0, {"run_id": "y"})
        each[-1] = {"run_id": "w", "é": ""}
        each[1:2] = [{"run_id": "v"}, {"run_id": "u"}]
        del each[0]
    assert packed == plain
    assert [list(row) for row in packed] == [list(row) for row in plain]
