"""What a study found, in plain sentences, each with its n, its interval and its unit.

Accuracies are in per cent, differences in percentage points, intervals 95 % t intervals in square
brackets. Nothing is called significant that :func:`compared` does not call so.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics, style
from dropout_lab.analysis.order import order_sentence
from dropout_lab.analysis.paired import (
    NOT_SIGNIFICANT,
    SIGNIFICANT,
    TOO_FEW_SEEDS,
    candidates,
    choice,
    least_seeds,
    paired_differences,
)
from dropout_lab.analysis.shape import sentence, shape_through, told_apart
from dropout_lab.analysis.statistics import LEAST_SEEDS
from dropout_lab.analysis.tables import StudyTables, by_cell, when
from dropout_lab.results import counted

_SHOWN = 6  # of data sets, or of cells, before the rest is counted


def conclusions(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Return what a study found, in sentences.

    Cells of different data (``dataset`` keys) are never chosen between: each data size has its
    own choice.

    Args:
        study: The study.
        table: Its cells, as :func:`compared` returns them.
    """
    data = [key for key in study.swept if key.startswith("dataset.")]
    rest = tuple(key for key in study.swept if key not in data)
    groups = [group for _, group in table.groupby(data, dropna=False, sort=False)] if data else []
    if len(groups) < 2:
        found = _choice(study, table, study.swept) + _effect(study, table)
        if (table["verdict"] == TOO_FEW_SEEDS).sum() < (table["pairs"] > 0).sum():
            found += _grid(study, table)  # else the sentence before says what is missing
        found += _run_over(study, table, rest, study.swept)
        return [*found, *_lost(study, table)]
    found = _over_data(study, groups, tuple(data)) + _grid(study, table)
    for group in groups[:_SHOWN]:
        where = style.cell_label(group.iloc[0], tuple(data), False)
        told = _choice(study, group, rest) + _run_over(study, group, rest, rest)
        found += [f"At {where}, {line[0].lower()}{line[1:]}" for line in told]
    if len(groups) > _SHOWN:
        found.append(f"{len(groups) - _SHOWN} more data sets are in the table alone.")
    return [*found, *_shapes(study, table, data), *_lost(study, table)]


