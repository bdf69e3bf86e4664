"""The files of a results folder as text: their names, and CSV rows out and in.

Writing and mending need only the standard library; every file opens as it is in pandas, R, Excel.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dropout_lab.catalogue import CATALOGUE, Variant
from dropout_lab.config.grid import Cell, Run, values_of
from dropout_lab.config.schema import Settings
from dropout_lab.errors import StorageError

MANIFEST = "manifest.json"
METRICS = "metrics.csv"
RUNS = "runs.csv"
INFERENCE = "inference.csv"
MONTE_CARLO = "monte_carlo.csv"
ENSEMBLES = "ensembles.csv"
PLOTS = "plots"
RUN_FOLDERS = "runs"
PLUGINS = "plugins"
MANIFEST_FORMAT = 1

Row = dict[str, str]
Manifest = dict[str, Any]


def cell_text(value: object) -> str:
    """Return a value as a CSV field: empty for none, ``nan``, a JSON list for a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return json.dumps(list(value))
    return str(value)


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV text, each ending in a newline."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def read_rows(path: Path) -> list[Row]:
    """Return the whole rows of a CSV file; a torn last row is left out.

    A row counts only with its newline and all its fields: a number cut short is still a number.
    A missing file has no rows.

    Raises:
        StorageError: The file is there and is not the table that was written.
    """
    return read_table(path)[1]


def read_table(path: Path, expected: str = "run_id") -> tuple[list[str], list[Row]]:
    """Return the header of a CSV file, with a column that must be there, and its whole rows.

    See :func:`read_rows`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # a spreadsheet may have added a mark
        lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error
    if not lines:
        return [], []
    header = lines[0]
    if expected not in header:
        raise StorageError(
            f"{path} has no column {expected}; it was changed by another program. Restore the "
            "file, or give another folder with --out."
        )
    rows = [dict(zip(header, line, strict=True)) for line in lines[1:] if len(line) == len(header)]
    return header, rows


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a study's folder; None if there is none.

    What it recorded of the variants of plugins joins the catalogue where they are not loaded, so
    that results can be read and drawn without the plugins.

    Raises:
        StorageError: It is damaged, or written by a newer dropout-lab.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        written = manifest["format"]
        recorded = _recorded(manifest.get("plugins", {}))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{path} cannot be read as a manifest ({error}); give another folder with --out."
        ) from error
    if not isinstance(written, int) or written > MANIFEST_FORMAT:
        raise StorageError(
            f"{path} has format {written}; this dropout-lab reads up to {MANIFEST_FORMAT}. "
            "Update it: pip install --upgrade dropout-lab."
        )
    for name, kind in recorded.items():
        CATALOGUE.setdefault(name, kind)
    return dict(manifest)


def recorded_plugin(file: str, kind: Variant) -> dict[str, Any]:
    """Return what a manifest keeps of a plugin's variant, as JSON data."""
    return {"file": file, "sha256": kind.source, "variant": asdict(kind)}


def _recorded(plugins: Manifest) -> dict[str, Variant]:
    known = {field.name for field in fields(Variant)}
    variants = {}
    for name, entry in plugins.items():
        data = {key: _tuples(value) for key, value in entry["variant"].items() if key in known}
        data["options"] = {key: _tuples(value) for key, value in data["options"].items()}
        variants[name] = Variant(**data)
    return variants


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def runs_in(manifest: Manifest) -> dict[str, Run]:
    """Return the runs a manifest lists, by their id."""
    runs = {}
    for run_id, entry in manifest["runs"].items():
        data = {
            section: {**keys, **entry["settings"].get(section, {})}
            for section, keys in manifest["settings"].items()
        }
        settings = Settings.model_validate(data)
        cell = Cell(values_of(settings, manifest["swept"]), settings)
        runs[run_id] = Run(run_id, entry["seed"], cell)
    return runs
