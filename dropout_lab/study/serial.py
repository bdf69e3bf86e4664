"""Train a study's fleets in this process, one after another."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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
class RunningStudy:
    """A study in training.

    Args:
        study: The request.
        folder: The study's folder, open for writing.
        source: The data sets.
        events: Receives the progress.
        stop: Tells whether a signal asked to stop.
    """

    study: Study
    folder: StudyFolder
    source: Source
    events: Events
    stop: StopRequest

    def repack(self, fleet: Sequence[Run], parts: Sequence[tuple[Run, ...]]) -> None:
        """Record that a fleet was split; the packing decides the last bits of its runs."""
        if self.folder.manifest is not None:
            manifests.repack(self.folder.manifest, tuple(fleet), parts)
            self.folder.write_manifest(self.folder.manifest)

    def interrupted(self, done: str) -> InterruptedStudyError:
        """Return the error that stops the study on request."""
        return InterruptedStudyError(
            f"Stopped {done}; everything so far is in {self.study.out}. "
            "Run the same command again to resume.",
            self.stop.signal_number or 0,
        )


def train_serially(running: RunningStudy, fleets: Sequence[tuple[Run, ...]]) -> None:
    """Train fleets one after another. Split a fleet that fails and train its parts.

    Raises:
        StorageError: The folder cannot be written.
        InterruptedStudyError: A stop was requested; the epoch in progress was finished and kept.
    """
    study, device = running.study, running.study.device
    store, todo = FolderStore(running.folder), deque(fleets)
    while todo:
        if running.stop.asked():
            raise running.interrupted("between two fleets")
        fleet = todo.popleft()
        splits = running.source.splits(fleet[0].settings.dataset, running.folder)
        paths = resumed(fleet, running.folder, store, running.events)
        if isinstance(paths, FleetEnd):
            end = paths
        else:
            end = train_fleet(
                fleet,
                splits,
                (read_file(path) for path in paths),
                store,
                device,
                running.events,
                running.stop.asked,
                save_models=study.save_models,
            )
        if end.stopped:
            raise running.interrupted(f"after {end.stopped}")
        if end.parts:
            running.repack(fleet, end.parts)
            todo.extendleft(reversed(end.parts))


TrainFleets = Callable[[RunningStudy, Sequence[tuple[Run, ...]]], None]
Say = Callable[[str], None]
# Called with the request, its fleets, a receiver of lines for the user, and one of warnings.
Trainer = Callable[
    [Study, Sequence[tuple[Run, ...]], Say, Say], AbstractContextManager[TrainFleets]
]


@contextmanager
def serial_trainer(
    study: Study, fleets: Sequence[tuple[Run, ...]], say: Say, warn: Say
) -> Iterator[TrainFleets]:
    """Yield the function that trains fleets in this process."""
    yield train_serially
