"""The mistakes and mishaps a user can meet; each class carries its exit status."""

from collections.abc import Sequence


class DropoutLabError(Exception):
    """Anything the program reports in one plain message instead of a traceback."""

    exit_status = 1


class ConfigError(DropoutLabError):
    """Everything that is wrong with what was asked, all at once.

    Args:
        mistakes: One sentence or two for each mistake: where, what was given, what is allowed.
    """

    exit_status = 2

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        closing = f"{count} mistake{'s' if count > 1 else ''}; nothing was run."
        super().__init__("\n".join([*self.mistakes, closing]))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[str, ...]]]:
        return type(self), (self.mistakes,)  # it may come from a worker


class DataError(DropoutLabError):
    """A data set that is absent, damaged or not what it claims to be."""

    exit_status = 3


class StorageError(DropoutLabError):
    """A results folder that cannot be read, written or joined.

    Args:
        message: What is wrong, and what helps whatever the command.
        elsewhere: What the option ``--out`` does for it; a command without that option tells only
            ``plain``.
    """

    exit_status = 4

    def __init__(self, message: str, elsewhere: str = "") -> None:
        self.plain = message
        super().__init__(f"{message} {elsewhere}" if elsewhere else message)


class DamageError(StorageError):
    """Results that are not what was written; ``dropout-lab doctor`` names and repairs them."""

    exit_status = 1


class ClusterError(DropoutLabError):
    """A cluster whose scheduler went away; what was done is on disk, and not all was done."""


class InterruptedStudyError(BaseException):
    """The study was stopped by a signal; what was done is on disk.

    As Python's own KeyboardInterrupt it is no Exception: it may be raised anywhere, and nothing
    that guards against mistakes, a plugin's code among it, takes it for one.

    Args:
        message: What was kept and how to go on.
        signal_number: The signal; the exit status is 128 plus it, as in a shell.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        self.exit_status = 128 + signal_number
        super().__init__(message)
