"""Stopping on request: a first signal ends after the epoch in progress, a second one now."""

import signal
from types import FrameType

from dropout_lab.errors import InterruptedStudyError


class StopRequest:
    """While active, turns SIGINT and SIGTERM into a request that is looked at after each epoch."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise InterruptedStudyError(
                "Stopped at once; the epoch in progress is lost. The same command goes on.", number
            )
        self.signal_number = number
