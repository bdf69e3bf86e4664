"""The manifest of a study: what was asked, by which commands, and how its runs are packed."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from dropout_lab import __version__
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Cell, Run, run_id, values_of
from dropout_lab.config.published import FigureSettings, PublishedSettings
from dropout_lab.config.report import ReportSettings
from dropout_lab.config.schema import KEYS, SECTIONS, Settings
from dropout_lab.config.types import NonNegativeInt, Seed
from dropout_lab.errors import DamageError, StorageError
from dropout_lab.files import read_error, read_file
from dropout_lab.printable import command, one_line
from dropout_lab.results.names import MANIFEST, RUN_ID
from dropout_lab.variant import Variant

MANIFEST_FORMAT = 1
LARGEST_MANIFEST = 2**26  # bytes; 100,000 runs take less
_DEEPEST = 30  # lists and mappings inside each other; ours have 5
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9})*", re.ASCII)


class DamagedManifestError(DamageError):
    """A manifest that is not what was written."""


class NewerManifestError(StorageError):
    """A manifest that a newer dropout-lab wrote."""


_RunId = Annotated[str, StringConstraints(pattern=f"^{RUN_ID.pattern}$")]
_Sections = dict[str, dict[str, Any]]


class _Part(BaseModel, strict=True, extra="allow"):
    """A part of a manifest. Keys that are unknown here are kept as they are."""


class RunEntry(_Part):
    """A run: its seed, its settings where they differ from the study's, and its label.

    ``sessions`` has the sessions that trained it; an older study does not record them.
    """

    seed: Seed
    settings: _Sections
    label: str = ""
    sessions: list[NonNegativeInt] = []


class PluginEntry(_Part):
    """A variant of a plugin: its file, the SHA-256 of the file, and its catalogue entry."""

    file: str
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    variant: dict[str, Any]


class RemovalEntry(_Part):
    """Runs that were removed, and how many comparisons with them."""

    values: dict[str, str]
    runs: list[_RunId]
    comparisons: NonNegativeInt


class Session(_Part):
    """A command that worked on the study: with which versions, on which machine."""

    command: str = ""
    dropout_lab: str = ""
    git_commit: str | None = None
    python: str = ""
    packages: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}


class Manifest(_Part):
    """The contents of manifest.json."""

    format: Annotated[int, Field(ge=1)]
    name: str
    about: str
    settings: _Sections
    settings_digest: str
    swept: list[str]
    labelled: list[str] = []
    published: PublishedSettings | None = None
    figure: FigureSettings | None = None
    report: ReportSettings = ReportSettings()
    data_digests: dict[str, str]
    plugins: dict[str, PluginEntry] = {}
    fleets: list[Annotated[list[_RunId], Field(min_length=1)]]
    runs: dict[_RunId, RunEntry]
    sessions: list[Session]
    removed: list[RemovalEntry] = []

    def study_settings(self) -> Settings:
        """Return the config's own settings. Keys that an older program lacked have defaults."""
        return Settings.model_validate(self.settings)

    def list_runs(self) -> dict[str, Run]:
        """Return the runs by their id."""
        runs = {}
        cells: dict[str, Cell] = {}  # the seeds of a cell share it
        for name, entry in self.runs.items():
            key = json.dumps([entry.settings, entry.label])
            if key not in cells:
                data = {
                    section: {**keys, **entry.settings.get(section, {})}
                    for section, keys in self.settings.items()
                }
                settings = Settings.model_validate(data)
                cells[key] = Cell(values_of(settings, self.swept), settings, entry.label)
            runs[name] = Run(name, entry.seed, cells[key])
        return runs

    def removals(self) -> list[RemovalEntry]:
        """Return what was removed and not added again since."""
        return [record for record in self.removed if not self.runs.keys() & {*record.runs}]

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON data. Keys at their defaults are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


def digest(data: object) -> str:
    """Return the SHA-256 of JSON data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a study's folder; None if there is none.

    What it recorded of the variants of plugins joins the catalogue where they are not loaded, so
    that results can be read and drawn without the plugins.

    Raises:
        DamagedManifestError: It is not what was written: no JSON, another type, settings that are
            none, runs whose ids are not the digest of their settings.
        NewerManifestError: A newer dropout-lab wrote it.
        StorageError: It cannot be read at all.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ValueError(f"it has more than {LARGEST_MANIFEST:,} bytes")
        data = _plain(json.loads(read_file(path).decode()))
        if not isinstance(data, dict):
            raise ValueError("it is no JSON object")
        _refuse_newer(path, data.get("format"))
        manifest = Manifest.model_validate(data)
        _check(manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise read_error(path, error) from error
    except (ValueError, RecursionError) as error:
        _refuse_unknown(path, error)
        raise DamagedManifestError(
            f"{path} cannot be read as a manifest: {_in_words(error)}. Restore the file, or back "
            f"it up and remove it with: {command('doctor', '--fix', folder)}. The command that "
            "made the study then rebuilds it."
        ) from error
    return manifest


def recorded_plugin(file: str, kind: Variant) -> PluginEntry:
    """Return what a manifest records of a plugin's variant."""
    return PluginEntry(file=file, sha256=kind.source, variant=kind.public_fields())


