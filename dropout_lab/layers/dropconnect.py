"""DropConnect: drop weights instead of units."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import UnitInputs, WeightDropout
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.rng import Noise


class DropConnect(WeightDropout):
    r"""Zero each weight and each bias of a linear map with probability ``p``, and divide by 1 - p.

    .. math:: z = \left(\frac{M \circ W}{1 - p}\right)^{\top} x + \frac{m \circ b}{1 - p}, \qquad
              M_{ij}, m_j \sim \mathrm{Bernoulli}(1 - p)

    The division keeps the mean of the pre-activation ``z``, so evaluation uses ``W`` and ``b``
    unchanged. At a place of a network, DropConnect acts on the outgoing weights of the units, and
    on the biases of the next layer. Dropout at the same place would zero complete rows of ``W``.

    Args:
        p: Probability of dropping a weight, in [0, 1], rounded to a multiple of 1/65,536. At 1 the
            output and all gradients are 0.
        mask: ``element`` draws a weight mask for each example, as in the paper, which takes
            batch x in x out draws per step; ``batch`` draws one weight mask per batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its shape is not ``(runs,)`` or ``()``.

    Paper:
        Wan, Zeiler, Zhang, LeCun, Fergus (2013), Regularization of Neural Networks using
        DropConnect, ICML. Their p is the probability of *keeping* a weight. They do not divide in
        training. In evaluation they sample a Gaussian approximation; this layer uses the mean.
    """

    variant = CATALOGUE["dropconnect"]
    rounds_p = True

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with dropped weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        threshold, scale = self.broadcast_constants(weight)
        if self.mask == "batch":
            kept = self.noise.lanes(weight.shape, weight.device) >= threshold
            dropped = None if bias is None else bias * self._bias_mask(bias, threshold, scale, 1)
            return affine(x, weight * (kept * scale), dropped)
        z = self._product(x, weight * scale, threshold)
        if bias is None:
            return z
        return z + bias * self._bias_mask(bias, threshold, scale, x.shape[-2])

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x W + b`` and ``p / (1 - p) (x^2 W^2 + b^2)``."""
        _, scale = self.broadcast_constants(weight)
        odds = (scale - 1).clamp_min(0)  # 1 / (1 - p) - 1, but 0 at p = 1
        return affine(x, weight, bias), odds * affine(x * x, weight * weight, bias * bias)

    def _product(self, x: Tensor, weight: Tensor, threshold: Tensor) -> Tensor:
        """Return ``x[b] @ (weight * kept[b])``, with a mask for each example b."""
        if runs_eagerly():
            product: Tensor = _PerExampleProduct.apply(x, weight, threshold, self.noise)
            return product
        draws = self.noise.lanes((*x.shape, weight.shape[-1]), x.device)
        kept = draws >= threshold.unsqueeze(-1)
        return (x.unsqueeze(-2) @ (weight.unsqueeze(-3) * kept)).squeeze(-2).to(x.dtype)

    def _bias_mask(self, bias: Tensor, threshold: Tensor, scale: Tensor, examples: int) -> Tensor:
        """Draw the mask of the biases for each of ``examples`` examples."""
        shape = (*bias.shape[:-2], examples, bias.shape[-1])
        return (self.noise.lanes(shape, bias.device) >= threshold) * scale

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold and the factor of a kept weight."""
        return keep_threshold(p), (p < 1) / (1 - p).where(p < 1, 1.0)


class _PerExampleProduct(torch.autograd.Function):
    """The product ``z[b] = x[b] @ (weight * kept[b])``, with a mask for each example b.

    Autograd would keep a masked copy of the weights for each example. This function keeps one byte
    for each weight and example.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, threshold: Tensor, noise: Noise) -> Tensor:
        masks = []
        z = x.new_empty(*x.shape[:-1], weight.shape[-1])
        masked = torch.empty_like(weight)  # reused by all examples, to save memory
        for example, row in enumerate(_rows(x)):
            kept = noise.lanes(weight.shape, weight.device) >= threshold
            z[..., example : example + 1, :] = row @ torch.mul(weight, kept, out=masked)
            masks.append(kept)
        ctx.save_for_backward(x, weight, *masks)
        return z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dz,) = gradients
        x, weight, *masks = ctx.saved_tensors
        if torch.is_grad_enabled() and masks:  # double backward
            kept = torch.stack(masks, dim=-3)
            slopes = dz.unsqueeze(-2) * kept
            dx = (slopes * weight.unsqueeze(-3)).sum(dim=-1)
            return dx, (slopes * x.unsqueeze(-1)).sum(dim=-3), None, None
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dweight, slopes = torch.zeros_like(weight), torch.empty_like(weight)
        for example, (row, slope, kept) in enumerate(zip(_rows(x), _rows(dz), masks, strict=True)):
            torch.mul(slope, kept, out=slopes)  # (runs, in, out)
            dweight.addcmul_(row.mT, slopes)
            if dx is not None:
                dx[..., example : example + 1, :] = slopes.mul_(weight).sum(dim=-1).unsqueeze(-2)
        return dx, dweight, None, None


def _rows(x: Tensor) -> Sequence[Tensor]:
    """Split ``(..., batch, features)`` into its examples, each ``(..., 1, features)``."""
    rows: Sequence[Tensor] = x.split(1, dim=-2) if x.shape[-2] else ()
    return rows
