"""The outcome of a check: the measured value, its bound, and whether it passed."""

from dataclasses import dataclass

from dropout_lab.layers.noise_measurement import ERRORS


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check of one variant.

    Args:
        check: The check's name.
        variant: The variant's name.
        measured: A number or a word.
        bound: The value or interval that the measurement must match.
        passed: Whether it did. None if the check does not apply.
        reason: Why the check failed or does not apply.
    """

    check: str
    variant: str
    measured: float | str
    bound: str
    passed: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check, without its name; see :class:`CheckResult`."""

    measured: float | str
    bound: str
    passed: bool | None
    reason: str = ""


def not_for(reason: str) -> Outcome:
    """Return that the check does not apply, and why."""
    return Outcome("", "", None, reason)


def none_of(count: int, what: str) -> Outcome:
    """Return that nothing may be amiss, and how much is; ``what`` says of what."""
    return Outcome(float(count), "0", count == 0, f"{count} {what}")


def at_most(value: float, bound: float, what: str, *, unit: str = "") -> Outcome:
    """Return that a number has a bound; nan is beyond it. ``what`` says what the number is."""
    return Outcome(value, f"<= {bound:.3g}{unit}", value <= bound, what)


def at_least(value: float, bound: float, what: str, *, unit: str = "") -> Outcome:
    """Return that a number has a lower bound; nan is below it. ``what`` says what the number is."""
    return Outcome(value, f">= {bound:.3g}{unit}", value >= bound, what)


def within(value: float, wanted: float, error: float, what: str) -> Outcome:
    """Return that a number is another within 5 standard errors; nan is not.

    Args:
        value: What was measured.
        wanted: What it should be.
        error: The standard error of the one less the other.
        what: Says what the number is.
    """
    bound = ERRORS * error
    return Outcome(value, f"{wanted:.4g} ± {bound:.2g}", abs(value - wanted) <= bound, what)


def must_be(wanted: str, found: str, what: str) -> Outcome:
    """Return that a word must be another; ``what`` says what is wrong if it is not."""
    return Outcome(found, wanted, found == wanted, what)


def raised(error: Exception) -> Outcome:
    """Return that what was to be measured stopped with an exception; its first line is told."""
    text = str(error).splitlines()[0] if str(error) else ""
    return Outcome("raises", "", False, f"{type(error).__name__}: {text}")
