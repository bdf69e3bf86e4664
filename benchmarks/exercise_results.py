"""Write our results for the exercises in ``configs/teaching`` to docs/exercises.csv.

python benchmarks/exercise_results.py FOLDER [FOLDER ...]

Each folder has a study of one of these configs. Its rows replace those of the same study; all
others stay. The page "Exercises" shows them next to the published numbers of the configs.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from dropout_lab.analysis.published import compare_with_published
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.analysis.style import cell_name
from dropout_lab.analysis.tables import StudyTables, completed_rows, read_study, summarize_cells

sys.path.append(str(Path(__file__).parents[1] / "docs"))

from exercise_parts import FIELDS, RESULTS, Result, read_results


def results_of(study: StudyTables) -> Iterator[Result]:
    """Yield a result for each published value; for each setting if no value is published."""
    table = summarize_cells(study)
    name, seconds = study.manifest.name, round(float(study.runs["seconds"].sum()), 1)
    published = compare_with_published(study, table)
    for row in () if published is None else published.rows:
        if row.n:
            yield Result(
                name, row.label, row.quantity, row.inference, row.ours, row.low, row.high, row.n,
                row.verdict, "; ".join(row.reasons), seconds,
            )  # fmt: skip
    if published is not None and published.rows:
        return
    scale = 100 if study.manifest.published is None or study.manifest.published.unit == "%" else 1
    for _, cell in table.iterrows():
        values = scale * completed_rows(study, study.runs, cell)["test_accuracy"].to_numpy(float)
        low, high = t_interval(values)
        label = cell_name(cell, study.swept)
        yield Result(
            name, label, "test_accuracy", "mean", float(values.mean()), low, high, len(values),
            "", "", seconds,
        )  # fmt: skip


def main() -> None:
    """Replace the rows of the given studies."""
    new = [row for folder in sys.argv[1:] for row in results_of(read_study(Path(folder)))]
    names = {row.study for row in new}
    rows = [row for row in read_results() if row.study not in names] + new
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for row in sorted(rows, key=lambda row: row.study):  # stable: the order of the config
            numbers = [round(e, 4) if isinstance(e, float) else e for e in astuple(row)]
            writer.writerow(numbers)
    print(f"{len(new)} rows of {', '.join(sorted(names))} written to {RESULTS}")


if __name__ == "__main__":
    main()
