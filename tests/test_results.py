"""CSV text out and in: what is written is read back, a torn row is not."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropout_lab.errors import StorageError
from dropout_lab.results import cell_text, csv_text, read_rows


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
    assert read_rows(path) == [{"run_id": row[0], "b": row[1]} for row in rows]


@pytest.mark.parametrize("torn", ["2,0.9", "2", "2,", "2,0.97\n3,0.98\n4,0.9"])
def test_a_row_counts_only_with_its_newline(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"run_id,accuracy\n1,0.95\n{torn}")
    whole = 1 + torn.count("\n")
    assert len(read_rows(path)) == whole
    assert read_rows(path)[0] == {"run_id": "1", "accuracy": "0.95"}


def test_a_row_of_another_width_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("run_id,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [row["run_id"] for row in read_rows(path)] == ["1", "7"]


def test_a_missing_file_has_no_rows_and_no_text_is_an_error(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "absent.csv") == []
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StorageError, match="cannot be read"):
        read_rows(tmp_path / "b.csv")
