"""Kinds of damage to the folder of a finished study, each drawn at random by a generator."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from dropout_lab import results
from dropout_lab.results import DIGESTS, ENSEMBLES, MANIFEST, METRICS, RUNS

Generator = np.random.Generator
Damage = Callable[[Path, Generator], object]
TABLES = (METRICS, RUNS, *results.ADDED, ENSEMBLES)
KEPT = ("weights.pt", "predictions.npz", "features.npz")
LED = {"run_id", "seed", "dropout.p"}  # the manifest says them too


def a_file(out: Path, name: str, generator: Generator) -> Path:
    """Return one of the runs' files of a name."""
    paths = sorted((out / "runs").rglob(name))
    return paths[generator.integers(len(paths))]


def flipped(path: Path, generator: Generator) -> None:
    """Flip a bit."""
    content = bytearray(path.read_bytes())
    content[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
    path.write_bytes(content)


def cut(path: Path, generator: Generator) -> None:
    """Cut a file off somewhere in its second half."""
    content = path.read_bytes()
    path.write_bytes(content[: int(generator.integers(len(content) // 2, len(content) - 2))])


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def changed_digit(path: Path, generator: Generator) -> None:
    """Give a digit of a number, or of a SHA-256, another value."""
    header, *rows = read(path)
    places = [
        (row, column, match.start())
        for row in range(len(rows))
        for column, name in enumerate(header)
        if name not in LED and (name == "sha256" or results.is_number_column(name))
        for match in re.finditer(r"\d", rows[row][column])
        if not re.fullmatch(r"-?0*\.?0*", rows[row][column])
    ]
    row, column, at = places[generator.integers(len(places))]
    value = rows[row][column]
    digits = [d for d in "0123456789" if _differs(value, value[:at] + d + value[at + 1 :])]
    if not digits:  # a digit beyond those of a double
        changed_digit(path, generator)
        return
    digit = digits[generator.integers(len(digits))]
    rows[row][column] = value[:at] + digit + value[at + 1 :]
    write(path, [header, *rows])


def _differs(one: str, other: str) -> bool:
    try:
        return float(one) != float(other)
    except ValueError:
        return one != other


def without_a_row(path: Path, generator: Generator) -> None:
    header, *rows = read(path)
    del rows[generator.integers(len(rows))]
    write(path, [header, *rows])


def without_a_column(path: Path, generator: Generator) -> None:
    rows = read(path)
    places = [
        column
        for column, name in enumerate(rows[0])
        if name not in LED and any(row[column] not in ("", "nan") for row in rows[1:])
    ]
    place = places[generator.integers(len(places))]
    write(path, [row[:place] + row[place + 1 :] for row in rows])


def without_diagnostics(path: Path, generator: Generator) -> None:
    rows = read(path)
    places = [i for i, name in enumerate(rows[0]) if re.match("gradient_|mean_activation_", name)]
    place = places[generator.integers(len(places))]
    write(path, [row[:place] + row[place + 1 :] for row in rows])


def swapped(out: Path, names: tuple[str, ...], generator: Generator) -> None:
    """Give the rows of two runs each other's run_id."""
    ids = sorted({row[0] for row in read(out / names[-1])[1:]})
    one, other = generator.permutation(ids)[:2]
    for name in names:
        text = (out / name).read_text()
        text = text.replace(one, "x" * 12).replace(other, one).replace("x" * 12, other)
        (out / name).write_text(text)


def of_another_run(out: Path, name: str, generator: Generator) -> None:
    one, other = generator.permutation(len(sorted((out / "runs").iterdir())))[:2]
    folders = sorted((out / "runs").iterdir())
    shutil.copyfile(folders[one] / name, folders[other] / name)


def seed_of_a_run(out: Path, generator: Generator) -> None:
    manifest = json.loads((out / MANIFEST).read_text())
    entries = list(manifest["runs"].values())
    entries[generator.integers(len(entries))]["seed"] += 7
    (out / MANIFEST).write_text(json.dumps(manifest))


def setting_of_all(out: Path, generator: Generator) -> None:
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["settings"]["training"]["learning_rate"] *= 2
    (out / MANIFEST).write_text(json.dumps(manifest))


def every_file_empty(out: Path, generator: Generator) -> None:
    for path in out.rglob("*"):
        if path.is_file() and path.name != results.LOCK:
            path.write_bytes(b"")


def by_pandas(out: Path, **options: object) -> None:
    for name in TABLES:
        frame = pd.read_csv(out / name, dtype={"run_id": str})
        frame.to_csv(out / name, index=False, **options)  # type: ignore[call-overload]


def in_another_order(out: Path, generator: Generator) -> None:
    for name in TABLES:
        header, *rows = read(out / name)
        write(out / name, [header, *(rows[i] for i in generator.permutation(len(rows)))])


def rounded(out: Path, generator: Generator) -> None:
    for name in TABLES:
        frame = pd.read_csv(out / name, dtype={"run_id": str})
        frame.round(int(generator.integers(3, 9))).to_csv(out / name, index=False)


def a_torn_row(out: Path, generator: Generator) -> None:
    last = (out / METRICS).read_text().splitlines()[-1]
    with (out / METRICS).open("a") as file:
        file.write(last[: int(generator.integers(13, len(last)))])


def _each(names: tuple[str, ...], words: str, act: Damage) -> dict[str, Damage]:
    """Return a kind for each table: ``act`` on that file."""
    return {
        f"{words} {name}": lambda out, generator, name=name: act(out / name, generator)
        for name in names
    }


_BOUND = tuple(name for name in TABLES if name != DIGESTS)
# What a program or a person did to it, so that it is not what was written.
DAMAGED: dict[str, Damage] = {
    **{
        f"a bit flipped in {name}": lambda out, generator, name=name: flipped(
            a_file(out, name, generator), generator
        )
        for name in KEPT
    },
    **{
        f"cut off: {name}": lambda out, generator, name=name: cut(
            a_file(out, name, generator), generator
        )
        for name in KEPT
    },
    **{
        f"of another run: {name}": lambda out, generator, name=name: of_another_run(
            out, name, generator
        )
        for name in KEPT
    },
    **_each(TABLES, "a digit changed in", changed_digit),
    **_each(_BOUND, "a row removed from", without_a_row),
    **_each(_BOUND, "cut off:", cut),
    **_each(_BOUND, "a column removed from", without_a_column),
    **_each((METRICS, RUNS), "a diagnostics column removed from", without_diagnostics),
    **_each((*TABLES, MANIFEST), "empty:", lambda path, generator: path.write_bytes(b"")),
    **_each((*_BOUND, MANIFEST), "deleted:", lambda path, generator: path.unlink()),
    **{
        f"run ids swapped in {name}": lambda out, generator, name=name: swapped(
            out, (name,), generator
        )
        for name in TABLES
        if name != ENSEMBLES
    },
    "run ids swapped in all tables": lambda out, generator: swapped(
        out, tuple(name for name in TABLES if name != ENSEMBLES), generator
    ),
    "manifest cut off": lambda out, generator: cut(out / MANIFEST, generator),
    "manifest: the seed of a run": seed_of_a_run,
    "manifest: a setting of all": setting_of_all,
    "every file empty": every_file_empty,
}  # fmt: skip
# What a kill or another program leaves, or what is not published with a study.
SOUND: dict[str, Damage] = {
    "untouched": lambda out, generator: None,
    "saved again by pandas": lambda out, generator: by_pandas(out),
    "semicolons and decimal commas": lambda out, generator: by_pandas(out, sep=";", decimal=","),
    "rows in another order": in_another_order,
    "rounded": rounded,
    "a torn row": a_torn_row,
    "digests deleted": lambda out, generator: (out / DIGESTS).unlink(),
    "a row removed from digests": lambda out, generator: without_a_row(out / DIGESTS, generator),
    "run folders deleted": lambda out, generator: shutil.rmtree(out / "runs"),
}
