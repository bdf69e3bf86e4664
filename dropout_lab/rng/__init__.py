"""The one door for random numbers: a stream for each purpose, and the draws of the dropout layers.

A stream is named by its purpose, a seed and a few more numbers, so that it can be opened again
anywhere: nothing has to be stored to go on where an interrupted study stopped.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dropout_lab.devices import runs_eagerly, sent
from dropout_lab.rng.philox import WORDS, philox_on
from dropout_lab.rng.philox import normal as normal_of_words

LANES = 2**16  # the values a 16-bit lane can take
_LANES_PER_WORD = 4  # of 64 bits
_LANES_PER_BLOCK = 8


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of every result: never renumber them."""

    SPLIT = 0
    TRAIN_SUBSET = 1
    LABEL_NOISE = 2
    TRAIN_EXAMPLES = 3
    INITIAL_WEIGHTS = 4
    DATA_ORDER = 5
    MASKS = 6
    INPUT_NOISE = 7
    INFERENCE = 8
    DIAGNOSTICS = 9
    MOMENT_MATCHING = 10
    MEASURED_NOISE = 11
    AT_END = 12
    LESSON = 13


def stream(purpose: Purpose, seed: int, *key: int) -> np.random.Generator:
    """Open the stream of ``purpose`` for ``seed``, further named by ``key`` (an epoch, a place).

    Streams of different names are independent (NumPy's ``SeedSequence`` with a spawn key).
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), *key))
    return np.random.Generator(np.random.SFC64(sequence))


class Noise(Protocol):
    """Where a dropout layer gets its draws from."""

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""


class TorchNoise:
    """Draws from a torch generator; without one, from PyTorch's global generator.

    This is what a layer in anybody's model uses, so ``torch.manual_seed`` works as expected.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""
        if not runs_eagerly():  # no in-place draws, and any shape in a single operation
            kind = {"dtype": torch.int16, "device": device, **self._drawn_from}
            return torch.randint(-LANES // 2, LANES // 2, tuple(shape), **kind)
        count = math.prod(shape)
        words = torch.empty(_words(count), dtype=torch.int64, device=device)
        # The default range of random_ leaves the sign bit 0, and with it that of each 4th lane.
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.int16)[:count].view(tuple(shape))

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""
        return torch.randn(tuple(shape), dtype=torch.float32, device=device, **self._drawn_from)

    @property
    def _drawn_from(self) -> dict[str, Any]:
        # torch.export refuses dynamic shapes if a generator is passed, even if it is None.
        return {} if self.generator is None else {"generator": self.generator}


class NumpyNoise:
    """Draws from a NumPy stream: half the time of torch's generator on a CPU, and a wider seed."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""
        _refuse_batched_draws()
        count = math.prod(shape)
        words = self.generator.bit_generator.random_raw(_words(count))
        return torch.from_numpy(words.view(np.int16)[:count].reshape(shape)).to(device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""
        _refuse_batched_draws()
        draws = self.generator.standard_normal(tuple(shape), dtype=np.float32)
        return torch.from_numpy(draws).to(device)


class PhiloxNoise:
    """Draws of several runs at once, each from a key of its own and a counter that all share.

    Args:
        keys: The 64 bits of each run's key as int64: ``(runs,)``.
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self.counter = 0  # blocks of words drawn of each run
        self._philox = philox_on(keys.device)

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of shape ``(runs, ...)``, uniform on all 65,536 values of a lane."""
        count = math.prod(shape[1:])
        words = self._words(-(-count // _LANES_PER_BLOCK))
        return words.flatten(1).view(torch.int16)[:, :count].view(*shape)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 standard normal draws of shape ``(runs, ...)``."""
        count = math.prod(shape[1:])
        draws = normal_of_words(self._words(-(-count // WORDS)))
        return draws.flatten(1)[:, :count].view(*shape)

    def _words(self, blocks: int) -> Tensor:
        _refuse_batched_draws()
        words = self._philox(self.keys, self.counter, blocks)
        self.counter += blocks
        return words


class _NumpyNoises:
    """Draws of several runs, each from its own NumPy stream."""

    def __init__(self, streams: Sequence[np.random.Generator]) -> None:
        self._runs = [NumpyNoise(generator) for generator in streams]

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.stack([run.lanes(shape[1:], device) for run in self._runs])

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.stack([run.normal(shape[1:], device) for run in self._runs])


class FleetNoise:
    """The draws of a fleet: each run's from its own stream, so company changes no draw.

    A CPU draws from NumPy's streams. Another device draws all runs at once with Philox: the first
    64 bits of a run's stream are its key, and the counter starts at 0 in each epoch.

    Args:
        seeds: The seed of each run, in the order of the run axis.
        place: The layer the draws are for, 0 = the input; each place has its own stream, so
            dropout at one place never changes the masks of another.
        device: Where training happens.
        purpose: What the draws are for.

    ``open(epoch)`` must be called before the first draw of each epoch.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        place: int,
        device: torch.device,
        purpose: Purpose = Purpose.MASKS,
    ) -> None:
        self.seeds = tuple(seeds)
        self.place = place
        self.device = device
        self.purpose = purpose
        self._noise: Noise | None = None

    def open(self, epoch: int, purpose: Purpose | None = None) -> None:
        """Go to the start of an epoch's draws, whatever was drawn before."""
        purpose = self.purpose if purpose is None else purpose
        streams = [stream(purpose, seed, self.place, epoch) for seed in self.seeds]
        if self.device.type == "cpu":
            self._noise = _NumpyNoises(streams)
        else:
            first = [generator.bit_generator.random_raw() for generator in streams]
            keys = torch.from_numpy(np.array(first, dtype=np.uint64).view(np.int64))
            self._noise = PhiloxNoise(sent(keys, self.device))

    @contextmanager
    def aside(self, purpose: Purpose, epoch: int = 0) -> Iterator[None]:
        """Draw for another purpose for a while; then go on where the draws had come to."""
        before = self._noise
        self.open(epoch, purpose)
        try:
            yield
        finally:
            self._noise = before

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of shape ``(runs, ...)``, uniform on all 65,536 values of a lane."""
        return self._opened(shape).lanes(shape, device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 standard normal draws of shape ``(runs, ...)``."""
        return self._opened(shape).normal(shape, device)

    def _opened(self, shape: Sequence[int]) -> Noise:
        runs = 0 if self._noise is None else len(self.seeds)
        if self._noise is None or shape[0] != runs:
            raise ValueError(
                f"draws of shape {tuple(shape)} were asked for, but the epoch's streams are those "
                f"of {runs} runs; the run axis comes first, and open() before a draw."
            )
        return self._noise


def _words(lanes: int) -> int:
    return -(-lanes // _LANES_PER_WORD)


def _refuse_batched_draws() -> None:
    """Refuse to draw where PyTorch would treat the draws as constants.

    Raises:
        RuntimeError: The code runs under ``torch.compile``, ``torch.export`` or
            ``torch.func.vmap``.
    """
    mapped = torch._C._are_functorch_transforms_active() and any(
        level.key() == torch._C._functorch.TransformType.Vmap
        for level in torch._C._functorch.get_interpreter_stack() or ()
    )
    if mapped or torch.compiler.is_compiling():
        raise RuntimeError(
            "this noise is drawn outside PyTorch, so torch.compile, torch.export and "
            "torch.func.vmap would repeat one draw; give the layer noise=TorchNoise() there."
        )
