"""Run a study: start, resume, extend or repair it by training the runs that are missing."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from dropout_lab.config.grid import Run
from dropout_lab.devices import configure_device
from dropout_lab.folder import manifest as manifests
from dropout_lab.folder.completeness import checkpoints_in
from dropout_lab.folder.store import clear
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.folder.weights import WEIGHTS
from dropout_lab.plugins import sources_of
from dropout_lab.results import Manifest, cell_text, counted, newer_session
from dropout_lab.study.datasets_cache import Source
from dropout_lab.study.final_measurements import ensembles
from dropout_lab.study.fleet_runner import Events, tell
from dropout_lab.study.packing import most_that_fit, pack, packing_of
from dropout_lab.study.serial import RunningStudy, Trainer, serial_trainer
from dropout_lab.study.signals import StopRequest
from dropout_lab.study.spec import Study
from dropout_lab.training.allocator import keep_freed_memory


@dataclass(frozen=True)
class Outcome:
    """How a study ended.

    Args:
        statuses: Of each run asked for, by its id.
        trained: Runs trained now, not before.
        finished: Runs that were finished before.
        seconds: Wall-clock time of this command's work.
    """

    statuses: dict[str, str]
    trained: int
    finished: int
    seconds: float

    def count(self, status: str) -> int:
        """Return how many of the runs have this status."""
        return sum(each == status for each in self.statuses.values())


def run_study(
    study: Study, events: Events, say: Callable[[str], None], trainer: Trainer = serial_trainer
) -> Outcome:
    """Train every run of a study that is not completed, and save everything to disk.

    Args:
        study: The request.
        events: Receives the progress.
        say: Receives a line for the user, such as the address of a download.
        trainer: Where the fleets are trained: in this process, or
            :func:`~dropout_lab.cluster.trainer.cluster_trainer`.

    Raises:
        ConfigError: A run needs more memory than it may have, or a cluster that was asked for
            cannot be used.
        ClusterError: Its scheduler went away; everything so far is on disk.
        StorageError: The folder belongs to another study or cannot be written.
        DataError: A data set is absent, damaged, or not the one the study began with.
        InterruptedStudyError: A signal asked to stop; the epoch in progress was finished and kept.
    """
    began = time.perf_counter()
    keep_freed_memory()
    configure_device(study.device)
    say_safely = partial(tell, say)
    device = torch.device("cpu") if study.on_cluster else study.device
    source = Source(study, device, say_safely)
    folder = StudyFolder(study.out, study.runs)
    if folder.manifest is None:
        pack(study.runs, study.machine)  # refuses what does not fit
        source.splits(study.cells[0].settings.dataset)  # nothing is written before data are there
    warn = partial(tell, events.warned)
    with folder:
        plan = make_plan(study, folder)
        with trainer(study, plan.fleets, say_safely, warn) as train, StopRequest() as stop:
            _write_plan(study, folder, plan)
            tell(events.planned, plan.fleets, len(plan.completed))
            mixed = newer_session(plan.manifest) if plan.fleets else ""
            for text in (*folder.findings, *_notices(study, folder), *filter(None, [mixed])):
                tell(events.warned, text)
            told = len(folder.findings)
            train(RunningStudy(study, folder, source, events, stop), plan.fleets)
        if plan.fleets:
            folder.rewrite(plan.manifest.list_runs(), plan.manifest.swept)  # in order
        folder.write_ensembles(ensembles(folder))
        for text in folder.findings[told:]:
            tell(events.warned, text)
        statuses = folder.statuses
    return Outcome(
        statuses={run.run_id: statuses[run.run_id] for run in study.runs},
        trained=sum(len(fleet) for fleet in plan.fleets),
        finished=len(plan.completed),
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class Preview:
    """What a study would train.

    Args:
        fleets: What it would train.
        findings: What is not as it should be in its folder, in sentences.
        damaged: Whether some of that is damage.
    """

    fleets: Sequence[tuple[Run, ...]]
    findings: Sequence[str]
    damaged: bool


def preview(study: Study) -> Preview:
    """Return what :func:`run_study` would do, writing nothing.

    Raises:
        ConfigError: A run needs more memory than it may have.
        StorageError: The folder belongs to another study.
    """
    folder = StudyFolder(study.out, study.runs)
    folder.read()
    fleets = make_plan(study, folder).fleets
    return Preview(fleets, tuple(folder.findings), bool(folder.damages))


@dataclass(frozen=True)
class Plan:
    """What a study will train.

    Args:
        manifest: The manifest with this request in it.
        fleets: The fleets that have runs to train.
        completed: The ids of the runs asked for that need no training.
    """

    manifest: Manifest
    fleets: Sequence[tuple[Run, ...]]
    completed: frozenset[str]


def make_plan(study: Study, folder: StudyFolder) -> Plan:
    """Return what a request leaves to train in a folder that was read. Nothing is written.

    Fleets in progress stay packed as they are, so that they resume to the same bits.
    """
    manifest = folder.manifest or manifests.new_manifest(study.config)
    manifests.join_study(manifest, study.config, study.cells, study.out)
    manifests.record_config(manifest, study.config)
    asked = [study.config, *(cell.settings for cell in study.cells)]
    manifests.join_plugins(manifest, asked, study.out)
    new = [run for run in study.runs if run.run_id not in manifest.runs]
    manifests.add_runs(manifest, pack(new, study.machine, study.fleet_size))
    manifests.label_runs(manifest, study.runs)
    known = manifest.list_runs()
    if folder.manifest is None:
        folder.judge_runs(known)
    wanted = {run.run_id for run in study.runs}
    missing = wanted - folder.finished
    if not study.retry_failed:
        missing -= {run_id for run_id, status in folder.statuses.items() if status == "failed"}
    fleets = []
    for run_ids in list(manifest.fleets):
        fleet = tuple(known[run_id] for run_id in run_ids)
        parts = _parts(fleet, missing, folder, study)
        if len(parts) > 1:
            manifests.repack(manifest, fleet, parts)
        fleets += [part for part in parts if missing & {run.run_id for run in part}]
    trained = {run.run_id for fleet in fleets for run in fleet}
    return Plan(manifest, fleets, frozenset((wanted & folder.finished) - trained))


def _write_plan(study: Study, folder: StudyFolder, plan: Plan) -> None:
    """Write a plan into the folder and remove checkpoints of completed fleets."""
    manifest = plan.manifest
    packing = packing_of(plan.fleets, study.machine, study.fleet_size)
    cluster = {"workers": study.workers, "scheduler": study.scheduler}
    manifests.add_session(
        manifest, study.command, study.device, packing, cluster if study.on_cluster else None
    )
    manifests.note_session(
        manifest, plan.fleets, lambda run: bool(checkpoints_in(folder.run_folder(run)))
    )
    folder.write_manifest(manifest)
    folder.save_plugins(sources_of(manifest.plugins))
    runs, finished = manifest.list_runs(), folder.finished
    folder.rewrite(runs, manifest.swept)
    for fleet in manifest.fleets:
        if finished.issuperset(fleet):  # a kill may have come before they were cleared
            clear([folder.run_folder(runs[run_id]) for run_id in fleet])


def _parts(
    fleet: tuple[Run, ...], missing: set[str], folder: StudyFolder, study: Study
) -> list[tuple[Run, ...]]:
    """Return a fleet, or the parts in which its missing runs will be trained.

    A fleet in progress resumes to the same bits. It is split if smaller fleets are requested, or if
    it does not fit into the memory. Of a completed fleet that lost runs, only these are trained.
    """
    wanted = tuple(run for run in fleet if run.run_id in missing)
    if not wanted:
        return [fleet]
    others: tuple[Run, ...] = ()
    if not any(checkpoints_in(folder.run_folder(run)) for run in wanted):
        others, fleet = tuple(run for run in fleet if run.run_id not in missing), wanted
    size = min(study.fleet_size or len(fleet), most_that_fit(fleet, study.machine))
    parts = pack(fleet, study.machine, size) if len(fleet) > size else [fleet]
    return [*([others] if others else []), *parts]


def _not_asked_for(study: Study, folder: StudyFolder) -> str:
    """Describe the settings in the folder that the request lacks; empty if there are none."""
    runs = folder.manifest.list_runs() if folder.manifest else {}
    asked = {cell.settings for cell in study.cells}
    others = {run.cell.settings: run.cell for run in runs.values() if run.settings not in asked}
    if not others:
        return ""
    first = next(iter(others.values()))
    values = [f"{key}={cell_text(v)}" for key, v in first.values.items() if v is not None]
    one = len(others) == 1
    return (
        f"This folder also has {counted(len(others), 'setting')} that this command does not ask "
        f"for. {'It stays' if one else 'They stay'} in the table, and "
        f"{'its comparison counts' if one else 'their comparisons count'} in the correction. To "
        f"remove {'it' if one else 'one'}: "
        f"{shlex.join(['dropout-lab', 'remove', str(study.out), *values])}"
    )


def _notices(study: Study, folder: StudyFolder) -> list[str]:
    """Return notices about a study that is resumed."""
    notices = [text] if (text := _not_asked_for(study, folder)) else []
    statuses = folder.statuses
    failed = sum(statuses.get(run.run_id) == "failed" for run in study.runs)
    if failed and not study.retry_failed:
        notices.append(f"{counted(failed, 'run')} failed before; --retry failed retries them.")
    bare = sum(
        statuses.get(run.run_id) == "completed" and not (folder.run_folder(run) / WEIGHTS).exists()
        for run in study.runs
    )
    if bare and study.save_models:
        notices.append(
            f"{counted(bare, 'run')} finished before without --save-models and without weights; "
            "to have them, train into another folder with --out."
        )
    devices = [
        session.machine.get("device", "cpu")
        for session in (folder.manifest.sessions[-2:] if folder.manifest else ())
    ]
    begun = sum(bool(checkpoints_in(folder.run_folder(run))) for run in study.runs)
    if begun and devices[0] != devices[-1]:
        notices.append(
            f"{counted(begun, 'run')} begun on {devices[0]} will resume on {devices[-1]}, where "
            "their masks are drawn differently. Each run is valid, but neither device alone "
            "reproduces it."
        )
    return notices
