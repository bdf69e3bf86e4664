"""FAULTS.md has a row for every fault, and names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> dict[int, str]:
    """Return the column of tests of each number."""
    found = ROW.findall((ROOT / "tests" / "faults" / "FAULTS.md").read_text(encoding="utf-8"))
    assert len(found) == len(dict(found)), "a number has two rows"
    return {int(number): tests for number, tests in found}


def test_every_number_has_a_row_in_order() -> None:
    assert list(rows()) == list(range(1, 77))


def test_every_number_has_a_test() -> None:
    assert not {number for number, tests in rows().items() if tests == "-"}


def test_every_test_named_exists() -> None:
    for number, tests in rows().items():
        named = TEST.findall(tests)
        assert named or tests == "-", f"fault {number}: what is {tests!r}?"
        assert ", ".join(f"`{path}::{name}`" for path, name in named) == tests.replace("-", "")
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"
