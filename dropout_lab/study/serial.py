"""Training a study's fleets in this process, one after the other."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dropout_lab.config.grid import Run
from dropout_lab.errors import InterruptedStudyError
from dropout_lab.files import read_file
from dropout_lab.folder import manifest as manifests
from dropout_lab.folder.store import FolderStore
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.study.datasets_cache import Source
from dropout_lab.study.fleet_runner import Events, FleetEnd, resumed, train_fleet
from dropout_lab.study.signals import StopRequest
from dropout_lab.study.spec import Study


@dataclass(frozen=True)
class Job:
    """A study at work: what was asked, its open folder, its data, and who is told or may stop it.

    Args:
        study: What was asked.
        folder: Its folder, open for writing.
        source: Its data.
        events: Told of the progress.
        stop: Whether to stop.
    """

    study: Study
    folder: StudyFolder
    source: Source
    events: Events
    stop: StopRequest

    def repack(self, fleet: Sequence[Run], parts: Sequence[tuple[Run, ...]]) -> None:
        """Note that a fleet goes on in parts: the packing decides a run's last bits."""
        if self.folder.manifest is not None:
            manifests.repack(self.folder.manifest, tuple(fleet), parts)
            self.folder.write_manifest(self.folder.manifest)

    def interrupted(self, done: str) -> InterruptedStudyError:
        """Return what to raise where the study stops on request."""
        return InterruptedStudyError(
            f"Stopped {done}; everything so far is in {self.study.out}. "
            "The same command goes on from there.",
            self.stop.signal_number or 0,
        )


def train_here(job: Job, fleets: Sequence[tuple[Run, ...]]) -> None:
    """Train fleets one after the other, and the parts of those that cannot go on as one.

    Raises:
        StorageError: The folder cannot be written.
        InterruptedStudyError: A stop was requested; the epoch in progress was finished and kept.
    """
    study, device = job.study, job.study.device
    store, todo = FolderStore(job.folder), deque(fleets)
    while todo:
        if job.stop.asked():
            raise job.interrupted("between two fleets")
        fleet = todo.popleft()
        splits = job.source.splits(fleet[0].settings.dataset, job.folder)
        paths = resumed(fleet, job.folder, store, job.events)
        if isinstance(paths, FleetEnd):
            end = paths
        else:
            end = train_fleet(
                fleet,
                splits,
                (read_file(path) for path in paths),
                store,
                device,
                job.events,
                job.stop.asked,
                save_models=study.save_models,
            )
        if end.stopped:
            raise job.interrupted(f"after {end.stopped}")
        if end.parts:
            job.repack(fleet, end.parts)
            todo.extendleft(reversed(end.parts))
