"""All random numbers: a stream for each purpose, and the noise sources of the dropout layers.

The purpose, the seed and a few more numbers determine a stream. So a resumed study can open its
streams again without any saved random state.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dropout_lab.devices import runs_eagerly, to_device
from dropout_lab.rng.philox import WORDS, philox_on
from dropout_lab.rng.philox import normal as normal_of_words

LANES = 2**16  # number of values of a lane, a random 16-bit integer
_LANES_PER_WORD = 4  # in a 64-bit word
_LANES_PER_BLOCK = 8  # in a block of Philox


class Purpose(IntEnum):
    """The purpose of a random stream. Never renumber: every result depends on the numbers."""

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
    SNAPSHOTS = 12
    LESSON = 13
    GENERATED = 14
    FLATNESS = 15


def stream(purpose: Purpose, seed: int, *key: int) -> np.random.Generator:
    """Return the random generator for a purpose, a seed, and a key such as (place, epoch).

    Streams with different arguments are independent (NumPy's ``SeedSequence`` with a spawn key).
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), *key))
    return np.random.Generator(np.random.SFC64(sequence))


class Noise(Protocol):
    """A noise source: generates the random numbers of a dropout layer."""

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""


class TorchNoise:
    """Noise from a torch generator; by default, from PyTorch's global generator.

    This is the default of every dropout layer, so ``torch.manual_seed`` works as expected.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""
        if not runs_eagerly():  # compiled code needs one operation that is not in-place
            options = {"dtype": torch.int16, "device": device, **self._generator_option}
            return torch.randint(-LANES // 2, LANES // 2, tuple(shape), **options)
        count = math.prod(shape)
        words = torch.empty(_words_for(count), dtype=torch.int64, device=device)
        # By default, random_ leaves the sign bit 0, and with it the sign bit of each 4th lane.
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.int16)[:count].view(tuple(shape))

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""
        return torch.randn(
            tuple(shape), dtype=torch.float32, device=device, **self._generator_option
        )

    @property
    def _generator_option(self) -> dict[str, Any]:
        # torch.export refuses dynamic shapes if a generator is passed, even if it is None.
        return {} if self.generator is None else {"generator": self.generator}


class NumpyNoise:
    """Noise from a NumPy generator: twice as fast as torch's on a CPU, with a longer seed."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``, uniform on all 65,536 values of a lane."""
        _refuse_batched_draws()
        count = math.prod(shape)
        words = self.generator.bit_generator.random_raw(_words_for(count))
        return torch.from_numpy(words.view(np.int16)[:count].reshape(shape)).to(device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 draws of ``shape`` from the standard normal distribution."""
        _refuse_batched_draws()
        draws = self.generator.standard_normal(tuple(shape), dtype=np.float32)
        return torch.from_numpy(draws).to(device)


class PhiloxNoise:
    """Philox noise of several runs, each with its own key; all runs share a counter.

    Args:
        keys: The 64-bit key of each run as int64: ``(runs,)``.
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self.counter = 0  # blocks drawn so far for each run
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


class _FleetNumpyNoise:
    """NumPy noise of several runs, each from its own generator."""

    def __init__(self, streams: Sequence[np.random.Generator]) -> None:
        self._runs = [NumpyNoise(generator) for generator in streams]

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.stack([run.lanes(shape[1:], device) for run in self._runs])

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.stack([run.normal(shape[1:], device) for run in self._runs])


class FleetNoise:
    """The noise of a fleet. Each run has its own stream, so its noise is the same in any fleet.

    On a CPU, NumPy generates the noise. On other devices, Philox generates the noise of all runs at
    once: the first 64 bits of a run's stream are its key, and the counter starts at 0 each epoch.

    Args:
        seeds: The seed of each run, in the order of the run axis.
        place: Where the dropout layer is, 0 = the input. Each place has its own stream, so dropout
            at one place never changes the masks at another.
        device: The training device.
        purpose: The purpose of the noise.

    Call ``open(epoch)`` before the first draw of each epoch.
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
        """Open the streams of an epoch at their start."""
        purpose = self.purpose if purpose is None else purpose
        streams = [stream(purpose, seed, self.place, epoch) for seed in self.seeds]
        if self.device.type == "cpu":
            self._noise = _FleetNumpyNoise(streams)
        else:
            first = [generator.bit_generator.random_raw() for generator in streams]
            keys = torch.from_numpy(np.array(first, dtype=np.uint64).view(np.int64))
            self._noise = PhiloxNoise(to_device(keys, self.device))

    @contextmanager
    def temporarily(self, purpose: Purpose, epoch: int = 0) -> Iterator[None]:
        """Use the streams of another purpose inside a ``with`` block, then continue as before."""
        before = self._noise
        self.open(epoch, purpose)
        try:
            yield
        finally:
            self._noise = before

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of shape ``(runs, ...)``, uniform on all 65,536 values of a lane."""
        return self._require_open(shape).lanes(shape, device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 standard normal draws of shape ``(runs, ...)``."""
        return self._require_open(shape).normal(shape, device)

    def _require_open(self, shape: Sequence[int]) -> Noise:
        runs = 0 if self._noise is None else len(self.seeds)
        if self._noise is None or shape[0] != runs:
            raise ValueError(
                f"draws of shape {tuple(shape)} were asked for, but the epoch's streams are those "
                f"of {runs} runs; the run axis comes first, and open() before a draw."
            )
        return self._noise


def _words_for(lanes: int) -> int:
    return -(-lanes // _LANES_PER_WORD)


def _refuse_batched_draws() -> None:
    """Raise an error if PyTorch would treat the noise as a constant.

    Raises:
        RuntimeError: The code runs under ``torch.compile``, ``torch.export`` or
            ``torch.func.vmap``.
    """
    under_vmap = torch._C._are_functorch_transforms_active() and any(
        level.key() == torch._C._functorch.TransformType.Vmap
        for level in torch._C._functorch.get_interpreter_stack() or ()
    )
    if under_vmap or torch.compiler.is_compiling():
        raise RuntimeError(
            "this noise is drawn outside PyTorch, so torch.compile, torch.export and "
            "torch.func.vmap would repeat one draw; give the layer noise=TorchNoise() there."
        )
