"""Write the conclusions of a study as sentences, each with n, interval and unit.

Accuracies are in percent, differences in percentage points (pp), and 95% t intervals in square
brackets. :func:`correct_comparisons` decides which pairs of cells differ.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics, style
from dropout_lab.analysis.agreement import beside_paper
from dropout_lab.analysis.equivalence import MANY_SEEDS
from dropout_lab.analysis.family import (
    MAX_DATASETS,
    Family,
    ReportPart,
    correct_comparisons,
    dataset_keys,
    group_by_dataset,
    report_parts,
)
from dropout_lab.analysis.headline import chosen_cell, compared_cell, headline, reference_name
from dropout_lab.analysis.omitted_runs import (
    describe_incomplete_study,
    describe_lost_runs,
    describe_removed_cells,
)
from dropout_lab.analysis.paired import choose_on_validation, compare_cells, seeds_option
from dropout_lab.analysis.ranking import ranking_sentence
from dropout_lab.analysis.response_curve import response_curve_through, response_sentence
from dropout_lab.analysis.sampled import sampling_sentence
from dropout_lab.analysis.spread import describe_spread
from dropout_lab.analysis.tables import (
    StudyTables,
    as_text,
    candidates,
    describe_epoch,
    paired_differences,
    settings_of_cell,
)
from dropout_lab.analysis.verdicts import (
    BETTER,
    EQUIVALENT,
    NO_PAIRS,
    SIGNIFICANT,
    UNDECIDED,
    WORSE,
    has_too_few_seeds,
    is_within_margin,
    margin_text,
)
from dropout_lab.results import counted, version_mix

_FEW = "too few seeds"


def conclusions(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Return the conclusions of a study, as sentences.

    With several datasets (``dataset`` keys), a cell is chosen for each dataset. All comparisons are
    corrected together, see :mod:`~dropout_lab.analysis.family`.

    Args:
        study: The study.
        table: The cells of the study, from :func:`compare_cells`.
    """
    family = correct_comparisons(study, table)
    parts, groups = report_parts(study, table), group_by_dataset(study, table)
    completed_ids = set(study.runs.loc[study.runs["status"] == "completed", "run_id"])
    mixed_versions = version_mix(study.manifest, completed_ids)
    sentences = [
        *filter(None, [headline(study, table)]),
        *describe_incomplete_study(study, table, family),
        *describe_removed_cells(study),
        *filter(None, [mixed_versions]),
        *beside_paper(study, table, family),
    ]
    if len(groups) < 2:
        sentences += _choice(study, table, study.swept) + _effect(study, table)
        sentences += _directions(study, table, family) + _seeds_needed(study, table, family)
        sentences += _axes(study, parts[0], family) + _sampling(study, table)
        sentences += describe_spread(study)
        return [*sentences, *describe_lost_runs(study, table)]
    sentences += _datasets(study, groups, family) + _directions(study, table, family)
    sentences += _seeds_needed(study, table, family)
    for part in parts[:-1]:
        where = style.cell_label(part.table.iloc[0], dataset_keys(study), False)
        described = _choice(study, part.table, part.swept) + _axes(study, part, family)
        sentences += [f"At {where}, {line[0].lower()}{line[1:]}" for line in described]
    if len(groups) > MAX_DATASETS:
        sentences.append(
            f"The findings of {len(groups) - MAX_DATASETS} more data sets are in the table only."
        )
    return [
        *sentences,
        *_axes(study, parts[-1], family),
        *describe_spread(study),
        *describe_lost_runs(study, table),
    ]


def short_conclusions(study: StudyTables) -> tuple[str, list[str]]:
    """Return the headline of a study, and the sentences that compare it with its paper."""
    table = compare_cells(study, bootstrap=False)
    return headline(study, table), beside_paper(study, table, correct_comparisons(study, table))


