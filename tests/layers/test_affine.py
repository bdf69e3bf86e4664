"""The affine map's fast forms beside the plain one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dropout_lab.layers.affine import affine, product


def operands(runs: int, batch: int, n_in: int, n_out: int, dtype: torch.dtype) -> list[Tensor]:
    """Return x, weight, bias and a gradient."""
    generator = torch.Generator().manual_seed(runs * n_out)
    shapes = (runs, batch, n_in), (runs, n_in, n_out), (runs, 1, n_out), (runs, batch, n_out)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def with_gradients(
    product: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, gradient: Tensor
) -> list[Tensor]:
    """Return z and the gradients of x, weight and bias."""
    leaves = [each.clone().requires_grad_() for each in (x, weight, bias) if each is not None]
    z = product(*leaves, *([None] if bias is None else []))
    return [z.detach(), *torch.autograd.grad(z, leaves, gradient)]


def assert_near(ours: Tensor, exact: Tensor, relative: float) -> None:
    """Each number within a relative distance, and a thousandth of that of the largest."""
    bound = relative * (exact.abs() + exact.abs().max() / 1_000)
    assert bool(((ours - exact).abs() <= bound).all())


def plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    z = torch.einsum("rbi,rio->rbo", x, weight)
    return z if bias is None else z + bias


@pytest.mark.parametrize("n_out", [1, 10, 15, 16, 40])
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_narrow_and_wide_maps_and_their_gradients(runs: int, n_out: int, *, biased: bool) -> None:
    x, weight, bias, gradient = operands(runs, 7, 20, n_out, torch.float64)
    given = bias if biased else None
    ours = with_gradients(affine, x, weight, given, gradient)
    for one, other in zip(ours, with_gradients(plain, x, weight, given, gradient), strict=True):
        torch.testing.assert_close(one, other)


def test_pixels_shared_by_all_runs() -> None:
    x, weight, bias, _ = operands(3, 7, 20, 10, torch.float64)
    shared = x[:1].expand(3, -1, -1)
    torch.testing.assert_close(affine(shared, weight, bias), plain(shared, weight, bias))


@pytest.mark.parametrize("n_out", [10, 40])
def test_autocast_rounds_the_factors_and_the_product_alone(n_out: int) -> None:
    """What comes out is the float32 map of rounded factors, the product rounded once more."""
    x, weight, bias, gradient = operands(3, 7, 20, n_out, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        z, of_x, of_weight, of_bias = with_gradients(affine, x, weight, bias, gradient)

    def rounded(tensor: Tensor) -> Tensor:
        return tensor.bfloat16().double()

    exact = plain(rounded(x), rounded(weight), None)
    half = 2.0**-8  # of a step of bfloat16, relative; sums and the bias in float32 add less
    assert z.dtype == of_x.dtype == of_weight.dtype == of_bias.dtype == torch.float32
    assert_near(z.double() - bias.double(), exact, half)
    pairs = [
        (of_x, rounded(gradient) @ rounded(weight).mT),
        (of_weight, rounded(x).mT @ rounded(gradient)),
    ]
    for ours, theirs in pairs:
        assert_near(ours.double(), theirs, half)
    torch.testing.assert_close(of_bias, gradient.sum(dim=1, keepdim=True))  # not rounded


def test_autocast_on_shared_pixels() -> None:
    x, weight, bias, _ = operands(3, 7, 20, 40, torch.float32)
    shared = x[:1].expand(3, -1, -1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(affine(shared, weight, bias), affine(shared.clone(), weight, bias))


@pytest.mark.parametrize("n_out", [10, 40])
def test_another_dtype_than_the_weights_is_refused(n_out: int) -> None:
    x, weight, bias, _ = operands(2, 7, 20, n_out, torch.float32)
    with pytest.raises(RuntimeError, match="dtype"):
        affine(x.double(), weight, bias)


@pytest.mark.parametrize("n_out", [3, 30])
def test_a_product_in_either_form(n_out: int) -> None:
    x, weight, _, _ = operands(2, 7, 20, n_out, torch.float64)
    torch.testing.assert_close(product(x, weight), x @ weight)
