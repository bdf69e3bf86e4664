"""The counter-based generator: its published answers, its laws, and its kernel to the bit."""

import importlib.util
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from dropout_lab.rng import FleetNoise, PhiloxNoise, Purpose
from dropout_lab.rng.philox import block_words, normal, philox, philox_on

CPU = torch.device("cpu")
ELSEWHERE = torch.device("meta")  # a device that is no CPU and that every machine has
triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
# Random123's kat_vectors, "philox4x32 10": counter, key, answer.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def numbers(text: str) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor([int(word, 16)]) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_published_answers_come_out(counter: str, key: str, answer: str) -> None:
    words = block_words(numbers(counter), numbers(key))
    assert [int(word) for word in words] == [int(word) for word in numbers(answer)]


def test_a_stream_is_its_blocks_counted_up_from_its_start() -> None:
    """Also across 2**32, where the counter's second word begins."""
    keys = torch.tensor([0, 2**62 + 5, -1])
    start = 2**32 - 2
    words = philox(keys, start, 4)
    for run, block in itertools.product(range(3), range(4)):
        key, at = int(keys[run]) % 2**64, start + block
        counter = [torch.tensor([part]) for part in (at % 2**32, at >> 32, 0, 0)]
        halves = [torch.tensor([part]) for part in (key % 2**32, key >> 32)]
        answer = [int(word) for word in block_words(tuple(counter), tuple(halves))]
        assert [int(word) % 2**32 for word in words[run, :, block]] == answer


IN_THE_INTERPRETER = """
import torch
from dropout_lab.rng.philox import philox
from dropout_lab.rng.philox_triton import philox as kernel

keys = torch.tensor([0, 2**62 + 1, -3, -(2**63)])
for start, blocks in ((0, 1), (2**32 - 2, 5), (7, 1500), (2**40 + 16, 1024), (3, 0)):
    assert torch.equal(kernel(keys, start, blocks), philox(keys, start, blocks)), (start, blocks)
print("the same bits")
"""
COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dropout_lab.rng.philox_triton import _philox_kernel

kinds = {"keys": "*i64", "words": "*i32", "start": "i64", "blocks": "i64", "width": "constexpr"}
source = ASTSource(_philox_kernel, signature=kinds, constexprs={"width": 1024})
options = {"enable_fp_fusion": False}
compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
assert compiled.asm["ptx"].count("st.global") == 32  # 4 words of 8 blocks for each thread
print("compiled")
"""


def run_apart(program: str, **variables: str) -> str:
    """Run a program in a process of its own, warnings as errors; return what it prints."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@triton
def test_the_kernel_makes_the_same_bits_in_tritons_interpreter() -> None:
    assert run_apart(IN_THE_INTERPRETER, TRITON_INTERPRET="1") == "the same bits"


@triton
def test_the_kernel_compiles_for_a_gpu_that_is_not_there(tmp_path) -> None:
    assert run_apart(COMPILED, TRITON_CACHE_DIR=str(tmp_path)) == "compiled"


def test_without_a_gpu_torchs_own_operations_make_the_words() -> None:
    assert philox_on(CPU) is philox
    assert philox_on(torch.device("mps")) is philox


def test_where_triton_fails_torch_takes_over_and_says_so(monkeypatch) -> None:
    """Here there is no CUDA device, which is one way to fail."""
    if torch.cuda.is_available():
        pytest.skip("Triton works on the CUDA device that is here")
    philox_on.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"Triton is not used on cuda .*the same masks"):
        assert philox_on(torch.device("cuda")) is philox
    philox_on.cache_clear()


def noise_of(*keys: int) -> PhiloxNoise:
    return PhiloxNoise(torch.tensor(keys))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 8), (2, 5, 3), (2, 1, 7), (2, 0)])
def test_any_shape_is_served(shape: tuple[int, ...]) -> None:
    noise = noise_of(*range(shape[0]))
    lanes, draws = noise.lanes(shape, CPU), noise.normal(shape, CPU)
    assert lanes.shape == draws.shape == shape
    assert (lanes.dtype, draws.dtype) == (torch.int16, torch.float32)


def test_lanes_are_the_words_and_no_word_is_used_twice() -> None:
    noise = noise_of(7, 8)
    first, second = noise.lanes((2, 3, 7), CPU), noise.normal((2, 9), CPU)
    words = philox(noise.keys, 0, 3)  # of 8 lanes each
    assert torch.equal(first.flatten(1), words.view(2, -1).view(torch.int16)[:, :21])
    assert torch.equal(second, normal(philox(noise.keys, 3, 3)).flatten(1)[:, :9])
    assert noise.counter == 6


