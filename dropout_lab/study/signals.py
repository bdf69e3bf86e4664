"""Stop on a signal: the first one after the current epoch, the second one immediately."""

import signal
from types import FrameType

from dropout_lab.errors import InterruptedStudyError

# SIGHUP comes when the terminal is closed; not every system has it.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class StopRequest:
    """While active, turns a signal into a request that is checked after each epoch.

    A signal that the user had ignored, as ``nohup`` does with SIGHUP, stays ignored.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __enter__(self) -> "StopRequest":
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        self._before = {
            number: signal.signal(number, self._note)
            for number in numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Return whether a signal has arrived."""
        return self.signal_number is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise InterruptedStudyError(
                "Stopped at once; the epoch in progress is lost. "
                "Run the same command again to resume.",
                number,
            )
        self.signal_number = number
