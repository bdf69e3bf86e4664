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


def not_applicable(reason: str) -> Outcome:
    """Return the outcome of a check that does not apply."""
    return Outcome("", "", None, reason)


def none_of(count: int, what: str) -> Outcome:
    """Return the outcome of a count that must be 0; ``what`` describes the counted failures."""
    return Outcome(float(count), "0", count == 0, f"{count} {what}")


def at_most(value: float, bound: float, what: str, *, unit: str = "") -> Outcome:
    """Return the outcome of a value with an upper bound, which nan violates."""
    return Outcome(value, f"<= {bound:.3g}{unit}", value <= bound, what)


def at_least(value: float, bound: float, what: str, *, unit: str = "") -> Outcome:
    """Return the outcome of a value with a lower bound, which nan violates."""
    return Outcome(value, f">= {bound:.3g}{unit}", value >= bound, what)


def within(value: float, wanted: float, error: float, what: str) -> Outcome:
    """Return the outcome of a value that must be within 5 standard errors of another.

    Args:
        value: The measured value; nan fails.
        wanted: The expected value.
        error: The standard error of their difference.
        what: A description of the value.
    """
    bound = ERRORS * error
    return Outcome(value, f"{wanted:.4g} ± {bound:.2g}", abs(value - wanted) <= bound, what)


def must_be(wanted: str, found: str, what: str) -> Outcome:
    """Return the outcome of a word that must equal ``wanted``; ``what`` describes the failure."""
    return Outcome(found, wanted, found == wanted, what)


def failed_with(error: Exception) -> Outcome:
    """Return the outcome of a check that raised an exception."""
    text = str(error).splitlines()[0] if str(error) else ""
    return Outcome("raises", "", False, f"{type(error).__name__}: {text}")
