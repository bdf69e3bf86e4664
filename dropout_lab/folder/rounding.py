"""Find to how many digits another program rounded the numbers of a row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_CONTINUOUS = ("noisy_train_loss", "train_loss", "test_loss")  # numbers with all their digits
_ROUNDED = 12  # significant digits; a float as it was written has 15 to 17 but in rare cases


@dataclass(frozen=True)
class Precision:
    """The precision of a row's numbers.

    Args:
        decimals: The most decimals of one.
        digits: The most significant digits of one.
    """

    decimals: int
    digits: int

    def error_of(self, number: float) -> float:
        """Return the largest rounding error of a number."""
        if not math.isfinite(number):
            return 0.0
        magnitude = math.floor(math.log10(abs(number))) if number else 0
        unit = max(10.0**-self.decimals, 10.0 ** (magnitude - self.digits + 1))
        return unit / 2 * (1 + 1e-6)


def precision_of(row: Mapping[str, str]) -> Precision | None:
    """Return the precision of a row's numbers; None if they have all their digits."""
    decimals = digits = 0
    for name in _CONTINUOUS:
        try:
            number = Decimal(row.get(name) or "nan")
        except InvalidOperation:
            return None
        if number.is_finite():
            _, all_digits, exponent = number.as_tuple()
            digits = max(digits, len(all_digits))
            decimals = max(decimals, -int(exponent))
    return Precision(decimals, digits) if 0 < digits <= _ROUNDED else None
