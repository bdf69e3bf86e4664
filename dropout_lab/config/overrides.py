"""Write the changes from the command line into a document."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropout_lab.config.document import Document, KeyPath, parse_value
from dropout_lab.config.hints import format_setting, is_allowed
from dropout_lab.config.messages import unknown_dotted
from dropout_lab.config.schema import KEYS
from dropout_lab.config.sections.dataset import PATH
from dropout_lab.config.sweep import LABEL, SweepSettings
from dropout_lab.config.types import LARGEST_SEED
from dropout_lab.errors import ConfigError
from dropout_lab.printable import shown

_SHOWN = 80  # characters of an option that a message repeats


@dataclass(frozen=True)
class Changes:
    """Changes from the command line.

    Args:
        settings: ``key=value`` texts, dotted; in a sweep a comma list makes an axis.
        epochs: Training epochs.
        seeds: A count, or a comma list of seeds.
        p: ``dropout.p``; in a sweep the axis: a comma list or ``start:stop:step``.
        sweep: Whether axes are allowed.
        seed: The one seed.
        lr: ``training.learning_rate``.
        name: The study's name.
    """

    settings: tuple[str, ...] = ()
    epochs: int | None = None
    seeds: str | None = None
    p: str | None = None
    sweep: bool = False
    seed: str | None = None
    lr: str | None = None
    name: str | None = None

    @property
    def options(self) -> dict[str, tuple[str, str]]:
        """The given options that set one key, each with its key and its text."""
        given = {
            "--p": ("dropout.p", self.p),
            "--lr": ("training.learning_rate", self.lr),
            "--epochs": ("training.epochs", self.epochs),
            "--seed": ("seeds", self.seed),
            "--seeds": ("seeds", self.seeds),
            "--name": ("name", self.name),
        }
        return {name: (key, str(text)) for name, (key, text) in given.items() if text is not None}


def choose_size(document: Document, changes: Changes | None = None) -> None:
    """Write the keys of the chosen size, or of the first size, into the document."""
    sizes = document.data.pop("sizes", None)
    wanted = document.data.pop("size", None)
    place = document.place(document.first(("size",), ("sizes",)))
    for text in changes.settings if changes is not None else ():
        key, _, value = text.partition("=")
        if key == "size":
            wanted, place = value, _option_place("--set", text)
    if not isinstance(sizes, dict) or not sizes:
        if sizes is not None or wanted is not None:
            words = f"size is {shown(wanted)}" if sizes is None else f"sizes is {shown(sizes)}"
            document.mistakes.append(f"{place}: {words}; expected `sizes: {{quick: {{...}}}}`.")
        return
    name = next(iter(sizes)) if wanted is None else str(wanted)
    if name not in sizes:
        known = ", ".join(map(str, sizes))
        document.mistakes.append(f"{place}: size is {shown(wanted)}; known here: {known}.")
        return
    at = document.place(("sizes", name))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", name) or not isinstance(sizes[name], dict):
        message = f"{at}: the size {shown(name)} is {shown(sizes[name])}; expected a short word "
        document.mistakes.append(message + "and a mapping of what it changes.")
        return
    for key in ("size", "sizes"):
        if key in sizes[name]:
            within = document.place(("sizes", name, key))
            document.mistakes.append(f"{within}: {key} is no setting that a size can change.")
    alike = [str(other) for other in sizes if str(other).casefold() == name.casefold()]
    if len(alike) > 1:
        message = f"the sizes {' and '.join(alike)} differ only in case, as their folders would."
        document.mistakes.append(f"{at}: {message}")
    for cell in (cell for part in (document.data, *sizes.values()) for cell in _listed_cells(part)):
        if isinstance(label := cell.get(LABEL), str):
            document.labels_elsewhere.add(label)
    _merge_size(document, sizes[name], ("sizes", name), ())
    study = document.data.get("name")
    if isinstance(study, str | int):  # anything else is told as a mistake
        document.data["name"] = f"{study}_{name}"


def _merge_size(document: Document, part: Mapping[str, Any], of: KeyPath, at: KeyPath) -> None:
    """Write a part of a config over the document: mappings key by key, other values completely."""
    for key, value in part.items():
        here = (*at, key)
        if isinstance(value, dict) and here != ("sweep", "grid"):
            _merge_size(document, value, (*of, key), here)
            continue
        within = {p[len(of) :]: place for p, place in document.places.items() if p[: len(of)] == of}
        own = {(*at, *p): place for p, place in within.items() if p[:1] == (key,)}
        document.set(here, value, document.place((*of, key)))
        document.places |= own


def resolve_paths(document: Document, folder: Path) -> None:
    """Let relative paths of data that the config file names start at the folder of the file.

    A path that starts with ``~`` is left for :attr:`dropout_lab.datasets.own.Reading.file`.
    """
    sweep = document.data.get("sweep")
    grid = sweep.get("grid") if isinstance(sweep, dict) else None
    holders = [(document.data.get("dataset"), "path"), (grid, PATH)]
    holders += [(cell, PATH) for cell in _listed_cells(document.data)]
    for holder, key in holders:
        value = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(value, str):
            holder[key] = _start_at(folder, value)
        elif isinstance(holder, dict) and isinstance(value, list):
            holder[key] = [_start_at(folder, v) if isinstance(v, str) else v for v in value]


def _start_at(folder: Path, path: str) -> str:
    return path if path.startswith("~") else str(folder / path)


def apply_changes(changes: Changes, document: Document) -> None:
    """Write the changes from the command line into the document."""
    _note_repeated(changes, document)
    if changes.epochs is not None:
        document.set(("training", "epochs"), changes.epochs, "--epochs")
        document.set(("training", "updates"), None, "--epochs")
        if changes.sweep:
            for key in ("training.epochs", "training.updates"):
                _grid_to_change(document, "--epochs").pop(key, None)
                _refuse_in_cells(document, key, f"--epochs {changes.epochs}")
    if changes.name is not None:
        document.set(("name",), changes.name, _option_place("--name", changes.name))
    _apply_seeds(changes, document)
    if changes.p is not None:
        place = _option_place("--p", changes.p)
        if changes.sweep:
            axis = changes.p if ":" in changes.p else _split_list(changes.p, place)
            _grid_to_change(document, place)["dropout.p"] = axis
            document.places[("sweep", "grid", "dropout.p")] = place
        else:
            _set_key("dropout.p", changes.p, place, document, sweep=False)
    if changes.lr is not None:
        place = _option_place("--lr", changes.lr)
        _set_key("training.learning_rate", changes.lr, place, document, sweep=changes.sweep)
    for text in changes.settings:
        _apply_setting(text, document, sweep=changes.sweep)


def _note_repeated(changes: Changes, document: Document) -> None:
    """Add a mistake for each key that two options set."""
    given: dict[str, str] = {}
    for option, (key, text) in changes.options.items():
        if key in given:
            both = f"{given[key]} and {_option_place(option, text)}"
            document.mistakes.append(f"{both}: give one of them.")
        given.setdefault(key, _option_place(option, text))
    for text in changes.settings:
        key = text.partition("=")[0]
        if key in given:
            place = _option_place("--set", text)
            document.mistakes.append(f"{place}: {given[key]} sets {key} too; give one of them.")


def _apply_seeds(changes: Changes, document: Document) -> None:
    """Write --seeds (a count or a list) or --seed (one seed) into the document."""
    if changes.seed is not None:
        place = _option_place("--seed", changes.seed)
        seed = parse_value(changes.seed, place)
        if type(seed) is int and 0 <= seed < LARGEST_SEED:
            document.set(("seeds",), [seed], place)
        else:
            document.mistakes.append(
                f"{place}: give one seed, a whole number of at least 0, such as --seed 7; for "
                "several seeds write --seeds 5 or --seeds 3,7."
            )
    if changes.seeds is not None:
        place = _option_place("--seeds", changes.seeds)
        text = changes.seeds.strip()
        bracketed = text.startswith("[") and text.endswith("]")
        values = _split_list(text[1:-1] if bracketed else text, place)
        listed = len(values) > 1 or "," in text or bracketed
        document.set(("seeds",), values if listed else values[0], place)


def _apply_setting(text: str, document: Document, *, sweep: bool) -> None:
    """Write the ``key=value`` of --set into the document."""
    key, equals, value_text = text.partition("=")
    place = _option_place("--set", text)
    if key == "size" and equals:
        return  # chosen already
    if not equals:
        document.mistakes.append(f"{place}: write --set key=value, e.g. --set training.epochs=5.")
        return
    own = ("name", "about", "seeds", "size")
    if key not in KEYS and key not in own:
        value = None
        with suppress(ConfigError):  # it is no YAML either
            value = parse_value(value_text, place)
        message = unknown_dotted(key, extra=own, value=value, place=place)
        document.mistakes.append(f"{place}: {message}")
        return
    if not value_text.strip():
        document.mistakes.append(f"{place}: {key} has no value; write null if that is meant.")
        return
    if key in own:
        document.set((key,), parse_value(value_text, place), place)
        return
    _set_key(key, value_text, place, document, sweep=sweep)


def _set_key(key: str, value_text: str, place: str, document: Document, *, sweep: bool) -> None:
    """Set a dotted key to a value. In a sweep, several values make an axis."""
    if sweep and _refuse_in_cells(document, key, place):
        return
    is_range = value_text.count(":") == 2
    values: Any = value_text if is_range else _split_list(value_text, place)
    if not is_range and len(values) == 1:
        document.set(tuple(key.split(".")), values[0], place)
        if sweep:
            # The option sets what the sweep would vary.
            _grid_to_change(document, place).pop(key, None)
    elif sweep:
        _grid_to_change(document, place)[key] = values
        document.places[("sweep", "grid", key)] = place
    else:
        message = f"{place}: train takes one value of {key}."
        if not is_range and is_allowed(key, values):
            message += f" For one list of them: {format_setting(key, values, place)}."
        message += f" To train with each of them: dropout-lab sweep {place}"
        document.mistakes.append(message)


def _refuse_in_cells(document: Document, key: str, place: str) -> bool:
    """Add a mistake if the listed cells set a key that an option sets; return whether they do."""
    if not any(key in cell for cell in _listed_cells(document.data)):
        return False
    document.mistakes.append(f"{place}: the cells of the sweep set {key}; change it there.")
    return True


def _listed_cells(data: Any) -> list[dict[str, Any]]:
    """Return the listed cells in a config or in a size, without those that are not mappings."""
    cells = get_path(data, "sweep.cells") if isinstance(data, dict) else None
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _option_place(option: str, text: str) -> str:
    """Return an option as it was given, on one line and truncated."""
    plain = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return f"{option} {plain if len(plain) <= _SHOWN else f'{plain[: _SHOWN - 1]}…'}"


def _grid_to_change(document: Document, place: str) -> dict[str, Any]:
    """Return the grid of the document; write the default grid into it if it has none."""
    grid: Any = get_path(document.data, "sweep.grid")
    if isinstance(grid, dict):
        return grid
    if grid is not None:
        return {}  # what stands there is a mistake, and will be told as one
    default: dict[str, Any] = {} if get_path(document.data, "sweep.cells") else SweepSettings().grid
    document.set(("sweep", "grid"), default, place)
    return default


def _split_list(text: str, place: str) -> list[Any]:
    """Split a comma list, but not at commas inside brackets."""
    value = parse_value(f"[{text}]", place)
    return value if isinstance(value, list) and value else [None]


def get_path(data: Mapping[str, Any], dotted: str) -> Any:
    """Return the value at a dotted path; None if there is no value."""
    node: Any = data
    for part in dotted.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node
