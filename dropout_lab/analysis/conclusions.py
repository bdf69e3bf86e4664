"""What a study found, in plain sentences, each with its n, its interval and its unit.

Accuracies are in percent, differences in percentage points (pp), intervals 95 % t intervals in
square brackets. Every pair of cells has one verdict, that of :func:`judge`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics, style
from dropout_lab.analysis.family import (
    DATA_SETS,
    Family,
    Part,
    data_sets,
    judge,
    keys_of_data,
    parts_of,
)
from dropout_lab.analysis.paired import (
    NO_PAIRS,
    NOT_SIGNIFICANT,
    SIGNIFICANT,
    TOO_FEW_SEEDS,
    candidates,
    choice,
    seeds_option,
)
from dropout_lab.analysis.ranking import order_sentence
from dropout_lab.analysis.response_curve import sentence, shape_through
from dropout_lab.analysis.tables import (
    MISSING,
    StudyTables,
    by_cell,
    incomplete,
    paired_differences,
    settings_of_cell,
    when,
)
from dropout_lab.results import counted, version_mix


def conclusions(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Return what a study found, in sentences.

    Cells of different data (``dataset`` keys) are never chosen between: each data size has its
    own choice. All comparisons are corrected together, see :mod:`~dropout_lab.analysis.family`.

    Args:
        study: The study.
        table: Its cells, as :func:`compared` returns them.
    """
    family = judge(study, table)
    parts, groups = parts_of(study, table), data_sets(study, table)
    done = set(study.runs.loc[study.runs["status"] == "completed", "run_id"])
    mixed = version_mix(study.manifest, done)
    found = [*_incomplete(study, table, family), *_removed(study), *filter(None, [mixed])]
    if len(groups) < 2:
        found += _choice(study, table, study.swept) + _effect(study, table)
        found += _directions(study, table, family) + _seeds(study, table, family)
        found += _run_over(study, parts[0], family)
        return [*found, *_lost(study, table)]
    found += _over_data(study, groups, family) + _directions(study, table, family)
    found += _seeds(study, table, family)
    for part in parts[:-1]:
        where = style.cell_label(part.table.iloc[0], keys_of_data(study), False)
        told = _choice(study, part.table, part.swept) + _run_over(study, part, family)
        found += [f"At {where}, {line[0].lower()}{line[1:]}" for line in told]
    if len(groups) > DATA_SETS:
        found.append(
            f"The findings of {len(groups) - DATA_SETS} more data sets are in the table only."
        )
    return [*found, *_run_over(study, parts[-1], family), *_lost(study, table)]


def _incomplete(study: StudyTables, table: pd.DataFrame, family: Family) -> Iterator[str]:
    """Say first what was planned and has no result yet."""
    words = incomplete(study)
    if not words:
        return
    groups = [group for _, group in by_cell(study.runs, study.swept)]
    parts = []
    for i, cell in table.iterrows():
        statuses = groups[int(str(i))]["status"]
        count = int(statuses.isin([MISSING, "interrupted"]).sum())
        if count:
            parts.append(f"{count} of {len(statuses)} {phrases.named(cell, study.swept)}")
    counts = ""
    if family.planned > 1:
        counts = f" The p-values are corrected for all {family.planned} planned comparisons."
    yield (
        f"This study is {words} ({phrases.listed(parts)}). Run its command again to finish it; "
        f"what follows can still change.{counts}"
    )


def _removed(study: StudyTables) -> Iterator[str]:
    """Say what was taken out of the study after it was planned."""
    words, count = study.removed
    if words:
        yield (
            f"Removed from this study: {words}. {counted(count, 'removed comparison')} still "
            f"{'counts' if count == 1 else 'count'} in the correction."
        )


