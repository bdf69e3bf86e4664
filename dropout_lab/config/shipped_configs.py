"""Find the configs that come with the program."""

from pathlib import Path

from dropout_lab.config.synonyms import find_similar_words
from dropout_lab.files import read_file

_PACKAGE = Path(__file__).parents[1]


def shipped_folder() -> Path:
    """Return the folder of the shipped configs: in the package, or next to it in a clone."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def list_shipped() -> dict[str, Path]:
    """List the shipped configs by name, such as ``quickstart`` and ``papers/hinton2012``."""
    top = shipped_folder()
    files = sorted(top.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(top).with_suffix("").as_posix(): path for path in files}


def find_shipped(name: str) -> Path | None:
    """Find a shipped config by its name, with or without its folder; None if there is none."""
    known = list_shipped()
    if name in known:
        return known[name]
    return next((path for path in known.values() if path.stem == name), None)


def find_similar_shipped(text: str) -> list[str]:
    """Find the shipped configs that a path or a misspelled name may mean."""
    path = Path(text)
    stem = path.stem if path.suffix in (".yaml", ".yml") else path.name
    stems = {Path(name).name: name for name in list_shipped()}
    return [stems[word] for word in find_similar_words(stem, stems)]


def read_first_comment(path: Path) -> str:
    """Return the comment in the first line of a config, which describes it."""
    first = read_file(path).decode("utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()
