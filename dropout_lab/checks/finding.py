"""What a law or a lesson finds: what was measured, and the bound it had to keep."""

from dataclasses import dataclass

from dropout_lab.layers.noise_measurement import ERRORS


@dataclass(frozen=True)
class Check:
    """How a variant stands to a law.

    Args:
        law: The law's name.
        variant: The variant's name.
        measured: A number, or a word.
        bound: What it had to be.
        passed: Whether it was; none where the law does not apply.
        reason: Why it was not, or why the law does not apply.
    """

    law: str
    variant: str
    measured: float | str
    bound: str
    passed: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """What a law found; see :class:`Check`."""

    measured: float | str
    bound: str
    passed: bool | None
    reason: str = ""


def not_for(reason: str) -> Finding:
    """Return that the law does not apply, and why."""
    return Finding("", "", None, reason)


def none_of(count: int, what: str) -> Finding:
    """Return that nothing may be amiss, and how much is; ``what`` says of what."""
    return Finding(float(count), "0", count == 0, f"{count} {what}")


def at_most(value: float, bound: float, what: str, *, unit: str = "") -> Finding:
    """Return that a number has a bound; nan is beyond it. ``what`` says what the number is."""
    return Finding(value, f"<= {bound:.3g}{unit}", value <= bound, what)


def at_least(value: float, bound: float, what: str, *, unit: str = "") -> Finding:
    """Return that a number has a lower bound; nan is below it. ``what`` says what the number is."""
    return Finding(value, f">= {bound:.3g}{unit}", value >= bound, what)


def within(value: float, wanted: float, error: float, what: str) -> Finding:
    """Return that a number is another within 5 standard errors; nan is not.

    Args:
        value: What was measured.
        wanted: What it should be.
        error: The standard error of the one less the other.
        what: Says what the number is.
    """
    bound = ERRORS * error
    return Finding(value, f"{wanted:.4g} ± {bound:.2g}", abs(value - wanted) <= bound, what)


def must_be(wanted: str, found: str, what: str) -> Finding:
    """Return that a word must be another; ``what`` says what is wrong if it is not."""
    return Finding(found, wanted, found == wanted, what)


def raised(error: Exception) -> Finding:
    """Return that what was to be measured stopped with an exception; its first line is told."""
    text = str(error).splitlines()[0] if str(error) else ""
    return Finding("raises", "", False, f"{type(error).__name__}: {text}")