def _choice(study: StudyTables, table: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Say what validation chose, beside what the test part would have chosen.

    Args:
        study: The study.
        table: Cells of equal data.
        swept: The keys that name them.
    """
    rows = candidates(table)
    if rows.empty:
        return ["No run completed."]
    both = choice(study, table)
    if both is None and len(rows) > 1:
        return [
            "There is no validation part, so nothing was chosen: the cell with the highest test "
            "accuracy owes some of it to luck, and its number is too high."
        ]
    chosen = rows.iloc[0] if both is None else both.chosen
    value = (
        f"{phrases.percent(chosen['test_accuracy_mean'])} test accuracy"
        f"{phrases.band((chosen['test_accuracy_low'], chosen['test_accuracy_high']))} "
        f"{when(study)} ({phrases.n_of([chosen['seeds']], 'seed')})"
    )
    if both is None:
        name = phrases.named(chosen, swept)
        return [f"{name[0].upper()}{name[1:]}: {value}."]
    # Dropout is what is asked about: a cell without it is a reference, and no choice.
    some = table["bare"].any() and not chosen["bare"]
    among, of_them = ("Among the cells with dropout, v", " of them") if some else ("V", "")
    label = phrases.label(chosen, swept)
    first = f"{among}alidation chose {label}: {value}, the number to report."
    best, optimism = both.best_on_test, both.optimism
    if best.name == chosen.name:
        return [f"{first} It is the best{of_them} on test too."]
    second = (
        f"The best{of_them} on test is {phrases.label(best, swept)} with "
        f"{phrases.percent(best['test_accuracy_mean'])}, which is no fair number"
    )
    if np.isfinite(optimism.value):
        second += (
            f": choosing by the test part overrates the winner by about "
            f"{phrases.points(max(0.0, optimism.value))} points (bootstrap over "
            f"{counted(optimism.seeds, 'seed')})"
        )
    return [f"{first} {second}."]


def _effect(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Say what the cell chosen on validation does against its reference.

    Where it is itself the reference, the cell without dropout is compared with it.
    """
    both, rows = choice(study, table), candidates(table)
    if both is None and len(rows) != 1:
        return []
    cell = rows.iloc[0] if both is None else both.chosen
    bare = table[table["bare"] & (table["pairs"] > 0) & (table["reference"] == cell.name)]
    if cell["pairs"] == 0 and len(bare):
        cell = bare.iloc[0]
    if pd.isna(cell["reference"]):
        there = table["bare"].any() or table["reference"].notna().any()
        return [] if there else ["There are no runs without dropout here to compare with."]
    name = phrases.named(table.loc[cell["reference"]], study.swept)
    if cell["pairs"] == 0:
        return [f"No seed completed both {phrases.named(cell, study.swept)} and {name}."]
    mean, n = cell["difference_mean"], phrases.n_of([cell["pairs"]], "paired seed")
    size = phrases.size(mean, (cell["difference_low"], cell["difference_high"]))
    found = (
        f"Test accuracy {phrases.named(cell, study.swept)} is {size} "
        f"{'higher' if mean >= 0 else 'lower'} than {name} ({n})"
    )
    return [f"{found}{_standing(table, cell)}", *_gap(study, cell, name)]


def _standing(table: pd.DataFrame, cell: pd.Series) -> str:
    """Say whether a difference is significant, and what is missing where it cannot be."""
    tests, pairs = int((table["pairs"] > 0).sum()), int(cell["pairs"])
    values = f"sign-flip p-value {cell['p_value']:.2g}"
    if tests > 1:
        values += f", {cell['p_holm']:.2g} after Holm's correction over {tests} comparisons"
    if cell["verdict"] == SIGNIFICANT:
        return f", which is significant ({values})."
    if cell["verdict"] == NOT_SIGNIFICANT:
        return f", which is not significant ({values}).{_needed(table, cell)}"
    least = least_seeds(tests)
    if pairs < LEAST_SEEDS:
        whose = "they" if pairs > 1 else "it"
        can = f"the smallest p-value {whose} can reach is {cell['smallest_p']:.2g}"
    else:
        can = (
            f"the smallest p-value they can reach after Holm's correction over {tests} "
            f"comparisons is {cell['smallest_p_holm']:.2g}"
        )
    more = f"{least} are needed" if tests == 1 else f"{least} are needed for {tests} comparisons"
    verb = f"{pairs} paired seed{'s' if pairs > 1 else ''} cannot show significance"
    return f". {verb}: {can}; {more}.{_needed(table, cell)}"


def _needed(table: pd.DataFrame, cell: pd.Series) -> str:
    """Say how many seeds a small difference would need at the spread that was seen."""
    needed, difference = cell["seeds_needed"], table.attrs.get("difference")
    if difference is None or not np.isfinite(needed):
        return ""
    return (
        f" To find a difference of {100 * difference:g} points with 80 % power, about "
        f"{int(needed)} paired seeds are needed at this spread."
    )


def _gap(study: StudyTables, cell: pd.Series, name: str) -> list[str]:
    """Say what becomes of the overfitting gap."""
    frames = study.completed
    mine, theirs = frames[int(str(cell.name))], frames[int(cell["reference"])]
    pairs = paired_differences(mine, theirs, "accuracy_gap")
    if not len(pairs):
        return []
    seeds = mine.index.intersection(theirs.index)
    before, after = (frame.loc[seeds, "accuracy_gap"].mean() for frame in (theirs, mine))
    mean, (low, high) = float(pairs.mean()), statistics.t_interval(pairs)
    n = phrases.n_of([len(pairs)], "paired seed")
    none = "; the interval does not exclude 0" if low <= 0 <= high else ""
    return [
        f"The gap between training and test accuracy is {phrases.points(after)} points, against "
        f"{phrases.points(before)} {name}: {phrases.size(mean, (low, high))} "
        f"{'narrower' if mean < 0 else 'wider'} ({n}{none})."
    ]


def _grid(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Say how many of several comparisons are significant, and which."""
    tested = table[table["pairs"] > 0]
    if len(tested) < 2:
        return []
    few = int((tested["verdict"] == TOO_FEW_SEEDS).sum())
    if few == len(tested):
        return [
            f"None of the {len(tested)} comparisons can be called significant: for so many, "
            f"{least_seeds(len(tested))} paired seeds are needed "
            f"({phrases.n_of(tested['pairs'], 'paired seed')})."
        ]
    found = tested[tested["verdict"] == SIGNIFICANT]
    better = found[found["difference_mean"] > 0]
    worse = found[found["difference_mean"] < 0]
    parts = []
    for word, cells in (("better", better), ("worse", worse)):
        if len(cells):
            labels = [phrases.label(cell, study.swept) for _, cell in cells.iterrows()]
            parts.append(f"{len(cells)} significantly {word} ({phrases.listed(labels)})")
        else:
            parts.append(f"none significantly {word}")
    rest = int((tested["verdict"] == NOT_SIGNIFICANT).sum())
    parts += [f"{rest} not significantly different"] if rest else []
    parts += [f"{few} with too few seeds to tell"] if few else []
    return [
        f"Of {len(tested)} comparisons in test accuracy: {'; '.join(parts)} (Holm-corrected; "
        f"{phrases.n_of(tested['pairs'], 'paired seed')})."
    ]


def _run_over(
    study: StudyTables, table: pd.DataFrame, keys: Sequence[str], swept: Sequence[str]
) -> list[str]:
    """Say how test error runs over the ordered axes; without one, the order of the cells."""
    shapes = _shapes(study, table, keys)
    order = "" if shapes else order_sentence(study, table, swept)
    return shapes or ([order] if order else [])


def _shapes(study: StudyTables, table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Say how test error runs over each of some keys that is an ordered axis.

    The lines go through the cell that validation chose, at its other settings.
    """
    both, rows = choice(study, table), candidates(table)
    if rows.empty:
        return []
    highest = rows.iloc[int(np.argmax(rows["test_accuracy_mean"].to_numpy()))]
    cell = highest if both is None else both.chosen
    told: set[frozenset[int]] = set()
    sentences = []
    for key in keys:
        shape = shape_through(study, table, cell, key)
        if shape is not None and shape.rows not in told:
            told.add(shape.rows)
            fixed = [k for k in study.swept if k not in (key, *shape.together)]
            fixed = [k for k in fixed if table[k].astype(str).nunique() > 1]
            held = style.cell_label(cell, tuple(fixed), False) if fixed else ""
            sentences.append(sentence(shape, f" (at {held})" if held else ""))
    return sentences


def _over_data(
    study: StudyTables, groups: Sequence[pd.DataFrame], data: tuple[str, ...]
) -> list[str]:
    """Say on which data dropout helps, on which it hurts, and where that cannot be told."""
    frames = study.completed
    cells, pairs = [], []
    for group in groups:
        both, rows = choice(study, group), candidates(group)
        if both is None and len(rows) != 1:
            continue
        cell = rows.iloc[0] if both is None else both.chosen
        if pd.isna(cell["reference"]):
            continue
        cells.append(cell)
        pairs.append(
            paired_differences(frames[int(str(cell.name))], frames[int(cell["reference"])])
        )
    if not cells:
        return []
    parts: dict[str, list[str]] = {
        "helps": [],
        "hurts": [],
        "cannot be told to help or to hurt": [],
    }
    for cell, each, apart in zip(cells, pairs, told_apart(pairs), strict=True):
        mean = float(each.mean()) if len(each) else np.nan
        sign = "+" if mean >= 0 else "−"
        told = [
            f"{sign}{phrases.points(abs(mean))} points{phrases.band(statistics.t_interval(each))}"
        ]
        told += [SIGNIFICANT] if cell["verdict"] == SIGNIFICANT else []
        word = list(parts)[int(mean < 0) if apart else 2]
        parts[word].append(
            f"{phrases.label(cell, data)} ({', '.join(told) if len(each) else 'no pairs'})"
        )
    words = [f"{word} at {', '.join(items)}" for word, items in parts.items() if items]
    n = phrases.n_of([len(each) for each in pairs], "paired seed")
    several = any(len(candidates(group)) > 1 for group in groups)
    which = " (the cell that validation chose for each)" if several else ""
    return [
        f"Dropout{which} {'; '.join(words)} (test accuracy "
        f"minus that of the reference; paired t tests, Holm-corrected over {len(cells)}; {n})."
    ]


def _lost(study: StudyTables, table: pd.DataFrame) -> Iterator[str]:
    """Name the runs that are in no mean."""
    groups = [group for _, group in by_cell(study.runs, study.swept)]
    for status in ("diverged", "failed", "interrupted"):
        told, count = [], 0
        for i, cell in table.iterrows():
            group = groups[int(str(i))]
            seeds = sorted(group[group["status"] == status]["seed"])
            if seeds:
                count += len(seeds)
                numbers = ", ".join(str(seed) for seed in seeds)
                told.append(
                    f"{phrases.label(cell, study.swept)} (seed{'s' if len(seeds) > 1 else ''} "
                    f"{numbers})"
                )
        if told:
            verb = "broke off" if status == "interrupted" else status
            yield (
                f"{counted(count, 'run')} {verb} and {'is' if count == 1 else 'are'} in no mean "
                f"and no pair: {phrases.listed(told)}."
            )
