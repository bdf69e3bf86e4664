"""Exceptions with messages for the user; each class has an exit status."""

from collections.abc import Mapping, Sequence
from typing import Any


class DropoutLabError(Exception):
    """Base class of errors that the program reports as a message instead of a traceback."""

    exit_status = 1


class ConfigError(DropoutLabError):
    """All mistakes in a config or in command-line arguments.

    Args:
        mistakes: A message for each mistake: where it is, what was given, what is allowed.
    """

    exit_status = 2

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        closing = f"{count} mistake{'s' if count > 1 else ''}; nothing was run."
        super().__init__("\n".join([*self.mistakes, closing]))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[str, ...]]]:
        return type(self), (self.mistakes,)  # makes errors of workers picklable


class DataError(DropoutLabError):
    """A data set that is missing, damaged or different from the expected one."""

    exit_status = 3


class StorageError(DropoutLabError):
    """A results folder that cannot be read, written or extended.

    Args:
        message: What is wrong, and a remedy that works for every command.
        elsewhere: A remedy with the option ``--out``. Commands without that option show only
            ``plain``, which is the message without this remedy.
    """

    exit_status = 4

    def __init__(self, message: str, elsewhere: str = "") -> None:
        self.plain = message
        super().__init__(f"{message} {elsewhere}" if elsewhere else message)


class TakenFolderError(StorageError):
    """A results folder that holds something else than the study that was asked for.

    Args:
        message: What it holds.
        elsewhere: A remedy with the option ``--out``.
        differing: The keys that differ, with the values that were asked for; none if unknown.
    """

    def __init__(
        self, message: str, elsewhere: str = "", differing: Mapping[str, Any] | None = None
    ) -> None:
        self.differing = dict(differing or {})
        super().__init__(message, elsewhere)


class DamageError(StorageError):
    """Results that are not what was written; ``dropout-lab doctor`` names and repairs them."""

    exit_status = 1


class ClusterError(DropoutLabError):
    """Lost the connection to the scheduler; completed work is saved, the study is incomplete."""


class InterruptedStudyError(BaseException):
    """A signal stopped the study; completed work is saved.

    Like Python's KeyboardInterrupt, this is not an Exception. It may be raised anywhere, and
    ``except Exception`` (in a plugin, for example) must not catch it.

    Args:
        message: What was saved and how to resume.
        signal_number: The signal; the exit status is 128 + signal_number, as in a shell.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        self.exit_status = 128 + signal_number
        super().__init__(message)
