"""The table of inference methods: accuracy, NLL and ECE of each cell and method."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dropout_lab.analysis.style import cell_name
from dropout_lab.analysis.tables import StudyTables, rows_of_cell
from dropout_lab.report.cell_table import CellTable, Column, Field, TableRow, percent_and_sd

_COLUMNS = (
    Column("cell", "One setting of the varied values.", short=True, numeric=False),
    Column("inference", "The way to use the trained network.", short=True, numeric=False),
    Column("test accuracy %", "Mean ± SD over the seeds.", short=True),
    Column("NLL, nats", "Negative log-likelihood, mean ± SD.", short=True),
    Column("ECE", "Expected calibration error in 15 bins, mean ± SD.", short=True),
)


@dataclass(frozen=True)
class InferenceScores:
    """Scores of a cell with one way to use the trained networks: mean and SD over ``n`` runs."""

    cell: str
    inference: str
    n: int
    test_accuracy_mean: float
    test_accuracy_sd: float
    test_loss_mean: float
    test_loss_sd: float
    test_ece_mean: float
    test_ece_sd: float


def inference_scores(study: StudyTables, table: pd.DataFrame) -> Iterator[InferenceScores]:
    """Yield the scores of each cell and inference method; none if there is only the mean rule.

    Args:
        study: The study.
        table: The cells of the study.
    """
    names = set(study.inference.get("inference", ())) - {"mean"}
    if not names and study.ensembles.empty:
        return
    for _, cell in table.iterrows():
        label = cell_name(cell, study.swept)
        own = rows_of_cell(study.inference, cell, study.swept)
        methods = [(str(name), rows) for name, rows in own.groupby("inference", sort=False)]
        if not study.ensembles.empty:
            methods.append(("ensemble", rows_of_cell(study.ensembles, cell, study.swept)))
        for name, rows in methods:
            if len(rows):
                scores = {
                    f"test_{score}_{part}": float(value)
                    for score in ("accuracy", "loss", "ece")
                    for part, value in (
                        ("mean", rows[f"test_{score}"].mean()),
                        ("sd", rows[f"test_{score}"].std()),
                    )
                }
                yield InferenceScores(label, name, len(rows), **scores)


def inference_table(study: StudyTables, table: pd.DataFrame) -> CellTable | None:
    """Return the table of inference methods; None if the study has only the mean rule.

    Args:
        study: The study.
        table: The cells of the study.
    """
    rows = []
    for each in inference_scores(study, table):
        mean, loss, ece = each.test_accuracy_mean, each.test_loss_mean, each.test_ece_mean
        fields = (
            Field(each.cell),
            Field(each.inference.replace("_", " ")),
            Field(percent_and_sd(mean, each.test_accuracy_sd), mean),
            Field(_number(loss, each.test_loss_sd), loss),
            Field(_number(ece, each.test_ece_sd), ece),
        )
        rows.append(TableRow(fields, chosen=False, reference=False))
    note = "mean ± SD over the seeds; an ensemble averages the networks of all seeds."
    table_title = "ways to use the trained network"
    return CellTable(table_title, _COLUMNS, tuple(rows), note) if rows else None


def _number(mean: float, spread: float) -> str:
    if not abs(mean) < 100:  # a diverging loss
        return f"{mean:.3g}"
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"
