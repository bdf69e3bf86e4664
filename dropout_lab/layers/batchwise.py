"""Batchwise dropout: one mask for a batch, and the dropped units are not computed at all."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, UnitDropout
from dropout_lab.layers.coins import Numbers, round_to_count, uniform
from dropout_lab.rng import Noise


class BatchwiseDropout(UnitDropout):
    r"""Keep exactly k of the d units, the same for the whole batch, and multiply them by d / k.

    .. math:: y_i = x_i \frac{d}{k} \mathbb{1}[i \in S], \qquad S \text{ uniform among the subsets
              of size } k = \operatorname{round}((1 - p) d)

    The noise has mean 1 and variance ``d/k - 1``. In a network the products run over submatrices:
    ``needed`` hands out the weights that lead to kept units and ``leaving`` those that leave them,
    so a hidden layer between two others costs ``(k/d)**2`` of its product. Evaluation leaves
    ``x`` as it is.

    Args:
        p: ``1 - k/d``, in [0, 1), the same for all runs of a fleet; rounded to that of a whole k of
            at least 1 once d is known.
        mask: No part: it is one mask for a batch.
        noise: Source of the choice; by default PyTorch's global generator. The kept of a higher p
            are among those of a lower one.

    Shape:
        ``x``: ``(*p.shape, batch, d)``. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or differs between the runs.

    Paper:
        Graham, Reizenstein, Robinson (2015), Efficient batchwise dropout training using
        submatrices, arXiv:1502.02478 [id unverified].
    """

    variant = CATALOGUE["batchwise"]

    def __init__(
        self, p: float | Tensor = 0.5, *, mask: Mask = "batch", noise: Noise | None = None
    ) -> None:
        self.units: int | None = None
        super().__init__(p, mask=mask, noise=noise)
        self.mask = "batch"
        self._chosen: Tensor | None = None  # between needed and connect
        self._of = 0  # units it was chosen from

    def begin(self, weight: Tensor, activation: str) -> None:
        """Get to know d, and round p to what it allows."""
        self.units = weight.shape[-2]
        self.p = self._asked

    def restart(self) -> None:
        """List the p of the runs."""
        self._ps: list[float] = np.asarray(self._numbers).flatten().tolist()

    def needed(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Choose the units of this batch; return what leads to them: ``(runs, any, k)``."""
        units = self.units or weight.shape[-1]
        self._chosen = self.choose(units, weight) if self.training else None
        if self._chosen is None:
            return weight, bias
        pieces = weight.shape[-1] // units  # several columns for a unit of maxout
        columns = self._chosen[..., None] * pieces + torch.arange(pieces, device=weight.device)
        columns = columns.flatten(-2)
        return _select(weight, columns, -1), _select(bias, columns, -1)

    def leaving(self, weight: Tensor) -> Tensor:
        """Return what leads on from the units of this batch: ``(runs, k, out)``."""
        return weight if self._chosen is None else _select(weight, self._chosen, -2)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry the kept units on through the weights that leave them."""
        chosen = self._chosen
        if chosen is not None:
            self._chosen = None
        if not self.training:
            return affine(x, weight, bias)
        if chosen is None:  # nobody asked what is needed: x has all its units
            chosen = self.choose(x.shape[-1], x)
            x = x if chosen is None else _select(x, chosen, -1)
        if chosen is None:
            return affine(x, weight, bias)
        if weight.shape[-2] > chosen.shape[-1]:  # nobody asked what leaves them
            weight = _select(weight, chosen, -2)
        return affine(x * (self._of / chosen.shape[-1]), weight, bias)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times d / k where it is kept, and 0 elsewhere."""
        self.placed(x)  # refuses a p whose axes do not lead those of x
        if x.ndim < self._p_axes + 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; one mask for a batch needs a batch axis, the last "
                "but one. Pass x of shape (batch, features)."
            )
        chosen = self.choose(x.shape[-1], x)
        if chosen is None:
            return x
        factor = x.new_full((), x.shape[-1] / chosen.shape[-1]).expand(chosen.shape)
        scale = x.new_zeros(*chosen.shape[:-1], x.shape[-1]).scatter(-1, chosen, factor)
        return x * scale.view(scale.shape[:-1] + (1,) * (x.ndim - scale.ndim) + scale.shape[-1:])

    def choose(self, units: int, like: Tensor) -> Tensor | None:
        """Return the indices of the kept units, rising: ``(*p.shape, k)``; none if all are."""
        p, *others = self._ps
        if any(other != p for other in others):
            raise ValueError(
                f"p is {self._asked}; batchwise dropout needs one p for all runs of a "
                "fleet, so that their submatrices have one shape."
            )
        self._of = units
        kept = max(round((1 - p) * units), 1) if units else 0
        draws = uniform(self.noise, (*self._p.shape, units), like.device)
        if kept == units:
            return None
        smallest = draws.topk(kept, largest=False, sorted=False)
        return smallest.indices.sort(dim=-1).values

    def _realized(self, p: Numbers) -> Numbers:
        return p if self.units is None else round_to_count(p, self.units)


def _select(tensor: Tensor, chosen: Tensor, dim: int) -> Tensor:
    if not runs_eagerly():
        return tensor.gather(dim, (_columns if dim == -1 else _whole_rows)(chosen, tensor))
    selected: Tensor = _Select.apply(tensor, chosen, dim)
    return selected


class _Select(torch.autograd.Function):
    """Of each run's matrix, the chosen rows (dim -2) or columns (dim -1), each at most once.

    The gradient is put in its place; autograd's own would add it up one by one. Rows are taken
    from the matrices of all runs as if they were one, whole rows at a time; to add them to zeros
    takes a quarter of the time of ``index_copy_``.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, chosen: Tensor, dim: int) -> Tensor:
        ctx.shape, ctx.dim = tensor.shape, dim
        if dim == -1:
            ctx.save_for_backward(_columns(chosen, tensor))
            return tensor.gather(-1, *ctx.to_save)
        ctx.save_for_backward(_rows(chosen, tensor))
        rows = tensor.flatten(end_dim=-2).index_select(0, *ctx.to_save)
        return rows.view(*tensor.shape[:-2], -1, tensor.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (places,) = gradients, ctx.saved_tensors
        whole = gradient.new_zeros(ctx.shape)
        if ctx.dim == -1:
            whole.scatter_(-1, places, gradient)
        else:
            whole.flatten(end_dim=-2).index_add_(0, places, gradient.flatten(end_dim=-2))
        return whole, None, None


def _columns(chosen: Tensor, like: Tensor) -> Tensor:
    """Return the columns' indices for each row of ``like``, without a copy."""
    return chosen.unsqueeze(-2).expand(*like.shape[:-1], chosen.shape[-1])


def _whole_rows(chosen: Tensor, like: Tensor) -> Tensor:
    return chosen.unsqueeze(-1).expand(*chosen.shape, like.shape[-1])


def _rows(chosen: Tensor, like: Tensor) -> Tensor:
    """Return the rows' places among those of all runs: ``(runs * k,)``."""
    if chosen.ndim == 1:
        return chosen
    first = torch.arange(len(chosen), device=chosen.device) * like.shape[-2]
    return (chosen + first.unsqueeze(-1)).flatten()
