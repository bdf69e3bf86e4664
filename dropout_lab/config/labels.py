"""Check labels: each belongs to one cell and says nothing false about it.

And every text of a config can be shown.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.document import KeyPath, parse_value
from dropout_lab.config.grid import with_values
from dropout_lab.config.messages import suggest_nearest
from dropout_lab.config.mistakes import Mistakes
from dropout_lab.config.schema import KEYS, Config, Settings, get_value
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.config.sweep import LABEL
from dropout_lab.errors import ConfigError
from dropout_lab.printable import shown, unprintable

_NONE, _WITH = ("no dropout", "without dropout"), "with dropout"  # names of cells without a label
_PART = re.compile(r"([a-z][a-z0-9_ ]*?) ?= ?(\S.*)")  # and "p = 0.5" for each key that is swept
_KEY_OF: dict[str, str] = {}
for _key in KEYS:
    _KEY_OF.setdefault(_key.partition(".")[2].replace("_", " "), _key)


def normalize_name(text: str) -> str:
    """Normalize a name, so that names which look the same to a reader are equal."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def check_texts(data: Any, mistakes: Mistakes, path: KeyPath = ()) -> None:
    """Add a mistake for each text with a character that cannot be shown."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(data, str) and (character := unprintable(data)):
        dotted = ".".join(path)
        message = f"{dotted} has the character {character}, which cannot be shown; "
        mistakes.add(dotted, f"{message}allowed: printable characters and line breaks.", path=path)
    elif isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for key, item in items:
        check_texts(item, mistakes, (*path, str(key)))


def check_labels(cells: Any, axes: Collection[str], settings: Settings, mistakes: Mistakes) -> None:
    """Add a mistake for each label that is repeated, blank, or false about its cell.

    ``cells`` are as the document has them, ``axes`` are the keys of the grid.
    """
    cells = cells if isinstance(cells, list) else []
    cells = [cell if isinstance(cell, dict) else {} for cell in cells]
    varied = {key for cell in cells for key in cell} | set(axes)
    given: dict[str, tuple[str, str]] = {}  # each label as it was first given, and where
    for number, cell in enumerate(cells):
        label, path = cell.get(LABEL), ("sweep", "cells", str(number), LABEL)
        if not isinstance(label, str) or not label:
            continue
        name = normalize_name(label)
        messages = [
            f"{words}; choose another label"
            for words in _find_false_words(name, cell, axes, varied, settings)
        ]
        if not name:
            messages = ["is blank; write a name, or leave it out"]
        elif name in given:
            first, place = given[name]
            how = f"differs from {shown(first)} only in case or spaces"
            how = "is given twice" if first == label else how
            messages.append(f"{how}, first at {place}; give each cell a label of its own")
        given.setdefault(name, (label, mistakes.document.place(path)))
        for message in messages:
            mistakes.add("sweep.cells", f"the label {shown(label)} {message}.", path=path)


def _find_false_words(
    name: str,
    cell: Mapping[str, Any],
    axes: Collection[str],
    varied: Collection[str],
    settings: Settings,
) -> Iterator[str]:
    """Yield what a label says in the words of the program that is false about its cell."""
    try:
        own = with_values(settings, {key: cell[key] for key in cell if key in KEYS})
    except ValidationError:
        return  # its values are noted as wrong
    no_dropout = is_baseline(own)
    variant = own.dropout.variant
    if name in CATALOGUE and name not in ("none", variant) and "dropout.variant" in varied:
        yield f"is the name of a variant, and this cell has {variant}"
    for part in (part.strip() for part in name.split(",")):
        found = _PART.fullmatch(part)
        key = _KEY_OF.get(found[1].replace("_", " ")) if found else None
        if part in (*_NONE, _WITH) and no_dropout != (part in _NONE):
            yield f"is false: this cell is {_NONE[1] if no_dropout else _WITH}"
        elif found and key in axes:
            yield f"names a value of {key}, which sweep.grid varies"
        elif found and key is not None and not _may_be_value(found[2], get_value(own, key)):
            yield f"is false: this cell has {key} = {shown(get_value(own, key))}"


def _may_be_value(text: str, value: Any) -> bool:
    """Return whether a text in a label may be a value; only a plain value can be false."""
    try:
        said = parse_value("null" if text == "none" else text, "a label")
    except ConfigError:
        return True
    if isinstance(said, str) and (not isinstance(value, str) or " " in said):
        return True
    return bool((tuple(said) if isinstance(said, list) else said) == value)


def check_distinct(
    config: Config, enumerated: Iterable[Iterable[Settings]], mistakes: Mistakes
) -> None:
    """Add a mistake for each labelled cell that has the same settings as another.

    ``enumerated`` are the settings of each listed cell, one for each combination of the grid.
    """
    first: dict[tuple[Settings, ...], str] = {}
    for number, (cell, settings) in enumerate(zip(config.sweep.cells, enumerated, strict=False)):
        label = cell.get(LABEL)
        if label and (other := first.setdefault(tuple(settings), label)) != label:
            message = f"the cells {shown(other)} and {shown(label)} are the same setting"
            path = ("sweep", "cells", str(number), LABEL)
            mistakes.add("sweep.cells", f"{message}; leave one out.", path=path)


def check_references(config: Config, axes: Mapping[str, Any], mistakes: Mistakes) -> None:
    """Add a mistake for each published value whose cell is unknown or ambiguous."""
    labels = [cell.get(LABEL) for cell in config.sweep.cells if isinstance(cell, dict)]
    known = [label for label in labels if isinstance(label, str) and label]
    document = mistakes.document
    absent = [
        key
        for key, values in axes.items()
        # An axis of the command line is a trial: its numbers are simply not the paper's.
        if get_value(config, key) not in values
        and document.place(("sweep", "grid", key)).startswith(f"{document.source}:")
    ]
    given: set[tuple[Any, ...]] = set()
    for number, value in enumerate(config.published.values if config.published else ()):
        path = ("published", "values", str(number))
        row = (normalize_name(value.label), value.quantity, value.inference, value.epoch)
        if row in given:
            message = f"the published row {shown(value.label)} is given twice; drop one."
            mistakes.add("published", message, path=(*path, "label"))
        given.add(row)
        if value.inference != "mean" and not value.quantity.startswith("test_"):
            message = (
                f"quantity is {value.quantity}, but inference {value.inference} is measured on the "
                "test set only; give test_error or test_accuracy."
            )
            mistakes.add("published", message, path=(*path, "quantity"))
        if not isinstance(value.cell, str):
            continue
        if value.cell not in [*known, *document.labels_elsewhere]:
            message = (
                f"cell is {shown(value.cell)}, which is the label of no cell;"
                f"{suggest_nearest(value.cell, known)} known: {', '.join(known) or 'none'}."
            )
            mistakes.add("published", message, path=(*path, "cell"))
        elif absent and value.cell in known:
            own = shown(get_value(config, absent[0]))
            message = (
                f"cell is {shown(value.cell)}, of which the grid makes several: it varies "
                f"{absent[0]} without the config's own value {own}. Add "
                "this value to the grid, or give cell as a mapping of keys to values."
            )
            mistakes.add("published", message, path=(*path, "cell"))
