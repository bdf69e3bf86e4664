"""The table of the page on exercises: published numbers from the configs, ours from a CSV file."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from page_parts import ROOT, code, table

if TYPE_CHECKING:
    from dropout_lab.config.published import PublishedSettings

TEACHING = ROOT / "configs" / "teaching"
RESULTS = ROOT / "docs" / "exercises.csv"  # written by benchmarks/exercise_results.py
HEADS = ["exercise", "config", "what", "theirs", "ours", "verdict", "n", "time (s)"]
_QUANTITIES = {
    "test_error": "test error",
    "test_accuracy": "test set",
    "validation_accuracy": "validation set",
    "train_accuracy": "training set",
    "noisy_train_accuracy": "training steps, dropout on",
}


@dataclass(frozen=True)
class Result:
    """A row of the CSV file: our result for a published value, or for a setting.

    Args:
        study: The name of the study: the config, and its size if it has sizes.
        label: The label of the value with its epoch, or of the setting.
        quantity: What was measured.
        inference: How the network was used.
        ours: Our mean, in the unit of the config's section ``published``.
        low: Lower end of its 95% t interval.
        high: Upper end.
        n: Number of seeds.
        verdict: The verdict of the report; empty without a published value.
        reasons: Why the two cannot be compared.
        seconds: The time of all runs of the study.
    """

    study: str
    label: str
    quantity: str
    inference: str
    ours: float
    low: float
    high: float
    n: int
    verdict: str
    reasons: str
    seconds: float


FIELDS = tuple(Result.__dataclass_fields__)


def read_results() -> list[Result]:
    """Return the rows of the CSV file."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return [
            Result(
                **{key: float(row[key]) for key in ("ours", "low", "high", "seconds")},
                **{key: row[key] for key in FIELDS[:4]},
                n=int(row["n"]), verdict=row["verdict"], reasons=row["reasons"],
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def exercises_part(_: str = "") -> str:
    """Return the table: a row for each published number of each exercise."""
    results = read_results()
    rows = [row for path in sorted(TEACHING.glob("*.yaml")) for row in _rows(path, results)]
    return table(HEADS, rows)


def _rows(path: Path, results: list[Result]) -> Iterator[list[str]]:
    from dropout_lab.analysis.published import label_of_value
    from dropout_lab.config.load import list_sizes

    title = path.read_text(encoding="utf-8").partition("\n")[0].strip("# ").partition(":")[0]
    for size in list_sizes(path):
        study, published = read_published(path, size)
        scale = 1 if published.unit == "%" else 100
        ours = {
            (each.label, each.quantity, each.inference): each
            for each in results
            if each.study == study
        }
        theirs = {
            (label_of_value(each), each.quantity, each.inference): each.value * scale
            for each in published.values
        }
        config = code(path.stem) + ("" if size is None else f", size {code(size)}")
        seconds = next((f"{each.seconds:,.0f}" for each in ours.values()), "")
        for key in dict.fromkeys([*theirs, *ours]) or [("", "", "")]:
            value = f"{theirs[key]:.2f}" if key in theirs else "no number"
            yield [title, config, _what(*key), value, *_measured(ours.get(key), scale), seconds]
            title = config = seconds = ""


def _what(label: str, quantity: str, inference: str) -> str:
    way = "" if inference == "mean" else inference.replace("_", " ")
    return "; ".join(filter(None, (label, _QUANTITIES.get(quantity, quantity), way)))


def _measured(result: Result | None, scale: int) -> list[str]:
    """Return the columns ours, verdict and n."""
    if result is None:
        return ["not measured", "", ""]
    mean, low, high = (scale * each for each in (result.ours, result.low, result.high))
    verdict = ": ".join(filter(None, (result.verdict, result.reasons)))
    return [f"{mean:.2f} [{low:.2f}, {high:.2f}]", verdict, str(result.n)]


def read_published(path: Path, size: str | None) -> "tuple[str, PublishedSettings]":
    """Return the name of a config's study, and its section ``published``, for one size."""
    from dropout_lab.config.document import read_document
    from dropout_lab.config.overrides import Changes, choose_size
    from dropout_lab.config.published import PublishedSettings

    document = read_document(path)
    document.data.setdefault("name", path.stem)
    choose_size(document, Changes(settings=() if size is None else (f"size={size}",)))
    return document.data["name"], PublishedSettings.model_validate(document.data["published"])
