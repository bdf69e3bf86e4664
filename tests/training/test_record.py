"""A row of metrics.csv."""

from dataclasses import fields

from dropout_lab.results import METRICS, columns_after_key
from dropout_lab.results.columns import TABLES
from dropout_lab.training import Record


def test_the_fields_of_a_record_are_the_columns_of_the_table() -> None:
    names = [field.name for field in fields(Record)]
    assert names == [*columns_after_key(METRICS), "diagnostics"]


def test_every_column_says_what_it_holds() -> None:
    for columns in TABLES.values():
        assert len({column.name for column in columns}) == len(columns)
        assert all(column.about.endswith(".") for column in columns)
