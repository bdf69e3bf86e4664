"""Philox4x32-10 as one Triton kernel for all runs; needs a CUDA device."""

import torch
import triton
import triton.language as tl
from torch import Tensor

_WIDTH = 1024  # blocks of words per program of the kernel


# Triton compiles this source and allows only its own annotations.
@triton.jit(do_not_specialize=["start", "blocks"])  # type: ignore[untyped-decorator]
def _philox_kernel(  # type: ignore[no-untyped-def]
    keys, words, start: tl.int64, blocks: tl.int64, width: tl.constexpr
):
    """Write the words of ``width`` blocks of one run to ``words``, which is (runs, 4, blocks)."""
    run = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    counter = start + block
    low, high = counter.to(tl.uint32), (counter >> 32).to(tl.uint32)
    zero = low * 0
    w0, w1, w2, w3 = tl.philox(tl.load(keys + run), low, high, zero, zero)
    line = words + run * 4 * blocks + block
    inside = block < blocks
    tl.store(line, w0.to(tl.int32, bitcast=True), mask=inside)
    tl.store(line + blocks, w1.to(tl.int32, bitcast=True), mask=inside)
    tl.store(line + 2 * blocks, w2.to(tl.int32, bitcast=True), mask=inside)
    tl.store(line + 3 * blocks, w3.to(tl.int32, bitcast=True), mask=inside)


def philox(keys: Tensor, start: int, blocks: int) -> Tensor:
    """Return the same words as :func:`dropout_lab.rng.philox.philox`."""
    words = torch.empty(len(keys), 4, blocks, dtype=torch.int32, device=keys.device)
    if blocks:
        grid = (triton.cdiv(blocks, _WIDTH), len(keys))
        # The kernel has nothing to fuse, but Triton 3.9 warns if the option is missing.
        options = {"enable_fp_fusion": False}
        _philox_kernel[grid](keys, words, start, blocks, width=_WIDTH, **options)
    return words