def test_a_runs_draws_are_the_same_alone_and_in_company() -> None:
    together = noise_of(3, 1, 4)
    lanes, draws = together.lanes((3, 7, 5), CPU), together.normal((3, 7, 5), CPU)
    for run, key in enumerate((3, 1, 4)):
        alone = noise_of(key)
        assert torch.equal(lanes[run], alone.lanes((1, 7, 5), CPU)[0])
        assert torch.equal(draws[run], alone.normal((1, 7, 5), CPU)[0])


def test_every_position_of_a_word_is_uniform() -> None:
    """Chi-squared over 256 bins for each of the 16 bytes of a block."""
    words = philox(torch.tensor([11]), 0, 50_000)[0].numpy()
    bytes_ = words.view(np.uint8).reshape(4, -1, 4)
    values = [
        stats.chisquare(np.bincount(bytes_[word, :, byte], minlength=256)).pvalue
        for word, byte in itertools.product(range(4), range(4))
    ]
    assert min(values) > 1e-5


def test_lanes_have_the_mean_and_the_variance_of_the_uniform_distribution() -> None:
    n = 400_000
    lanes = noise_of(5).lanes((1, n), CPU).double()
    fractions = (lanes + 2**15 + 0.5) / 2**16
    assert abs(float(fractions.mean()) - 0.5) < 5 * (1 / 12 / n) ** 0.5
    # The variance of a squared deviation of U(0, 1) is 1/80 - 1/144.
    assert abs(float(fractions.var()) - 1 / 12) < 5 * ((1 / 80 - 1 / 144) / n) ** 0.5
    assert stats.kstest(fractions[0].numpy(), "uniform").pvalue > 1e-5


def test_normal_draws_follow_the_normal_distribution() -> None:
    n = 400_000
    draws = noise_of(6).normal((1, n), CPU)[0].double().numpy()
    assert abs(draws.mean()) < 5 / n**0.5
    assert abs(draws.var() - 1) < 5 * (2 / n) ** 0.5
    assert stats.kstest(draws, "norm").pvalue > 1e-5
    assert abs(stats.kurtosis(draws)) < 5 * (24 / n) ** 0.5


def test_the_two_normal_draws_of_a_pair_of_words_are_independent() -> None:
    n = 200_000
    draws = normal(philox(torch.tensor([9]), 0, n // 2))[0]  # (4, n / 2)
    pairs = torch.stack([draws[:2].flatten(), draws[2:].flatten()]).double()
    for some in (pairs, pairs.square()):
        assert abs(float(torch.corrcoef(some)[0, 1])) < 5 / n**0.5


def test_the_word_0_and_the_largest_words_give_finite_normal_draws() -> None:
    ends = torch.tensor([0, 1, -1, 2**31 - 1, -(2**31)], dtype=torch.int32)
    words = torch.cartesian_prod(ends, ends).T.repeat(2, 1).unsqueeze(0)  # (1, 4, 25)
    draws = normal(words)
    assert bool(draws.isfinite().all())
    assert float(draws.abs().max()) == pytest.approx((66 * np.log(2)) ** 0.5)


def keys_of(seed: int, place: int, epoch: int, purpose: Purpose = Purpose.MASKS) -> torch.Tensor:
    """Return the key that a run gets on another device than a CPU."""
    made: list[torch.Tensor] = []

    def to_device(keys: torch.Tensor, device: torch.device) -> torch.Tensor:
        made.append(keys)
        return keys

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dropout_lab.rng.to_device", to_device)
        FleetNoise((seed,), place, ELSEWHERE, purpose).open(epoch)
    return made[0]


def test_runs_places_epochs_purposes_and_calls_draw_independently() -> None:
    """The correlation of any two is within 5 standard errors of 0."""
    names = [
        (0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2), (0, 0, 1, Purpose.INPUT_NOISE),
        (2**63 - 1, 0, 1),
    ]  # fmt: skip
    n = 20_000
    noise = PhiloxNoise(torch.cat([keys_of(*name) for name in names]))
    calls = [noise.lanes((len(names), n), CPU), noise.lanes((len(names), n), CPU)]
    correlation = torch.corrcoef(torch.cat(calls).double())
    off_diagonal = correlation[~torch.eye(2 * len(names), dtype=torch.bool)]
    assert float(off_diagonal.abs().max()) < 5 / n**0.5


def test_a_key_is_the_first_64_bits_of_the_runs_stream() -> None:
    """Keys are part of every result of such a device: this one must never change."""
    assert int(keys_of(3, 2, 5)) % 2**64 == 15863273747280997535
