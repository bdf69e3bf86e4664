"""Build and extend the manifest of a study."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dropout_lab import __version__
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Cell, Run, labelled_keys, values_of
from dropout_lab.config.schema import KEYS, SECTIONS, Config, Settings
from dropout_lab.config.sections.dataset import CONTENTS, PATH
from dropout_lab.devices import describe_device
from dropout_lab.errors import StorageError, TakenFolderError
from dropout_lab.plugins import sources_of
from dropout_lab.results import (
    MANIFEST_FORMAT,
    PLUGINS,
    Manifest,
    RunEntry,
    Session,
    digest,
    recorded_plugin,
)

_PACKAGES = (
    "torch",
    "numpy",
    "torchvision",
    "mlxtend",
    "pandas",
    "scipy",
    "matplotlib",
    "pydantic",
)


def new_manifest(config: Config) -> Manifest:
    """Return the manifest of a study that has no runs yet."""
    data = settings_data(config)
    return Manifest(
        format=MANIFEST_FORMAT,
        name=config.name,
        about=config.about,
        settings=data,
        settings_digest=digest(data),
        swept=[],
        data_digests={},
        fleets=[],
        runs={},
        sessions=[],
    )


def record_config(manifest: Manifest, config: Config) -> None:
    """Record what plots and the report take from a config, such as a paper's values."""
    manifest.about, manifest.labelled = config.about, labelled_keys(config)
    manifest.published, manifest.figure = config.published, config.figure
    manifest.report = config.report


def settings_data(settings: Settings) -> dict[str, Any]:
    """Return the sections that decide a run's numbers as JSON data."""
    return {section: getattr(settings, section).model_dump(mode="json") for section in SECTIONS}


def join_study(manifest: Manifest, settings: Settings, cells: Iterable[Cell], path: Path) -> None:
    """Add the swept keys of a request to the manifest of the same study.

    They are when their settings agree in every key that neither sweeps.

    Raises:
        StorageError: They are not; the differing keys are named.
    """
    swept = list(dict.fromkeys([*manifest.swept, *(key for c in cells for key in c.values)]))
    # Through the schema, since an older program's manifest lacks the keys that came later.
    there = settings_data(manifest.study_settings())
    asked = settings_data(settings)
    differing = {
        key: _get(asked, key)
        for key in KEYS
        if key not in swept and _get(there, key) != _get(asked, key)
        if key != PATH or not _get(asked, CONTENTS)  # the contents count, not their place
    }
    if differing:
        texts = [
            f"{key} (there {_in_words(_get(there, key))}, asked {_in_words(value)})"
            for key, value in differing.items()
        ]
        message = f"{path} holds another study; it differs in {', '.join(texts)}."
        raise TakenFolderError(message, "Give another folder with --out.", differing)
    manifest.swept = swept


def _in_words(value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:  # the contents of the user's data
        return f"{value['train']:,} examples, SHA-256 {value['sha256'][:12]}"
    return json.dumps(value)


def join_plugins(manifest: Manifest, asked: Iterable[Settings], path: Path) -> None:
    """Add the plugin variants of a request to a manifest.

    Raises:
        StorageError: The study was begun with another version of one.
    """
    names = {settings.dropout.variant for settings in asked}
    for name, plugin in sorted(sources_of(names).items()):
        entry = recorded_plugin(plugin.path.name, CATALOGUE[name])
        there = manifest.plugins.setdefault(name, entry)
        if there.sha256 != entry.sha256:
            raise StorageError(
                f"{path} was begun with another version of the variant {name}: the SHA-256 of "
                f"{there.file} was {there.sha256[:12]}, that of {plugin.path} is "
                f"{entry.sha256[:12]}. Its runs are not comparable; give another folder with "
                f"--out, or the file that is kept in {path / PLUGINS}."
            )


def add_runs(manifest: Manifest, fleets: Iterable[tuple[Run, ...]]) -> None:
    """Add fleets and their runs to a manifest."""
    for fleet in fleets:
        manifest.fleets.append([run.run_id for run in fleet])
        for run in fleet:
            manifest.runs[run.run_id] = RunEntry(
                seed=run.seed,
                settings=_difference(settings_data(run.settings), manifest.settings),
            )


def label_runs(manifest: Manifest, runs: Iterable[Run]) -> None:
    """Set the labels of a request's runs to those of its cells.

    A run of an earlier request loses its label where that now is the name of another setting.
    """
    named: dict[str, list[Any]] = {}  # each label, and what it stands for
    for run in runs:
        manifest.runs[run.run_id].label = run.cell.label
        if run.cell.label:
            values = values_of(run.settings, manifest.labelled)
            named.setdefault(run.cell.label, []).append(values)
    earlier = any(entry.label in named for entry in manifest.runs.values())
    for run_id, run in manifest.list_runs().items() if earlier else ():
        label = run.cell.label
        if label in named and values_of(run.settings, manifest.labelled) not in named[label]:
            manifest.runs[run_id].label = ""


def repack(manifest: Manifest, fleet: tuple[Run, ...], parts: Iterable[tuple[Run, ...]]) -> None:
    """Replace a fleet by smaller fleets."""
    place = manifest.fleets.index([run.run_id for run in fleet])
    manifest.fleets[place : place + 1] = [[run.run_id for run in part] for part in parts]


def add_session(
    manifest: Manifest,
    command: str,
    device: torch.device,
    packing: Mapping[str, Any],
    cluster: Mapping[str, Any] | None = None,
) -> None:
    """Record a command that works on the study: when, with which versions, on which machine.

    Args:
        manifest: That of the study.
        command: The command line.
        device: Where it trains.
        packing: By what its fleets were made, see :func:`~dropout_lab.study.packing.packing_of`.
        cluster: What was asked of a cluster, if its workers train.
    """
    cluster_entry = {"cluster": dict(cluster)} if cluster else {}
    manifest.sessions.append(
        Session(
            command=command,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            dropout_lab=__version__,
            git_commit=_git_commit(),
            python=platform.python_version(),
            packages={package: version(package) for package in _PACKAGES},
            machine={
                "system": platform.platform(),
                "processor": _processor(),
                "cores": os.cpu_count(),
                "threads": torch.get_num_threads(),
                **describe_device(device),
            },
            packing=dict(packing),
            **cluster_entry,
        )
    )


def note_session(
    manifest: Manifest, fleets: Iterable[tuple[Run, ...]], begun: Callable[[Run], bool]
) -> None:
    """Record the last session for the runs that it trains."""
    last = len(manifest.sessions) - 1
    for run in (run for fleet in fleets for run in fleet):
        entry = manifest.runs[run.run_id]
        entry.sessions = [*(entry.sessions if begun(run) else []), last]


def _difference(data: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    changed = {
        section: {key: value for key, value in keys.items() if base[section].get(key) != value}
        for section, keys in data.items()
    }
    return {section: keys for section, keys in changed.items() if keys}


def _get(data: Mapping[str, Any], key: str) -> Any:
    section, _, name = key.partition(".")
    return data[section][name]


def _git_commit() -> str | None:
    """Return the commit of the program's checkout, marked if it has changes."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
