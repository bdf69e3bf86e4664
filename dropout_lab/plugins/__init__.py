"""Load variants from users' Python files, and check them before any training.

A plugin is a file with a class that derives from a base layer and carries a ``name`` and a
``variant``. What is loaded joins ``VARIANTS`` and the catalogue, and with them configs, sweeps,
pictures and checks. A YAML file cannot name a plugin: YAML is data, and runs no code.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.errors import ConfigError
from dropout_lab.layers import VARIANTS, Dropout
from dropout_lab.plugins.declared import mistakes_in
from dropout_lab.plugins.source import import_text, lines_of_classes, read_text, variants_in
from dropout_lab.plugins.trial import mistake_in_use
from dropout_lab.variant import Variant


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded.

    Args:
        path: Its file, as it was given.
        text: Its source.
        digest: SHA-256 of that.
    """

    path: Path
    text: str
    digest: str


LOADED: dict[str, Plugin] = {}  # by the name of the variant


def load_plugins(paths: Iterable[Path]) -> list[str]:
    """Load plugins; return the names of their variants.

    Raises:
        ConfigError: Everything that is wrong with them.
    """
    names: list[str] = []
    mistakes: list[str] = []
    for path in paths:
        try:
            names += load_plugin(path)
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return names


def load_plugin(path: Path) -> list[str]:
    """Load one plugin; return the names of its variants. The same file twice is loaded once.

    Raises:
        ConfigError: It cannot be read or imported, has no variant, or one that will not do.
    """
    return _load(read_text(path), path)


def take_plugins(plugins: Mapping[str, Plugin]) -> None:
    """Load plugins that another process has loaded, in the place of older versions of them.

    Args:
        plugins: By the names of their variants, as :func:`sources_of` returns them.

    Raises:
        ConfigError: Here one cannot be imported, or will not do.
    """
    there = {name: LOADED[name].digest for name in plugins if name in LOADED}
    older = {digest for name, digest in there.items() if digest != plugins[name].digest}
    for name in [name for name, plugin in LOADED.items() if plugin.digest in older]:
        del CATALOGUE[name], VARIANTS[name], LOADED[name]
    for plugin in plugins.values():
        # In a folder that is not there, so that nothing of this process counts as its neighbour.
        _load(plugin.text, Path("plugin", plugin.digest, plugin.path.name))


def _load(text: str, path: Path) -> list[str]:
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = [name for name, plugin in LOADED.items() if plugin.digest == digest]
    if known:
        return known
    module = import_text(text, path, f"_dropout_lab_plugin_{digest[:12]}")
    try:
        classes = _checked(variants_in(module, path), path, lines_of_classes(text))
    except ConfigError:
        del sys.modules[module.__name__]
        raise
    _register(classes, Plugin(path, text, digest))
    return [_name(kind) for kind in classes]


@contextmanager
def joined(kinds: Mapping[str, type[Dropout]]) -> Iterator[None]:
    """Register classes temporarily, as a plugin's classes are.

    Nothing is checked: it is for the program's own, such as mistakes that are shown on purpose.
    """
    CATALOGUE.update({name: kind.variant for name, kind in kinds.items()})
    VARIANTS.update(kinds)
    try:
        yield
    finally:
        for name in kinds:
            del CATALOGUE[name], VARIANTS[name]


def sources_of(names: Iterable[str]) -> Mapping[str, Plugin]:
    """Return the loaded plugins that define these variants."""
    return {name: LOADED[name] for name in names if name in LOADED}


def _checked(
    classes: list[type[Dropout]], path: Path, lines: Mapping[str, int]
) -> list[type[Dropout]]:
    """Return the classes if all of them will do."""
    mistakes: list[str] = []
    for kind in classes:
        place = f"{path}:{lines.get(kind.__name__, 1)}"
        found = [*mistakes_in(kind), *_name_taken(kind, classes)]
        mistakes += [f"{place}: {mistake}" for mistake in found]
        if not found:
            mistakes += filter(None, [mistake_in_use(kind, path, place)])
    if mistakes:
        raise ConfigError(mistakes)
    return classes


def _register(classes: Iterable[type[Dropout]], plugin: Plugin) -> None:
    for kind in classes:
        name = _name(kind)
        kind.variant = Variant(**{**kind.variant.public_fields(), "source": plugin.digest})
        CATALOGUE[name] = kind.variant
        VARIANTS[name] = kind
        LOADED[name] = plugin


def _name(kind: type[Dropout]) -> str:
    return str(getattr(kind, "name", ""))


def _name_taken(kind: type[Dropout], classes: Iterable[type[Dropout]]) -> Iterable[str]:
    """Say who has the name already."""
    name = _name(kind)
    if name in LOADED:
        yield f"name is {name!r}, which {LOADED[name].path} has; take another."
    elif name in VARIANTS:
        yield f"name is {name!r}, which is built in; take another."
    others = [c.__name__ for c in classes if c is not kind and _name(c) == name != ""]
    if others:
        yield f"name is {name!r}, which class {others[0]} has too; take another."
