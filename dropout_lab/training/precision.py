"""Time matrix products in bfloat16 and float32, since many processors are slow in bfloat16."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch

from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import count_inputs

TOO_SLOW = 3.0  # bfloat16 / float32; processors without bfloat16 units reach 20 to 100
_REPEATS = 5
_MAX_SECONDS = 0.05  # of all repeats
# Smaller products would mostly measure overhead; larger ones take longer at about the same ratio.
_ROW_BOUNDS, _UNIT_BOUNDS = (64, 128), (64, 512)


@dataclass(frozen=True)
class ProductTiming:
    """The times of one matrix product in bfloat16 and float32, on one core.

    Args:
        rows: Batch size.
        inputs: Input units of the layer.
        outputs: Output units of the layer.
        bfloat16: Seconds in bfloat16, the minimum of the repeats.
        float32: Seconds in float32.
    """

    rows: int
    inputs: int
    outputs: int
    bfloat16: float
    float32: float

    @property
    def slowdown(self) -> float:
        """Time in bfloat16 divided by time in float32."""
        return self.bfloat16 / self.float32

    @property
    def sentence(self) -> str:
        """Both times, as text for a message without its final period."""
        return (
            f"A product of {self.rows} x {self.inputs} by {self.inputs} x {self.outputs} takes "
            f"{1000 * self.bfloat16:.2g} ms in bfloat16 and {1000 * self.float32:.2g} ms in "
            "float32 on one core of this machine"
        )


def time_products(
    rows: int, inputs: int, outputs: int, clock: Callable[[], float] = time.perf_counter
) -> ProductTiming:
    """Time one product in both precisions, in a few milliseconds, on one core.

    Several cores would wait for each other if other programs run, which takes longer than the
    product.
    """
    x, weight = torch.ones(1, rows, inputs), torch.ones(1, inputs, outputs)
    seconds = []
    with _one_torch_thread(), torch.no_grad():
        for dtype in (torch.bfloat16, torch.float32):
            left, right = x.to(dtype), weight.to(dtype)
            seconds.append(_min_seconds(lambda a=left, b=right: torch.bmm(a, b), clock))  # type: ignore[misc]
    return ProductTiming(rows, inputs, outputs, *seconds)


def largest_product(settings: Iterable[Settings]) -> tuple[int, int, int]:
    """Return rows, inputs and outputs of the largest product of the settings, within bounds."""
    sizes = []
    for each in settings:
        units = (count_inputs(each), *each.model.hidden)
        rows = _clamp(each.training.batch_size, _ROW_BOUNDS)
        for inputs, outputs in pairwise(units):
            sizes.append((rows, _clamp(inputs, _UNIT_BOUNDS), _clamp(outputs, _UNIT_BOUNDS)))
    return max(sizes, key=lambda size: size[0] * size[1] * size[2])


def _min_seconds(product: Callable[[], object], clock: Callable[[], float]) -> float:
    product()  # warm up
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _MAX_SECONDS:
        start = clock()
        product()
        seconds.append(clock() - start)
    return max(min(seconds), 1e-9)


def _clamp(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
