"""The digest of rows: of their values, however they are spelled, and of nothing else."""

import pytest

from dropout_lab.folder.digests import match, rows_digest
from dropout_lab.results import ENSEMBLES, METRICS, Row

ROWS: list[Row] = [
    {"run_id": "a", "epoch": "1", "test_loss": "0.4123456789012345", "p": "[0.1, 0.5]"},
    {"run_id": "a", "epoch": "2", "test_loss": "0.3123456789012345", "p": "[0.1, 0.5]"},
]
DIGEST = rows_digest(METRICS, "a", ROWS)


def changed(column: str, value: str) -> list[Row]:
    return [ROWS[0], {**ROWS[1], column: value}]


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (ROWS, "same"),
        (ROWS[::-1], "same"),
        (changed("epoch", "2.0"), "same"),
        (changed("test_loss", "3.123456789012345e-1"), "same"),
        (changed("p", "[0.1,0.5]"), "same"),
        (changed("seed", "7"), "same"),  # the manifest says it
        (changed("dropout.p", "0.7"), "same"),
        (changed("remark", "mine"), "same"),
        (changed("train_loss", "nan"), "same"),  # nothing was measured
        (changed("test_loss", "0.3123456789012346"), "other"),
        (changed("train_loss", "0.0"), "other"),
        (changed("epoch", "3"), "other"),
        (ROWS[:1], "other"),
        ([], "other"),
        ([{**row, "test_loss": row["test_loss"][:6]} for row in ROWS], "rounded"),
    ],
)
def test_rows_are_those_of_a_digest_or_not(rows: list[Row], verdict: str) -> None:
    assert match(METRICS, "a", rows, DIGEST) == verdict


def test_a_digest_is_of_one_run_and_one_table() -> None:
    assert match(METRICS, "b", ROWS, DIGEST) == "other"
    assert match("runs.csv", "a", ROWS, DIGEST) == "other"


def test_of_a_row_of_an_ensemble_the_swept_values_count() -> None:
    row = {"dropout.p": "0.5", "seeds": "2", "test_loss": "0.3123456789012345"}
    digest = rows_digest(ENSEMBLES, "", [row])
    assert match(ENSEMBLES, "", [{**row, "dropout.p": "0.50"}], digest) == "same"
    assert match(ENSEMBLES, "", [{**row, "dropout.p": "0.6"}], digest) == "other"
