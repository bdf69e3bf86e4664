"""Philox4x32-10, a counter-based random number generator, for devices other than a CPU.

A 64-bit key and a counter determine a block of four 32-bit words. So any number of threads can
compute any parts of a stream in parallel, and the generator has no state.

On a CUDA device, one Triton kernel computes the words of all runs. On other devices, and if Triton
does not work, torch operations compute the same words.

Paper:
    Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC11.
"""

import math
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

WORDS = 4  # 32-bit words in a block
_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_SIGN = 0x80000000

Philox = Callable[[Tensor, int, int], Tensor]


def philox(keys: Tensor, start: int, blocks: int) -> Tensor:
    """Return consecutive blocks of words for each run, computed with torch operations.

    Args:
        keys: The 64-bit key of each run as int64: ``(runs,)``.
        start: The counter of the first block, in [0, 2**63). The counter increases by 1 per block.
        blocks: Number of blocks.

    Shape:
        Output: ``(runs, 4, blocks)``, int32: the first words of all blocks, then the second, ...
    """
    counters = torch.arange(start, start + blocks, device=keys.device)  # (blocks,)
    zeros = torch.zeros_like(counters)
    counter = (counters & _LOW, counters >> 32, zeros, zeros)
    key = (keys.unsqueeze(1) & _LOW, keys.unsqueeze(1) >> 32 & _LOW)  # (runs, 1) each
    words = torch.stack(block_words(counter, key), dim=1)
    return ((words ^ _SIGN) - _SIGN).to(torch.int32)  # the same 32 bits, as a signed number


def block_words(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the four words of each block, as defined in the paper.

    Args:
        counter: Four words in [0, 2**32), the lowest first. Counter and key are int64 and broadcast
            against each other.
        key: Two words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        (high0, low0), (high1, low1) = _product(_MULTIPLIERS[0], c0), _product(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    c0, c1, c2, c3 = torch.broadcast_tensors(c0, c1, c2, c3)
    return c0, c1, c2, c3


def normal(words: Tensor) -> Tensor:
    r"""Return float32 standard normal draws, one for each word (Box & Muller 1958).

    .. math:: r = \sqrt{-2 \ln u}, \quad u = |w_0| / 2^{31}, \qquad
              z_0 = r \cos \varphi, \quad z_1 = r \sin \varphi, \quad \varphi = \pi w_1 / 2^{31}

    Words are interpreted as signed integers, so u is a multiple of :math:`2^{-31}`. For
    :math:`w_0 = 0`, u is :math:`2^{-33}`, the center of the rounding interval [0, :math:`2^{-32}`].
    So every draw is finite, and the largest is 6.8.

    Shape:
        ``words``: ``(runs, 4, blocks)``, int32. Output: the same shape.
    """
    numbers = words.float()
    u = numbers[:, 0::2].abs().clamp_min_(0.25).mul_(2.0**-31)
    radius = u.log_().mul_(-2).sqrt_()
    angle = numbers[:, 1::2] * (math.pi * 2.0**-31)
    return torch.cat((radius * angle.cos(), radius * angle.sin()), dim=1)


@cache
def philox_on(device: torch.device) -> Philox:
    """Return the fastest implementation on a device: the Triton kernel, or :func:`philox`.

    Compiles the kernel in the first call. Uses it only if its output is that of :func:`philox`.
    """
    if device.type != "cuda":
        return philox
    try:
        kernel: Philox = import_module("dropout_lab.rng.philox_triton").philox
        keys = torch.tensor([2**62 + 1, -3], device=device)
        agree = torch.equal(kernel(keys, 2**32 - 2, 5), philox(keys, 2**32 - 2, 5))
        why = "" if agree else "its words are wrong"
    except Exception as error:  # no Triton, no C compiler, a device it does not know
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if why:
        warnings.warn(
            f"Triton is not used on {device} ({why}); torch draws the same masks, more slowly.",
            RuntimeWarning,
            stacklevel=2,
        )
        return philox
    return kernel


def _product(multiplier: int, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return the high and the low half of a product of 32-bit words.

    int64 keeps all 64 bits of the product, the highest bit as the sign.
    """
    product = words * multiplier
    return product >> 32 & _LOW, product & _LOW