def recorded_variants(plugins: Mapping[str, PluginEntry]) -> dict[str, Variant]:
    """Return the variants that :func:`recorded_plugin` recorded, by name.

    Raises:
        ValueError: What is there is no variant.
    """
    known = {field.name for field in fields(Variant)}
    variants = {}
    for name, entry in plugins.items():
        data = {key: _tuples(value) for key, value in entry.variant.items() if key in known}
        kind = TypeAdapter(Variant).validate_python(data)
        options = {key: _tuples(value) for key, value in kind.options.items()}
        variants[name] = Variant(**{**data, "options": options})
    return variants


def _plain(value: Any, depth: int = 0) -> Any:
    """Return JSON data with every text in one printable line.

    Raises:
        ValueError: A number is not finite, or the data are nested too deeply.
    """
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds the number {value}")
    if depth == _DEEPEST and isinstance(value, list | dict):
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {one_line(key): _plain(item, depth + 1) for key, item in value.items()}
    return value


def _check(manifest: Manifest) -> None:
    """Raise ValueError if parts of the manifest contradict each other."""
    if digest(manifest.settings) != manifest.settings_digest:
        raise ValueError("settings_digest is not the digest of its settings")
    if lost := [section for section in SECTIONS if section not in manifest.settings]:
        raise ValueError(f"settings.{lost[0]} is not there")
    if len(set(manifest.swept)) < len(manifest.swept):
        raise ValueError("it sweeps a key twice")
    drawn = (manifest.figure.by if manifest.figure else None) or ()
    for verb, keys in (("sweeps", manifest.swept), ("draws lines by", drawn)):
        unknown = [key for key in keys if key not in KEYS]
        if unknown:
            raise _UnknownError(f"it {verb} {unknown[0]!r}, which is no key")
    listed = [name for fleet in manifest.fleets for name in fleet]
    if sorted(listed) != sorted(manifest.runs):
        raise ValueError("its fleets are not made of its runs, each once")
    for name, entry in manifest.runs.items():
        strange = entry.settings.keys() - manifest.settings.keys()
        if strange:
            raise _UnknownError(f"run {name} has a section {min(strange)!r}")
        if max(entry.sessions, default=0) >= max(len(manifest.sessions), 1):
            raise ValueError(f"run {name} is of a session that is not there")
    recorded = recorded_variants(manifest.plugins)
    for name, kind in recorded.items():
        CATALOGUE.setdefault(name, kind)
    try:
        manifest.study_settings()
        runs = manifest.list_runs()
    except ValidationError as error:
        raise _UnknownError(_in_words(error)) from error
    for run in runs.values():
        variant = run.settings.dropout.variant
        if variant in recorded and CATALOGUE[variant].source != recorded[variant].source:
            continue  # another version of a plugin is loaded; joining it says so
        if run_id(run.settings, run.seed) != run.run_id:
            raise ValueError(f"run {run.run_id} is not the digest of its settings and seed")


class _UnknownError(ValueError):
    """Something that is not known here; a newer program may know it."""


def _refuse_newer(path: Path, written: object) -> None:
    if isinstance(written, int) and written > MANIFEST_FORMAT:
        raise NewerManifestError(
            f"{path} has format {written}; this dropout-lab reads up to {MANIFEST_FORMAT}. "
            "Update it in your clone of the repository: git pull && pip install ."
        )


def _refuse_unknown(path: Path, error: Exception) -> None:
    """Raise an error if a newer program may have written the unknown parts."""
    if not isinstance(error, _UnknownError):
        return
    sessions = json.loads(read_file(path).decode())["sessions"]
    versions = [str(session.get("dropout_lab", "")) for session in sessions]
    newest = max(versions, key=_version, default="")
    if _version(newest) > _version(__version__):
        raise NewerManifestError(
            f"{path} was written by dropout-lab {newest[:20]}, this is {__version__}, and {error}. "
            "Update it in your clone of the repository: git pull && pip install ."
        ) from error


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("."))) if _VERSION.fullmatch(text) else ()


def _in_words(error: Exception) -> str:
    """Describe an error in one line of bounded length."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        words = f"{place}: {first['msg']}"
        if first["loc"][-1:] == ("variant",) and first["type"] == "value_error":
            words += "; where it is a plugin's, train and sweep take it with --plugin FILE"
    elif isinstance(error, RecursionError):
        words = "it is nested too deeply"
    else:
        words = str(error)
    line = one_line(words)
    return line if len(line) <= 300 else f"{line[:299]}…"


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