def _choice(study: StudyTables, table: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Say what validation chose, and which cell the test set would have chosen.

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
            "There is no validation set, so no cell was chosen. The highest test accuracy in the "
            "table overstates its cell, because the test set picked it."
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
    some = bool(table["bare"].any() and not chosen["bare"])
    among = "Among the cells with dropout, validation chose" if some else "Validation chose"
    if (table["seeds"] == 0).any():
        among = "Among the cells with results so far, validation chose"
    first = f"{among} {phrases.label(chosen, swept)}: {value}. This is the number to report."
    best, optimism = both.best_on_test, both.optimism
    if best.name == chosen.name:
        return [f"{first} It also has the highest test accuracy{' of them' * some}."]
    luck = ""
    if np.isfinite(optimism.value):
        least = optimism.value < 0.00005
        luck = f" by {'less than 0.01 pp' if least else f'about {phrases.points(optimism.value)}'}"
    second = (
        f"The highest test accuracy{' of them' * some}, "
        f"{phrases.percent(best['test_accuracy_mean'])} {phrases.named(best, swept)}, is "
        f"overstated{luck}, because the test set picked it"
    )
    if luck:
        second += f" (bootstrap over {counted(optimism.seeds, 'seed')})"
    return [f"{first} {second}."]


def _effect(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Say what the cell chosen on validation does against its reference.

    Where it is itself the reference, the cell without dropout is compared with it.
    """
    cell = _chosen(study, table)
    if cell is None:
        return []
    bare = table[table["bare"] & (table["pairs"] > 0) & (table["reference"] == cell.name)]
    if cell["pairs"] == 0 and len(bare):
        cell = bare.iloc[0]
    if pd.isna(cell["reference"]):
        there = table["bare"].any() or table["reference"].notna().any()
        return [] if there else ["There are no runs without dropout to compare with."]
    name = phrases.named(table.loc[cell["reference"]], study.swept)
    if cell["pairs"] == 0:
        return [f"No seed completed both {phrases.named(cell, study.swept)} and {name}."]
    mean, n = cell["difference_mean"], phrases.n_of([cell["pairs"]], "paired seed")
    size = phrases.size(mean, (cell["difference_low"], cell["difference_high"]))
    found = (
        f"Test accuracy {phrases.named(cell, study.swept)} is {size} "
        f"{'higher' if mean >= 0 else 'lower'} than {name} ({n})."
    )
    return [f"{found}{_significance(table, cell)}", *_gap(study, cell, name)]


def _chosen(study: StudyTables, table: pd.DataFrame) -> pd.Series | None:
    """Return the cell that validation chose, or the only candidate; None without either."""
    both, rows = choice(study, table), candidates(table)
    if both is None:
        return rows.iloc[0] if len(rows) == 1 else None
    return both.chosen


def _significance(table: pd.DataFrame, cell: pd.Series) -> str:
    """Say whether a difference is significant; with too few seeds, nothing."""
    if cell["verdict"] not in (SIGNIFICANT, NOT_SIGNIFICANT):
        return ""
    tests = int(table["reference"].notna().sum())
    values = f"sign-flip p-value {cell['p_value']:.2g}"
    if tests > 1:
        values += f", {cell['p_holm']:.2g} after Holm's correction over {tests} comparisons"
    if cell["verdict"] == SIGNIFICANT:
        return f" The difference is significant ({values})."
    return f" The difference is not significant ({values}).{_needed(table, cell)}"


def _needed(table: pd.DataFrame, cell: pd.Series) -> str:
    """Say how many seeds a small difference would need at the spread that was seen."""
    needed, difference = cell["seeds_needed"], table.attrs.get("difference")
    if difference is None or not np.isfinite(needed):
        return ""
    return (
        f" To detect a difference of {100 * difference:g} pp with 80% power, about "
        f"{int(needed)} paired seeds are needed at this spread."
    )


def _gap(study: StudyTables, cell: pd.Series, name: str) -> list[str]:
    """Say how the difference between training and test accuracy changes."""
    frames = study.completed
    mine, theirs = frames[int(str(cell.name))], frames[int(cell["reference"])]
    pairs = paired_differences(mine, theirs, "accuracy_gap")
    if not len(pairs):
        return []
    seeds = mine.index.intersection(theirs.index)
    before, after = (frame.loc[seeds, "accuracy_gap"].mean() for frame in (theirs, mine))
    mean, (low, high) = float(pairs.mean()), statistics.t_interval(pairs)
    n = phrases.n_of([len(pairs)], "paired seed")
    none = "; the interval includes 0" if low <= 0 <= high else ""
    noise = settings_of_cell(study, cell).dataset.label_noise
    is_gap = noise == 0 and min(before, after) >= 0  # a negative one is not narrow or wide
    down, up = ("narrower", "wider") if is_gap else ("lower", "higher")
    subject = "The gap between training and test accuracy" if is_gap else "Train − test accuracy"
    found = (
        f"{subject} is {phrases.points(after)}, against {phrases.points(before)} {name}: "
        f"{phrases.size(mean, (low, high))} {down if mean < 0 else up} ({n}{none})."
    )
    if noise:
        found += (
            f" Training accuracy is measured on the labels as trained, of which {noise:.0%} were "
            "moved to another class, and test accuracy on the true labels: the difference does "
            "not measure overfitting."
        )
    return [found]


def _directions(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """Say of several comparisons which are ahead of the reference and which are behind it.

    Both directions are named, the largest differences first, significant or not.
    """
    tested = table[table["pairs"] > 0]
    if len(tested) < 2:
        return []
    order = tested["difference_mean"].abs().sort_values(ascending=False, kind="stable").index
    parts = []
    for word, sign in (("higher", 1), ("lower", -1)):
        cells = [tested.loc[i] for i in order if sign * tested["difference_mean"][i] > 0]
        marked = [cell["verdict"] == SIGNIFICANT for cell in cells]
        labels = [
            f"{phrases.label(cell, study.swept)}: {phrases.signed(cell['difference_mean'])}"
            f"{', significant' if significant else ''}"
            for cell, significant in zip(cells, marked, strict=True)
        ]
        listed = f" ({phrases.listed(labels)})" if labels else ""
        parts.append(f"{word} in {len(cells)}{listed}")
    equal = int((tested["difference_mean"] == 0).sum())
    parts += [f"equal in {equal}"] if equal else []
    count = int((tested["verdict"] == SIGNIFICANT).sum())
    found = f"{count or 'None'} {'are' if count > 1 else 'is'} significant"
    return [
        f"In {counted(len(tested), 'comparison')} with {_reference_name(study, table)}, the mean "
        f"test accuracy is {', '.join(parts[:-1])} and {parts[-1]} "
        f"({phrases.n_of(tested['pairs'], 'paired seed')}). {found} (sign-flip tests, Holm's "
        f"correction over {family.planned} comparisons)."
    ]


def _reference_name(study: StudyTables, table: pd.DataFrame) -> str:
    """Return the reference of all comparisons in words."""
    rows = table.loc[sorted({int(row) for row in table["reference"].dropna()})]
    if rows["bare"].all():
        return "the baseline without dropout"
    return phrases.label(rows.iloc[0], study.swept) if len(rows) == 1 else "their references"


def _seeds(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """Say how many seeds the comparisons need that have too few, as an option to type."""
    few = table[table["verdict"] == TOO_FEW_SEEDS]
    if few.empty:
        return []
    least = statistics.least_seeds(family.planned)
    have = phrases.n_of(few["pairs"], "paired seed").removeprefix("n = ")
    which = "" if len(few) == (table["pairs"] > 0).sum() else f" in {len(few)} of them"
    option = ""
    if int(few["missing"].max()) == 0:  # else the study has to be finished first
        option = f" Add {seeds_option(study, least + int(few['others'].max()))} to the command."
    return [
        f"{have[0].upper()}{have[1:]} cannot show a significant difference{which}: "
        f"{counted(family.planned, 'comparison')} need{'s' * (family.planned == 1)} {least} paired "
        f"seeds.{option}"
    ]


def _run_over(study: StudyTables, part: Part, family: Family) -> list[str]:
    """Say how test error changes over the ordered axes; without one, the order of the cells.

    The lines go through the cell that validation chose, at its other settings.
    """
    both, rows = choice(study, part.table), candidates(part.table)
    if rows.empty:
        return []
    highest = rows.iloc[int(np.argmax(rows["test_accuracy_mean"].to_numpy()))]
    cell = highest if both is None else both.chosen
    told: set[frozenset[int]] = set()
    sentences = []
    for key in part.axes:
        shape = shape_through(study, part.table, cell, key, family)
        if shape is not None and shape.rows not in told:
            told.add(shape.rows)
            fixed = [k for k in study.swept if k not in (key, *shape.together)]
            fixed = [k for k in fixed if part.table[k].astype(str).nunique() > 1]
            held = style.cell_label(cell, tuple(fixed), False) if fixed else ""
            sentences.append(sentence(shape, f" (at {held})" if held else ""))
    order = order_sentence(part.table, part.swept, family) if part.swept and not sentences else ""
    return sentences or ([order] if order else [])


def _over_data(study: StudyTables, groups: Sequence[pd.DataFrame], family: Family) -> list[str]:
    """Say on which data dropout is ahead, on which it is behind, and where neither is shown."""
    parts: dict[str, list[str]] = {SIGNIFICANT: [], "worse": [], NOT_SIGNIFICANT: []}
    parts |= {TOO_FEW_SEEDS: [], NO_PAIRS: []}
    counts = []
    for group in groups:
        cell = _chosen(study, group)
        if cell is None or pd.isna(cell["reference"]):
            continue
        mean, interval = cell["difference_mean"], (cell["difference_low"], cell["difference_high"])
        verdict = str(cell["verdict"])
        size = f" ({phrases.signed(mean)}{phrases.band(interval)})" if cell["pairs"] else ""
        word = "worse" if verdict == SIGNIFICANT and mean < 0 else verdict
        parts[word].append(f"{phrases.label(cell, keys_of_data(study))}{size}")
        counts.append(int(cell["pairs"]))
    words = {
        SIGNIFICANT: "significantly higher at",
        "worse": "significantly lower at",
        NOT_SIGNIFICANT: "not significantly different at",
        TOO_FEW_SEEDS: "not decided with so few seeds at",
        NO_PAIRS: "not known at",
    }
    found = [f"{words[word]} {', '.join(items)}" for word, items in parts.items() if items]
    if not found:
        return []
    several = any(len(candidates(group)) > 1 for group in groups)
    which = " (the cell that validation chose for each)" if several else ""
    name = _reference_name(study, pd.concat(groups))
    return [
        f"Test accuracy with dropout{which}, compared with {name}, is {'; '.join(found)} "
        f"({phrases.n_of(counts, 'paired seed')}; Holm's correction over {family.planned} "
        "comparisons)."
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
