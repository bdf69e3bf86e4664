"""Small changes to the files of a finished study, as chance or somebody may make them.

Each returns in words what it did. What a study's folder holds is input: whatever it is made of, the
commands answer in their own words.
"""

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab import results
from dropout_lab.results import digest

UNPRINTABLE = (
    "\x1b[31mred\x1b[0m",
    "\u202eabc\u202c",
    "\x00",
    "\ud800",
    "a\nb",
    "\x9b2J",
    "\ufffe",
)
TEXTS = (
    "", " ", "x", "none", "=cmd|'/c calc'!A1", "-1", "../../x", "<script>", "]]>", "{}", "%s",
    "\\input{x}", "é\u0301中🎲", "x" * 5_000, *UNPRINTABLE,
)  # fmt: skip
NUMBERS = (0, -1, 1, 3, 0.5, 1e308, -1e308, 5e-324, 10**12, 2**63, 10**400, float("nan"))
NUMBERS += (float("inf"), -0.0)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [{}], {"": 0}, [None], {"a": {"b": 1}})


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def any_value(chance: random.Random) -> Any:
    kinds = (TEXTS, NUMBERS, OTHERS, (nested(25), nested(400)))
    return chance.choice(chance.choices(kinds, (4, 3, 3, 1))[0])


def places_of(data: Any) -> list[tuple[Any, Any]]:
    """Return each container in JSON data with each of its keys."""
    found = []
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            found += [(data, key), *places_of(value)]
    return found


def change_json(path: Path, chance: random.Random) -> str:
    """Put another value, or none, in the place of one; or add one."""
    data = json.loads(path.read_text())
    top = chance.choice(list(data))  # else nearly all changes would be in the longest part
    inside = places_of(data[top])
    at, key = chance.choice([(data, top), *inside]) if inside else (data, top)
    words = f"{path.name}, {top}: {key!r}"
    match chance.randrange(6):
        case 0 if isinstance(at, dict):
            del at[key]
            words += " removed"
        case 1 if isinstance(at, list):
            at.append(at[key])
            words += " twice"
        case 2 if isinstance(at, dict):
            at[chance.choice(TEXTS)] = any_value(chance)
            words += " gets company"
        case _:
            at[key] = any_value(chance)
            words += f" is {str(at[key])[:40]!r}"
    if path.name == results.MANIFEST and "settings" in data:  # or it would end at the digest
        with suppress(RecursionError):
            data["settings_digest"] = digest(data["settings"])
    path.write_text(json.dumps(data))
    return words


def change_table(path: Path, chance: random.Random) -> str:
    """Change a cell, a row or a column."""
    header, *rows = csv.reader(path.read_text().splitlines())
    column, row = chance.randrange(len(header)), chance.randrange(len(rows))
    words = f"{path.name}, line {row + 2}, {header[column]}"
    match chance.randrange(9):
        case 0:
            rows.append(rows[row])
            words += " twice"
        case 1:
            del rows[row]
            words += " removed"
        case 2:
            for each in (header, *rows):
                del each[column]
            words += ": no such column"
        case 3:
            for each, text in zip((header, *rows), [*TEXTS, *TEXTS, *TEXTS], strict=False):
                each.append(text)
            words += ": a column more"
        case 4:
            other = chance.randrange(len(rows))
            rows[row][column], rows[other][column] = rows[other][column], rows[row][column]
            words += f" exchanged with line {other + 2}"
        case 5:
            value = str(chance.choice(NUMBERS))
            for each in rows:
                each[column] = value
            words += f": all are {value[:20]}"
        case _:
            value = chance.choice((*TEXTS, *map(str, NUMBERS), "1e999", "[1, 2]", "9" * 30))
            rows[row][column] = value
            words += f" is {value[:40]!r}"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    return words


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "of no axis": lambda a: a.reshape(-1)[0],
    "empty": lambda a: a[:0],
    "one row less": lambda a: a[:-1],
    "one axis more": lambda a: a[..., None],
    "transposed": lambda a: a.T,
    "flat": lambda a: a.reshape(-1),
    "of integers": lambda a: a.astype(np.int64),
    "complex": lambda a: a.astype(np.complex64),
    "of texts": lambda a: a.astype(str),
    "of half precision": lambda a: a.astype(np.float16),
    "pickled": lambda a: np.array([{}], dtype=object),
    "records": lambda a: np.zeros(a.shape, dtype=[("x", "f4")]),
    "nan": lambda a: np.full_like(a, np.nan, dtype=np.float32),
    "infinite": lambda a: np.full_like(a, np.inf, dtype=np.float32),
    "huge": lambda a: np.full_like(a, 3e38, dtype=np.float32),
    "a bomb": lambda a: np.zeros(2**25, dtype=np.float32),
}


def change_arrays(path: Path, chance: random.Random) -> str:
    """Change an array of a file, or remove it; or the file as a whole."""
    with np.load(path) as file:
        arrays = dict(file)
    name = chance.choice(list(arrays))
    kind = chance.choice([*ARRAYS, "removed", "renamed", "no archive", "an empty archive"])
    if kind in ARRAYS:
        with np.errstate(all="ignore"):
            try:
                arrays[name] = ARRAYS[kind](arrays[name])
            except ValueError:  # a text has no such number
                arrays[name] = np.array(["\x1b[31m"])
    elif kind in ("removed", "renamed"):
        array = arrays.pop(name)
        arrays |= {} if kind == "removed" else {f"\x1b{name}": array}
    if kind == "no archive":
        path.write_bytes(b"\x80\x04." + bytes(100))
    elif kind == "an empty archive":
        zipfile.ZipFile(path, "w").close()
    else:
        np.savez_compressed(path, **arrays)
    return f"{path.name}, {name}: {kind}"


def change_bytes(path: Path, chance: random.Random) -> str:
    """Change some bytes of any file, or all."""
    data = bytearray(path.read_bytes())
    kind = chance.choice(["some other bytes", "the first half", "nothing", "zeros", "twice"])
    if kind == "some other bytes":
        for _ in range(8):
            data[chance.randrange(len(data))] = chance.randrange(256)
    else:
        half = len(data) // 2
        data = {"the first half": data[:half], "nothing": bytearray(), "twice": 2 * data}.get(
            kind, bytearray(len(data))
        )
    path.write_bytes(data)
    return f"{path.name}: {kind}"


def change_kind(path: Path, chance: random.Random) -> str:
    """Put a folder in the place of a file, or another file or folder beside it."""
    name = chance.choice(("\x1b[31m", "\u202e", "a\nb", "x" * 200, "=1", ".x.tmp"))
    beside = path.with_name(name)
    if chance.random() < 0.5:
        path.unlink()
        path.mkdir()
        return f"{path.name}: a folder"
    if chance.random() < 0.5:
        beside.write_text("x")
    else:
        beside.mkdir()
    return f"{name!r} beside {path.name}"


def mutate(folder: Path, seed: int) -> str:
    """Make one change to a file of a study; return it in words."""
    chance = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    of_kind: dict[Callable[[Path, random.Random], str], list[Path]] = {
        change_json: [folder / results.MANIFEST],
        change_table: [path for path in files if path.suffix == ".csv"],
        change_arrays: [path for path in files if path.suffix == ".npz"],
        change_bytes: files,
        change_kind: files,
    }
    change = chance.choices(list(of_kind), (8, 5, 3, 1, 1))[0]
    return change(chance.choice(of_kind[change]), chance)
