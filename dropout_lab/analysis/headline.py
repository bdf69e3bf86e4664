"""Say the answer of a study in one sentence that a student understands."""

from collections.abc import Iterator, Sequence

import pandas as pd

from dropout_lab.analysis import phrases, style
from dropout_lab.analysis.family import dataset_keys, group_by_dataset
from dropout_lab.analysis.tables import (
    StudyTables,
    candidates,
    chosen_on_validation,
    describe_missing_runs,
    settings_of_cell,
)
from dropout_lab.analysis.verdicts import (
    BETTER,
    EQUIVALENT,
    NO_PAIRS,
    SIGNIFICANT,
    UNDECIDED,
    WORSE,
    is_within_margin,
    margin_text,
    seeds_text,
)
from dropout_lab.results import counted


def headline(study: StudyTables, table: pd.DataFrame) -> str:
    """Return the answer of a study as one sentence: in words, then in numbers.

    About the cell that validation chose and its reference. With several data sets, it counts the
    verdicts of these cells; without such a cell, those of all cells. Empty if no run completed.

    Args:
        study: The study.
        table: The cells of the study, from :func:`compare_cells`.
    """
    if not (table["seeds"] > 0).any():
        return ""
    groups = group_by_dataset(study, table)
    chosen = [cell for group in groups if (cell := compared_cell(group)) is not None]
    compared = [cell for cell in chosen if not pd.isna(cell["reference"])]
    with_reference = [cell for _, cell in table.iterrows() if not pd.isna(cell["reference"])]
    if len(groups) == len(compared) == 1:
        sentence = _comparison(study, table, compared[0])
    elif len(groups) == len(compared):
        sentence = _count_datasets(study, table, compared)
    elif with_reference:
        sentence = _count_settings(study, table, with_reference)
    elif len(chosen) == 1:
        sentence = _accuracy(study, chosen[0])
    else:
        count = counted(int((table["seeds"] > 0).sum()), "setting")
        sentence = f"{count} have results and no baseline; name a reference with --against."
    if describe_missing_runs(study):
        return f"So far, {sentence[0].lower()}{sentence[1:]}"
    return sentence


def chosen_cell(table: pd.DataFrame) -> pd.Series | None:
    """Return the cell that validation chose, or the only candidate, or None."""
    rows = candidates(table)
    return rows.iloc[0] if len(rows) == 1 else chosen_on_validation(table)


def compared_cell(table: pd.DataFrame) -> pd.Series | None:
    """Return the chosen cell; if it is itself the reference, the baseline compared with it."""
    cell = chosen_cell(table)
    if cell is None or cell["pairs"] > 0:
        return cell
    baselines = table[
        table["is_baseline"] & (table["pairs"] > 0) & (table["reference"] == cell.name)
    ]
    return baselines.iloc[0] if len(baselines) else cell


def reference_name(study: StudyTables, table: pd.DataFrame) -> str:
    """Return the name of the reference of all comparisons."""
    rows = table.loc[sorted({int(row) for row in table["reference"].dropna()})]
    if rows["is_baseline"].all():
        return "the baseline (no dropout)"
    return style.cell_name(rows.iloc[0], study.swept) if len(rows) == 1 else "their references"


def _comparison(study: StudyTables, table: pd.DataFrame, cell: pd.Series) -> str:
    """Describe the verdict of a cell that has a reference."""
    reference = table.loc[cell["reference"]]
    first, second = _subject(study, cell, reference), _subject(study, reference, cell)
    verdict, mean, images = cell["verdict"], cell["difference_mean"], _images(study, cell)
    if verdict == NO_PAIRS:
        return f"{_capitalized(first)} and {second} have no completed seed in common."
    interval = (cell["difference_low"], cell["difference_high"])
    n = phrases.sample_size([cell["pairs"]], "paired seed")
    numbers = f"({phrases.signed(mean)}{phrases.interval_text(interval)}, {n})"
    if verdict in SIGNIFICANT:
        number, base = _of_images(abs(mean))
        limit = ""
        if is_within_margin(cell):
            limit = f", which is less than the margin of {margin_text(cell['margin'])}"
        return (
            f"{_capitalized(first)} classifies {number} {'more' if mean > 0 else 'fewer'} of "
            f"{base:,} test {images} correctly than {second}{limit} {numbers}."
        )
    if verdict == EQUIVALENT:
        number, base = _of_images(cell["margin"])
        return (
            f"{_capitalized(first)} and {second} classify equally many test {images} correctly, "
            f"to within {number} of {base:,} {numbers}."
        )
    number, base = _of_images(abs(mean))
    found = (
        f"{first} classified {number} {'fewer' if mean < 0 else 'more'} of {base:,} test {images} "
        f"correctly than {second}"
    )
    if number == "0":
        found = f"{first} and {second} classified equally many test {images} correctly"
    return (
        f"{_capitalized(found)}, which may be chance {numbers}; deciding needs "
        f"{seeds_text(cell, 'paired seeds')}."
    )


