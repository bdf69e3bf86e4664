"""Write a config as YAML: all keys or the changed ones, with or without explanations."""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dropout_lab.config.allowed_values import list_choices
from dropout_lab.config.hints import to_yaml
from dropout_lab.config.load import load, name_from_path
from dropout_lab.config.schema import SECTION_CLASSES, STUDY_SECTIONS, Config
from dropout_lab.config.shipped_configs import find_shipped
from dropout_lab.config.sweep import LABEL
from dropout_lab.config.types import Section
from dropout_lab.printable import command

_FIRST = ("name", "about")
_WIDTH = 80
_SECTIONS: dict[str, type[Section]] = {**SECTION_CLASSES, **STUDY_SECTIONS}
# What an experiment of one's own changes first; every other key keeps its default.
_STARTER = frozenset({
    "name", "about", "dataset.name", "dataset.train_size", "model.hidden", "model.activation",
    "dropout.variant", "dropout.p", "dropout.placement", "training.epochs", "training.batch_size",
    "training.optimizer", "training.learning_rate", "regularization.l2", "regularization.max_norm",
    "seeds", "sweep.grid",
})  # fmt: skip


def format_config(
    config: Config,
    *,
    comments: bool = False,
    changed_only: bool = False,
    keys: Collection[str] | None = None,
    unicode: bool = True,
) -> str:
    """Return a config as YAML that reads back as the same config.

    Published values of cells that only another size of the config has are left out.

    Args:
        config: The config.
        comments: Whether each key has its description above it.
        changed_only: Whether to leave out keys at their defaults.
        keys: Dotted keys to write even if they are at their defaults; None for all.
        unicode: Whether to write characters outside ASCII as they are.
    """
    data = config.model_dump(mode="json")
    changed = config.model_dump(mode="json", exclude_defaults=True)
    everything = not changed_only and keys is None
    wanted = {*_FIRST, *_list_keys(data if everything else changed), *(keys or ())}
    lines: list[str] = []
    for top in (*_FIRST, *(key for key in data if key not in _FIRST)):
        value = data[top]
        if top in _SECTIONS:
            value = {key: each for key, each in value.items() if f"{top}.{key}" in wanted}
        elif isinstance(changed.get(top), dict):
            value = changed[top]  # published and figure have no defaults of their own to show
        if top == "published" and value is not None:
            own = [each for each in value.get("values", ()) if _is_of_config(each, config)]
            value = {**value, "values": own}
        of_several = top in _SECTIONS or top == "sizes"
        if value if of_several else value is not None and top in wanted:
            lines += _format_part(top, value, comments=comments, unicode=unicode)
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_of_config(value: Mapping[str, Any], config: Config) -> bool:
    """Return whether a published value belongs to the config itself or to one of its cells."""
    cell = value.get("cell")
    return not isinstance(cell, str) or cell in [each.get(LABEL) for each in config.sweep.cells]


def _list_keys(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a config; the keys of a section are dotted."""
    for key, value in data.items():
        if key in _SECTIONS:
            yield from (f"{key}.{name}" for name in value)
        else:
            yield key


def _format_part(top: str, value: Any, *, comments: bool, unicode: bool) -> Iterator[str]:
    """Yield the lines of a top-level key or of a section."""
    if comments and top not in _FIRST[1:]:
        yield ""
    if top not in _SECTIONS:
        if comments:
            yield from _format_comment(Config.model_fields[top].description or "", "")
        yield from _format_lines(top, value, "", unicode=unicode)
        return
    section = _SECTIONS[top]
    if comments:
        yield from _format_comment((section.__doc__ or "").partition("\n")[0], "")
    yield f"{top}:"
    for key, each in value.items():
        if comments:
            words = list_choices(f"{top}.{key}") if top != "sweep" else []
            told = section.model_fields[key].description or ""
            yield from _format_comment(told + _describe_choices(f"{top}.{key}", words, told), "  ")
        yield from _format_lines(key, each, "  ", unicode=unicode)


def _describe_choices(key: str, words: list[str], told: str) -> str:
    """Return the words that a key allows if its description does not name them all."""
    if key == "dropout.variant":
        return " To list all: dropout-lab variants"
    return f" One of: {', '.join(words)}." if not all(word in told for word in words) else ""


def _format_comment(text: str, indent: str) -> list[str]:
    mark = f"{indent}# "
    return textwrap.wrap(
        text, _WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False
    )


def _format_lines(key: str, value: Any, indent: str, *, unicode: bool) -> Iterator[str]:
    """Yield the lines of a key and its value. Entries of mappings are on lines of their own."""
    if isinstance(value, dict) and value:
        yield f"{indent}{key}:"
        for name, each in value.items():
            yield from _format_lines(name, each, f"{indent}  ", unicode=unicode)
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield f"{indent}{key}:"
        yield from (f"{indent}  - {to_yaml(each, unicode=unicode)}" for each in value)
    elif isinstance(value, dict | list):
        yield f"{indent}{key}: {to_yaml(value, unicode=unicode)}"
    else:
        yield f"{indent}{to_yaml({key: value}, unicode=unicode, brackets=False)}"


def format_starter_config(file: Path) -> str:
    """Return an annotated config with the keys that most experiments change.

    The values are those of the shipped config quickstart.
    """
    quickstart = find_shipped("quickstart")
    config = load(quickstart).model_copy(update={"name": name_from_path(file)})
    return (
        "# An experiment for dropout-lab. Change the values, then train it with:\n"
        f"#   {command('sweep', file)}\n"
        "# Other keys keep their defaults. To see every key and what it means:\n"
        f"#   {command('config', 'show', '--comments')}\n\n"
        + format_config(config, comments=True, keys=_STARTER)
    )