def _choice(study: StudyTables, table: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Describe the cell that validation chose, and the cell that the test set would choose.

    Args:
        study: The study.
        table: Cells with equal data.
        swept: The keys in the names of the cells.
    """
    rows = candidates(table)
    if rows.empty:
        return ["No run completed."]
    selection = choose_on_validation(study, table)
    if selection is None and len(rows) > 1:
        return [
            "There is no validation set, so no cell was chosen. The highest test accuracy in the "
            "table overstates its cell, because the test set picked it."
        ]
    chosen = rows.iloc[0] if selection is None else selection.chosen
    value = (
        f"{phrases.percent(chosen['test_accuracy_mean'])} test accuracy"
        f"{phrases.interval_text((chosen['test_accuracy_low'], chosen['test_accuracy_high']))} "
        f"{describe_epoch(study)} ({phrases.sample_size([chosen['seeds']], 'seed')})"
    )
    if selection is None:
        name = phrases.cell_phrase(chosen, swept)
        return [f"{name[0].upper()}{name[1:]}: {value}."]
    # The candidates are the cells with dropout; the baseline is only a reference.
    some = bool(table["is_baseline"].any() and not chosen["is_baseline"])
    among = "Among the cells with dropout, validation chose" if some else "Validation chose"
    if (table["seeds"] == 0).any():
        among = "Among the cells with results so far, validation chose"
    first = f"{among} {style.cell_name(chosen, swept)}: {value}. This is the number to report."
    best, optimism = selection.best_on_test, selection.optimism
    if best.name == chosen.name:
        return [f"{first} It also has the highest test accuracy{' of them' * some}."]
    luck = ""
    if np.isfinite(optimism.value):
        luck = f" by about {phrases.least(optimism.value)}".replace("about less", "less")
    second = (
        f"The highest test accuracy{' of them' * some}, "
        f"{phrases.percent(best['test_accuracy_mean'])} {phrases.cell_phrase(best, swept)}, is "
        f"overstated{luck}, because the test set picked it"
    )
    if luck:
        second += f" (bootstrap over {counted(optimism.seeds, 'seed')})"
    return [f"{first} {second}."]


def _effect(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Describe the difference between the chosen cell and its reference.

    If the chosen cell is the reference, compare the baseline with it.
    """
    cell = compared_cell(table)
    if cell is None:
        return []
    if pd.isna(cell["reference"]):
        has_references = table["is_baseline"].any() or table["reference"].notna().any()
        return [] if has_references else ["There are no runs without dropout to compare with."]
    name = phrases.cell_phrase(table.loc[cell["reference"]], study.swept)
    if cell["pairs"] == 0:
        return [f"No seed completed both {phrases.cell_phrase(cell, study.swept)} and {name}."]
    mean, n = cell["difference_mean"], phrases.sample_size([cell["pairs"]], "paired seed")
    size = phrases.magnitude(mean, (cell["difference_low"], cell["difference_high"]))
    sentence = (
        f"Test accuracy {phrases.cell_phrase(cell, study.swept)} is {size} "
        f"{'higher' if mean >= 0 else 'lower'} than {name} ({n})."
    )
    return [f"{sentence}{_significance(table, cell)}", *_gap(study, cell, name)]


def _sampling(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Compare Monte Carlo dropout with the mean network in the cell that validation chose."""
    cell = chosen_cell(table)
    sentence = "" if cell is None else sampling_sentence(study, cell)
    return [sentence] if sentence else []


def _significance(table: pd.DataFrame, cell: pd.Series) -> str:
    """Describe the tests behind the verdict of a cell; empty with too few seeds."""
    if cell["verdict"] == NO_PAIRS or has_too_few_seeds(cell):
        return ""
    tests = int(table["reference"].notna().sum())
    after = f" after Holm's correction over {tests} comparisons"
    values = f"sign-flip p-value {cell['p_value']:.2g}"
    if tests > 1:
        values += f", {cell['p_holm']:.2g}{after}"
    significant = cell["verdict"] in SIGNIFICANT
    sentence = f" The difference is {'' if significant else 'not '}significant ({values})."
    if not pd.isna(cell["margin"]):
        values = f"two one-sided t tests, p-value {cell['p_equivalence']:.2g}"
        if tests > 1:
            values += f", {cell['p_equivalence_holm']:.2g}{after}"
        certain = "certainly" if is_within_margin(cell) else "not certainly"
        sentence += f" It is {certain} smaller than {margin_text(cell['margin'])} ({values})."
    return sentence + (_power(table, cell) if cell["verdict"] == UNDECIDED else "")


def _power(table: pd.DataFrame, cell: pd.Series) -> str:
    """Describe how many seeds would decide, at the observed standard deviation."""
    needed, difference = cell["seeds_needed"], table.attrs.get("difference")
    words = []
    if cell["seeds_to_decide"] <= MANY_SEEDS:
        words.append(
            f" About {cell['seeds_to_decide']:.0f} paired seeds would decide, with 80% "
            "probability, if the mean and the spread stay the same."
        )
    if difference is not None and np.isfinite(needed):
        words.append(
            f" To detect a difference of {100 * difference:g} pp with 80% power, about "
            f"{int(needed)} paired seeds are needed at this spread."
        )
    return "".join(words)


def _gap(study: StudyTables, cell: pd.Series, name: str) -> list[str]:
    """Describe how the gap between training and test accuracy changes."""
    frames = study.completed
    cell_runs, reference_runs = frames[int(str(cell.name))], frames[int(cell["reference"])]
    pairs = paired_differences(cell_runs, reference_runs, "accuracy_gap")
    if not len(pairs):
        return []
    seeds = cell_runs.index.intersection(reference_runs.index)
    before, after = (
        frame.loc[seeds, "accuracy_gap"].mean() for frame in (reference_runs, cell_runs)
    )
    mean, (low, high) = float(pairs.mean()), statistics.t_interval(pairs)
    n = phrases.sample_size([len(pairs)], "paired seed")
    none = "; the interval includes 0" if low <= 0 <= high else ""
    noise = settings_of_cell(study, cell).dataset.label_noise
    is_gap = noise == 0 and min(before, after) >= 0  # a negative one is not narrow or wide
    down, up = ("narrower", "wider") if is_gap else ("lower", "higher")
    subject = "The gap between training and test accuracy" if is_gap else "Train − test accuracy"
    sentence = (
        f"{subject} is {phrases.points(after)}, against {phrases.points(before)} {name}: "
        f"{phrases.magnitude(mean, (low, high))} {down if mean < 0 else up} ({n}{none})."
    )
    if noise:
        sentence += (
            f" Training accuracy is measured on the labels as trained, of which {noise:.0%} were "
            "moved to another class, and test accuracy on the true labels: the difference does "
            "not measure overfitting."
        )
    return [sentence]


def _directions(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """List the cells with higher and with lower accuracy than their reference.

    Lists the largest differences first, significant or not.
    """
    tested = table[table["pairs"] > 0]
    if len(tested) < 2:
        return []
    order = tested["difference_mean"].abs().sort_values(ascending=False, kind="stable").index
    parts = []
    for word, sign in (("higher", 1), ("lower", -1)):
        cells = [tested.loc[i] for i in order if sign * tested["difference_mean"][i] > 0]
        labels = [
            f"{style.cell_name(cell, study.swept)}: {phrases.signed(cell['difference_mean'])}"
            f"{_mark(cell)}"
            for cell in cells
        ]
        listed = f" ({phrases.join_some(labels)})" if labels else ""
        parts.append(f"{word} in {len(cells)}{listed}")
    equal = int((tested["difference_mean"] == 0).sum())
    parts += [f"equal in {equal}"] if equal else []
    count = int(tested["verdict"].isin(SIGNIFICANT).sum())
    verdict = f"{count or 'None'} {'are' if count > 1 else 'is'} significant"
    margins = table["margin"].dropna()
    if len(margins):
        equivalent = int((tested["verdict"] == EQUIVALENT).sum())
        verdict += (
            f", and {equivalent or 'none'} {'are' if equivalent > 1 else 'is'} equivalent within "
            f"{margin_text(margins.iloc[0])}"
        )
    n = phrases.sample_size(tested["pairs"], "paired seed")
    return [
        f"In {counted(len(tested), 'comparison')} with {reference_name(study, table)}, the mean "
        f"test accuracy is {', '.join(parts[:-1])} and {parts[-1]} "
        f"({n}). {verdict} ({'two one-sided t tests, ' if len(margins) else ''}sign-flip tests, "
        f"Holm's correction over {family.planned} comparisons)."
    ]


def _mark(cell: pd.Series) -> str:
    """Return what a list says about the verdict of a cell: ``, significant``."""
    if cell["verdict"] == EQUIVALENT:
        return ", equivalent"
    return ", significant" if cell["verdict"] in SIGNIFICANT else ""


def _seeds_needed(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """Describe how many seeds the comparisons need, with the option to type."""
    few = table[table.apply(has_too_few_seeds, axis=1)]
    if few.empty:
        return []
    least = statistics.min_seeds(family.planned)
    have = phrases.sample_size(few["pairs"], "paired seed").removeprefix("n = ")
    which = "" if len(few) == (table["pairs"] > 0).sum() else f" in {len(few)} of them"
    option = ""
    if int(few["missing"].max()) == 0:  # else the study has to be finished first
        option = f" Add {seeds_option(study, least + int(few['others'].max()))} to the command."
    return [
        f"{have[0].upper()}{have[1:]} cannot show a significant difference{which}: "
        f"{counted(family.planned, 'comparison')} need{'s' * (family.planned == 1)} {least} paired "
        f"seeds.{option}"
    ]


def _axes(study: StudyTables, part: ReportPart, family: Family) -> list[str]:
    """Describe how test error changes along numeric axes; without such axes, rank the cells.

    Each response curve contains the cell that validation chose.
    """
    selection, rows = choose_on_validation(study, part.table), candidates(part.table)
    if rows.empty:
        return []
    highest = rows.iloc[int(np.argmax(rows["test_accuracy_mean"].to_numpy()))]
    cell = highest if selection is None else selection.chosen
    described: set[frozenset[int]] = set()
    sentences = []
    for key in part.axes:
        curve = response_curve_through(study, part.table, cell, key, family)
        if curve is not None and curve.rows not in described:
            described.add(curve.rows)
            fixed = [k for k in study.swept if k not in (key, *curve.coupled_keys)]
            fixed = [k for k in fixed if as_text(part.table[k]).nunique() > 1]
            held = style.cell_label(cell, tuple(fixed), False) if fixed else ""
            sentences.append(response_sentence(curve, f" (at {held})" if held else ""))
    order = ranking_sentence(part.table, part.swept, family) if part.swept and not sentences else ""
    return sentences or ([order] if order else [])


def _datasets(study: StudyTables, groups: Sequence[pd.DataFrame], family: Family) -> list[str]:
    """Describe on which datasets dropout is better, worse, equivalent or undecided."""
    words = {
        BETTER: "significantly higher at",
        WORSE: "significantly lower at",
        EQUIVALENT: "equivalent at",
        UNDECIDED: "not significantly different at",
        _FEW: "not decided with so few seeds at",
        NO_PAIRS: "not known at",
    }
    parts: dict[str, list[str]] = {word: [] for word in words}
    counts = []
    for group in groups:
        cell = chosen_cell(group)
        if cell is None or pd.isna(cell["reference"]):
            continue
        mean, interval = cell["difference_mean"], (cell["difference_low"], cell["difference_high"])
        verdict = _FEW if has_too_few_seeds(cell) else str(cell["verdict"])
        size = (
            f" ({phrases.signed(mean)}{phrases.interval_text(interval)})" if cell["pairs"] else ""
        )
        parts[verdict].append(f"{style.cell_name(cell, dataset_keys(study))}{size}")
        counts.append(int(cell["pairs"]))
    groups_in_words = [
        f"{words[word]} {', '.join(items)}" for word, items in parts.items() if items
    ]
    if not groups_in_words:
        return []
    several = any(len(candidates(group)) > 1 for group in groups)
    which = " (the cell that validation chose for each)" if several else ""
    name = reference_name(study, pd.concat(groups))
    return [
        f"Test accuracy with dropout{which}, compared with {name}, is {'; '.join(groups_in_words)} "
        f"({phrases.sample_size(counts, 'paired seed')}; Holm's correction over {family.planned} "
        "comparisons)."
    ]