def _count_datasets(study: StudyTables, table: pd.DataFrame, cells: Sequence[pd.Series]) -> str:
    """Count the verdicts of the cells that validation chose, one for each data set."""
    is_dropout = not any(cell["is_baseline"] for cell in cells)
    subject = "Dropout" if is_dropout else "The setting that validation chose"
    better, *rest = _verdict_counts(cells, dataset_keys(study))
    parts = [
        f"{subject} classifies more test {_images(study, cells[0])} correctly than "
        f"{_reference(study, table)} on {better[1] or 'none'} of "
        f"{counted(len(cells), 'data set')}{better[2]}",
        *(f"{words} on {count}{names}" for words, count, names in rest if count),
    ]
    return f"{'; '.join(parts)}."


def _count_settings(study: StudyTables, table: pd.DataFrame, cells: Sequence[pd.Series]) -> str:
    """Count the verdicts of all cells with a reference."""
    better, *rest = _verdict_counts(cells, study.swept)
    parts = [
        f"{better[1] or 'None'} of {counted(len(cells), 'setting')} "
        f"{'classify' if better[1] > 1 else 'classifies'} more test {_images(study, cells[0])} "
        f"correctly than {_reference(study, table)}{better[2]}",
        *(f"{count} {words}{names}" for words, count, names in rest if count),
    ]
    return f"{'; '.join(parts)}."


def _reference(study: StudyTables, table: pd.DataFrame) -> str:
    return reference_name(study, table).replace("the baseline (no dropout)", "no dropout")


def _verdict_counts(
    cells: Sequence[pd.Series], keys: Sequence[str]
) -> Iterator[tuple[str, int, str]]:
    """Yield each verdict in words, how many cells have it, and their names in brackets."""
    margin = cells[0]["margin"]
    words = {
        BETTER: "more",
        WORSE: "fewer",
        EQUIVALENT: "" if pd.isna(margin) else f"equally many, to within {margin_text(margin)}",
        UNDECIDED: "undecided",
        NO_PAIRS: "without paired seeds",
    }
    for verdict, word in words.items():
        names = [style.cell_name(cell, keys) for cell in cells if cell["verdict"] == verdict]
        listed = phrases.join_some([name.removeprefix("no dropout, ") for name in names])
        yield word, len(names), f" ({listed})" if listed else ""


def _accuracy(study: StudyTables, cell: pd.Series) -> str:
    """Describe the accuracy of a cell without a reference."""
    mean, interval = (
        cell["test_accuracy_mean"],
        (cell["test_accuracy_low"], cell["test_accuracy_high"]),
    )
    return (
        f"{_capitalized(_subject(study, cell, cell))} classifies {_number(100 * mean)} of 100 test "
        f"{_images(study, cell)} correctly ({phrases.percent(mean)}"
        f"{phrases.interval_text(interval)}, {phrases.sample_size([cell['seeds']], 'seed')})."
    )


def _subject(study: StudyTables, cell: pd.Series, other: pd.Series) -> str:
    """Return the name of a cell in a sentence: ``dropout with p = 0.5``, ``no dropout``."""
    name = style.cell_name(cell, study.swept)
    if {name, style.cell_name(other, study.swept)} & {"no dropout"} or cell is other:
        if name == "no dropout":
            return name
        if name.startswith("p = "):
            return f"dropout with {name}"
    return f"the network {phrases.cell_phrase(cell, study.swept)}"


def _images(study: StudyTables, cell: pd.Series) -> str:
    return "images" if settings_of_cell(study, cell).dataset.describe().is_image else "examples"


def _of_images(share: float) -> tuple[str, int]:
    """Return a share of the test set as a number of 100, 1,000 or 10,000: ``("1.9", 100)``."""
    base = next((base for base in (100, 1_000) if round(share * base, 2) >= 1), 10_000)
    return _number(base * share), base


def _number(value: float) -> str:
    """Format a number with at most one decimal: ``1.9``, ``28``."""
    return f"{value:.1f}".removesuffix(".0")


def _capitalized(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
