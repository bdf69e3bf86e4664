"""The table of inference methods: accuracy, NLL and ECE of each cell and method."""

import math

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


def inference_table(study: StudyTables, table: pd.DataFrame) -> CellTable | None:
    """Return the table of inference methods; None if the study has only the mean rule.

    Args:
        study: The study.
        table: The cells of the study.
    """
    names = set(study.inference.get("inference", ())) - {"mean"}
    if not names and study.ensembles.empty:
        return None
    table_rows = []
    for _, cell in table.iterrows():
        label = cell_name(cell, study.swept)
        own = rows_of_cell(study.inference, cell, study.swept)
        methods = [(str(name), rows) for name, rows in own.groupby("inference", sort=False)]
        if not study.ensembles.empty:
            methods.append(("ensemble", rows_of_cell(study.ensembles, cell, study.swept)))
        for name, rows in methods:
            if len(rows):
                accuracy, loss, ece = (rows[f"test_{m}"] for m in ("accuracy", "loss", "ece"))
                mean, sd = accuracy.mean(), accuracy.std()
                fields = (
                    Field(label),
                    Field(name.replace("_", " ")),
                    Field(percent_and_sd(mean, sd), mean),
                    Field(_number(loss.mean(), loss.std()), loss.mean()),
                    Field(_number(ece.mean(), ece.std()), ece.mean()),
                )
                table_rows.append(TableRow(fields, chosen=False, reference=False))
    note = "mean ± SD over the seeds; an ensemble averages the networks of all seeds."
    return CellTable("ways to use the trained network", _COLUMNS, tuple(table_rows), note)


def _number(mean: float, spread: float) -> str:
    if not abs(mean) < 100:  # a diverging loss
        return f"{mean:.3g}"
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"
