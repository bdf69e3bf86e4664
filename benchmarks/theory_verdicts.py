"""The numbers behind the verdicts on theory: which p is best, double descent, condensation.

python benchmarks/theory_verdicts.py [RESULTS_FOLDER]

Reads the published studies label_noise, double_descent_width, double_descent_data,
condensation_images and condensation_plane. Differences are paired by seed; brackets are 95% t
intervals.
"""

import itertools
import json
import sys
from pathlib import Path

import pandas as pd

from dropout_lab.analysis.statistics import t_interval
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells

NOISE, P, HIDDEN, SIZE = "dataset.label_noise", "dropout.p", "model.hidden", "dataset.train_size"
DIFFERENCES = 3  # of how many largest rises to print


def interval(values: pd.Series, digits: int = 3) -> str:
    """Return the mean of differences and its 95% t interval."""
    low, high = t_interval(values.to_numpy(dtype=float))
    mean = values.mean()
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] (n = {len(values)})"


def best_p(study: StudyTables) -> None:
    """Print the best p of each seed over the label noise, by three measures."""
    runs = study.runs
    for column, sign in (("validation_accuracy", 1), ("test_accuracy", 1), ("test_loss", -1)):
        ranked = runs.assign(score=sign * runs[column]).sort_values(
            ["score", P], ascending=[False, True]
        )
        best = ranked.groupby([NOISE, "seed"])[P].first().unstack(0)
        print(f"best p of a seed by {column}: mean {best.mean().round(3).to_dict()}")
        for noise in best.columns[1:]:
            change = interval(best[noise] - best[best.columns[0]])
            print(f"  label noise {noise} against {best.columns[0]}: {change}")


def double_descent(study: StudyTables, key: str) -> None:
    """Print the test error without dropout and at the p that validation chose, over an axis."""
    table, runs = summarize_cells(study), study.runs
    runs = runs.assign(error=100 * (1 - runs["test_accuracy"]), x=runs[key].map(_number))
    table = table.assign(x=table[key].map(_number), chosen_p=table[P].fillna(0.0).astype(float))
    chosen = {
        x: rows.loc[rows["validation_accuracy_mean"].idxmax(), "chosen_p"]
        for x, rows in table.groupby("x")
    }
    for name, rates in (("no dropout", dict.fromkeys(chosen, 0.0)), ("tuned p", chosen)):
        errors = pd.DataFrame(
            {
                x: runs[(runs["x"] == x) & (runs[P] == rate)].set_index("seed")["error"]
                for x, rate in rates.items()
            }
        )
        print(f"{name}: p {rates}")
        print(f"  test error %: {errors.mean().round(2).to_dict()}")
        rises = {
            (a, b): errors[b] - errors[a] for a, b in itertools.combinations(errors.columns, 2)
        }
        largest = sorted(rises, key=lambda pair: -rises[pair].mean())[:DIFFERENCES]
        for a, b in largest:
            print(f"  from {a:g} to {b:g}: {interval(rises[a, b], 2)} pp")


def condensation(study: StudyTables) -> None:
    """Print what dropout changes in the directions of the weights and along random directions."""
    runs = study.runs
    columns = [c for c in runs if c.startswith(("weight_", "loss_rise_"))]
    for init, rows in runs.groupby("model.init"):
        by_p = {p: each.set_index("seed") for p, each in rows.groupby(P)}
        for column in [*columns, "train_loss", "test_loss", "test_accuracy"]:
            means = {p: round(float(each[column].mean()), 4) for p, each in by_p.items()}
            print(f"{init}: {column}: {means}")
            for p in (rate for rate in by_p if rate > 0):
                print(f"  p = {p}: {interval(by_p[p][column] - by_p[0.0][column], 4)}")


def _number(value: object) -> float:
    """Return the number of a cell of the table; of a list, the first."""
    found = json.loads(str(value))
    return float(found[0] if isinstance(found, list) else found)


def main() -> None:
    """Print the numbers of every study."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/reference")
    for name in ("label_noise", "double_descent_width", "double_descent_data"):
        print(f"\n== {name}")
        study = read_study(folder / name)
        if name == "label_noise":
            best_p(study)
        else:
            double_descent(study, HIDDEN if name.endswith("width") else SIZE)
    for name in ("condensation_images", "condensation_plane"):
        print(f"\n== {name}")
        condensation(read_study(folder / name))


if __name__ == "__main__":
    main()
