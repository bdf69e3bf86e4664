"""Say the answer of a study in one sentence that a student understands."""

from collections.abc import Iterator, Sequence

import pandas as pd

from dropout_lab.analysis import phrases, style
from dropout_lab.analysis.equivalence import MANY_SEEDS
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
)
from dropout_lab.results import counted


def headline(study: StudyTables, table: pd.DataFrame) -> str:
    """Return the answer of a study as one sentence: in words, then in numbers.

    About the cell that validation chose and its reference. With several data sets, or without such
    a cell, it counts the verdicts. Empty if no run completed.

    Args:
        study: The study.
        table: The cells of the study, from :func:`compare_cells`.
    """
    if not (table["seeds"] > 0).any():
        return ""
    groups = group_by_dataset(study, table)
    cell = compared_cell(table) if len(groups) < 2 else None
    if cell is not None and not pd.isna(cell["reference"]):
        sentence = _comparison(study, table, cell)
    elif (table["pairs"] > 0).any():
        sentence = _counts(study, table, groups)
    elif cell is not None:
        sentence = _accuracy(study, cell)
    else:
        sentence = f"{counted(int((table['seeds'] > 0).sum()), 'setting')} have results, and none "
        sentence += "was chosen: there is no validation set."
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
    needed = cell["seeds_to_decide"]
    hint = f"; about {needed:.0f} paired seeds would decide" if needed <= MANY_SEEDS else ""
    return (
        f"It is undecided whether {first} classifies more or fewer test {images} correctly than "
        f"{second} {numbers}{hint}."
    )


def _counts(study: StudyTables, table: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> str:
    """Count the verdicts: of the chosen cell of each data set, or of all cells."""
    several = len(groups) > 1
    chosen = [compared_cell(group) for group in groups] if several else []
    cells = [cell for cell in chosen if cell is not None]
    cells = [cell for cell in cells or list(_rows(table)) if not pd.isna(cell["reference"])]
    keys = dataset_keys(study) if several else study.swept

    def count(verdict: str) -> tuple[int, str]:
        """Return how many cells have a verdict, and their names in brackets."""
        names = [style.cell_name(cell, keys) for cell in cells if cell["verdict"] == verdict]
        listed = phrases.join_some([name.removeprefix("no dropout, ") for name in names])
        return len(names), f" ({listed})" if listed else ""

    margin = cells[0]["margin"]
    words = {
        WORSE: "fewer",
        EQUIVALENT: "" if pd.isna(margin) else f"equally many, to within {margin_text(margin)},",
        UNDECIDED: "undecided",
        NO_PAIRS: "without paired seeds",
    }
    better, names = count(BETTER)
    images, reference = _images(study, cells[0]), reference_name(study, pd.concat(groups))
    rest = [(word, *count(verdict)) for verdict, word in words.items()]
    if several:
        parts = [
            f"Dropout classifies more test {images} correctly than {reference} on "
            f"{better or 'none'} of {counted(len(cells), 'data set')}{names}"
        ]
        parts += [f"{word} on {number}{listed}" for word, number, listed in rest if number]
    else:
        verb = "classify" if better > 1 else "classifies"
        parts = [
            f"{better or 'None'} of {counted(len(cells), 'setting')} {verb} more test {images} "
            f"correctly than {reference}{names}"
        ]
        parts += [f"{number} {word.rstrip(',')}{listed}" for word, number, listed in rest if number]
    return f"{'; '.join(parts)}."


def _rows(table: pd.DataFrame) -> Iterator[pd.Series]:
    return (row for _, row in table.iterrows())


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
