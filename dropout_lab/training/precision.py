"""Whether bfloat16 is worth it on this processor: measured, since units for it may be lacking."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch

from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import inputs_of

TOO_SLOW = 3.0  # times as long as in float32; without units for it, it is 20 to 100 times
_REPEATS = 5
_SECONDS = 0.05  # in all, of a product that is slow
# Of a smaller product the start is measured; a larger one tells nothing more, and takes longer.
_ROWS, _COLUMNS = (64, 128), (64, 512)


@dataclass(frozen=True)
class Products:
    """The same matrix product in both precisions, on one core.

    Args:
        rows: Examples of a batch.
        inputs: Units that enter.
        outputs: Units that leave.
        bfloat16: Seconds in bfloat16, the fastest of a few.
        float32: Seconds in float32.
    """

    rows: int
    inputs: int
    outputs: int
    bfloat16: float
    float32: float

    @property
    def times(self) -> float:
        """How many times as long bfloat16 takes."""
        return self.bfloat16 / self.float32

    @property
    def sentence(self) -> str:
        """Both times in words."""
        return (
            f"A product of {self.rows} x {self.inputs} by {self.inputs} x {self.outputs} takes "
            f"{1000 * self.bfloat16:.2g} ms in bfloat16 and {1000 * self.float32:.2g} ms in "
            "float32 on one core of this machine"
        )


def measured(
    rows: int, inputs: int, outputs: int, clock: Callable[[], float] = time.perf_counter
) -> Products:
    """Measure one product in both precisions, in a few milliseconds.

    One core computes both. Several would wait for each other while other programs run, which takes
    longer than the product.
    """
    x, weight = torch.ones(1, rows, inputs), torch.ones(1, inputs, outputs)
    seconds = []
    with _one_core(), torch.no_grad():
        for dtype in (torch.bfloat16, torch.float32):
            left, right = x.to(dtype), weight.to(dtype)
            seconds.append(_fastest(lambda a=left, b=right: torch.bmm(a, b), clock))  # type: ignore[misc]
    return Products(rows, inputs, outputs, *seconds)


def product_of(settings: Iterable[Settings]) -> tuple[int, int, int]:
    """Return the size to measure for some settings: of their largest product, within bounds."""
    sizes = []
    for each in settings:
        units = (inputs_of(each), *each.model.hidden)
        rows = _bounded(each.training.batch_size, _ROWS)
        for inputs, outputs in pairwise(units):
            sizes.append((rows, _bounded(inputs, _COLUMNS), _bounded(outputs, _COLUMNS)))
    return max(sizes, key=lambda size: size[0] * size[1] * size[2])


def _fastest(product: Callable[[], object], clock: Callable[[], float]) -> float:
    product()  # the first one prepares the code for the size
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _SECONDS:
        began = clock()
        product()
        seconds.append(clock() - began)
    return max(min(seconds), 1e-9)


def _bounded(number: int, bounds: tuple[int, int]) -> int:
    return min(max(number, bounds[0]), bounds[1])


@contextmanager
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
