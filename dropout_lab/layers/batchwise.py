"""Batchwise dropout: one mask for a batch, and no computation for dropped units."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitDropout, UnitInputs
from dropout_lab.layers.coins import Numbers, round_to_count, uniform_draws
from dropout_lab.rng import Noise


class BatchwiseDropout(UnitDropout):
    r"""Keep exactly k of the d units for a batch, and multiply them by d / k.

    .. math:: y_i = x_i \frac{d}{k} \mathbb{1}[i \in S], \qquad S \text{ uniform among the subsets
              of size } k = \operatorname{round}((1 - p) d)

    The noise has mean 1 and variance ``d/k - 1``. A network multiplies only submatrices of the
    kept units: :meth:`select_incoming` and :meth:`select_outgoing` return their weights. So the
    product between two hidden layers takes ``(k/d)**2`` of its operations. In evaluation the output
    is ``x``.

    Args:
        p: ``1 - k/d``, in [0, 1), the same for all runs of a fleet. :meth:`setup` rounds it to an
            integer k of at least 1.
        mask: Ignored; there is always one mask for a batch.
        noise: Source of the random draws; by default PyTorch's global generator. With the same
            draws, the units that are kept at some p are kept at every lower p.

    Shape:
        ``x``: ``(*p.shape, batch, d)``. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or differs between the runs.

    Paper:
        Graham, Reizenstein, Robinson (2015), Efficient batchwise dropout training using
        submatrices, arXiv:1502.02478 [id unverified]. Ko, Kim, Choi, Kim (2017) call it controlled
        dropout [unverified].
    """

    variant = CATALOGUE["batchwise"]

    def __init__(
        self, p: float | Tensor = 0.5, *, mask: Mask = "batch", noise: Noise | None = None
    ) -> None:
        self.units: int | None = None
        super().__init__(p, mask=mask, noise=noise)
        self.mask = "batch"
        self._kept: Tensor | None = None  # kept units, from select_incoming until connect
        self._total = 0  # number of units from which they were chosen

    def setup(self, weight: Tensor, activation: str) -> None:
        """Set the number of units, and round p to a realizable value."""
        self.units = weight.shape[-2]
        self.p = self._given_p

    def on_p_set(self) -> None:
        """Store the p of the runs as a list."""
        self._ps: list[float] = np.asarray(self._p_values).flatten().tolist()

    def select_incoming(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Choose the kept units of this batch, and return their weights, ``(runs, any, k)``."""
        units = self.units or weight.shape[-1]
        self._kept = self.choose_units(units, weight) if self.training else None
        if self._kept is None:
            return weight, bias
        pieces = weight.shape[-1] // units  # a maxout unit has several columns
        columns = self._kept[..., None] * pieces + torch.arange(pieces, device=weight.device)
        columns = columns.flatten(-2)
        return _select(weight, columns, -1), _select(bias, columns, -1)

    def select_outgoing(self, weight: Tensor) -> Tensor:
        """Return the outgoing weights of the kept units, ``(runs, k, out)``."""
        return weight if self._kept is None else _select(weight, self._kept, -2)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to the kept units."""
        kept = self._kept
        if kept is not None:
            self._kept = None
        if not self.training:
            return affine(x, weight, bias)
        if kept is None:  # select_incoming was not called, so x has all units
            kept = self.choose_units(x.shape[-1], x)
            x = x if kept is None else _select(x, kept, -1)
        if kept is None:
            return affine(x, weight, bias)
        if weight.shape[-2] > kept.shape[-1]:  # select_outgoing was not called
            weight = _select(weight, kept, -2)
        return affine(x * (self._total / kept.shape[-1]), weight, bias)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times d / k for kept units, and 0 for dropped units."""
        self.broadcast_constants(x)  # checks that the axes of p are the leading axes of x
        if x.ndim < self._p_axes + 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; one mask for a batch needs a batch axis, the last "
                "but one. Pass x of shape (batch, features)."
            )
        kept = self.choose_units(x.shape[-1], x)
        if kept is None:
            return x
        factor = x.new_full((), x.shape[-1] / kept.shape[-1]).expand(kept.shape)
        scale = x.new_zeros(*kept.shape[:-1], x.shape[-1]).scatter(-1, kept, factor)
        return x * scale.view(scale.shape[:-1] + (1,) * (x.ndim - scale.ndim) + scale.shape[-1:])

    def choose_units(self, units: int, like: Tensor) -> Tensor | None:
        """Draw the indices of the kept units.

        Args:
            units: Number of units, d.
            like: A tensor on the device of the result.

        Returns:
            Increasing indices, ``(*p.shape, k)``; None if all units are kept.
        """
        p, *others = self._ps
        if any(other != p for other in others):
            raise ValueError(
                f"p is {self._given_p}; batchwise dropout needs one p for all runs of a "
                "fleet, so that their submatrices have one shape."
            )
        self._total = units
        count = max(round((1 - p) * units), 1) if units else 0
        draws = uniform_draws(self.noise, (*self._p.shape, units), like.device)
        if count == units:
            return None
        smallest = draws.topk(count, largest=False, sorted=False)
        return smallest.indices.sort(dim=-1).values

    def _round_p(self, p: Numbers) -> Numbers:
        return p if self.units is None else round_to_count(p, self.units)


def _select(tensor: Tensor, indices: Tensor, dim: int) -> Tensor:
    """Return rows (dim -2) or columns (dim -1) of the matrix of each run."""
    if not runs_eagerly():
        expand = _expand_to_rows if dim == -1 else _expand_to_columns
        return tensor.gather(dim, expand(indices, tensor))
    selected: Tensor = _Select.apply(tensor, indices, dim)
    return selected


class _Select(torch.autograd.Function):
    """Distinct rows (dim -2) or columns (dim -1) of the matrix of each run.

    Each index occurs at most once. So backward writes the gradient to its indices, while autograd
    would add its elements one by one. Rows are selected from the matrices of all runs at once, and
    are added to zeros in backward, which takes a quarter of the time of ``index_copy_``.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, indices: Tensor, dim: int) -> Tensor:
        ctx.shape, ctx.dim = tensor.shape, dim
        if dim == -1:
            ctx.save_for_backward(_expand_to_rows(indices, tensor))
            return tensor.gather(-1, *ctx.to_save)
        ctx.save_for_backward(_flat_row_indices(indices, tensor))
        rows = tensor.flatten(end_dim=-2).index_select(0, *ctx.to_save)
        return rows.view(*tensor.shape[:-2], -1, tensor.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (indices,) = gradients, ctx.saved_tensors
        result = gradient.new_zeros(ctx.shape)
        if ctx.dim == -1:
            result.scatter_(-1, indices, gradient)
        else:
            result.flatten(end_dim=-2).index_add_(0, indices, gradient.flatten(end_dim=-2))
        return result, None, None


def _expand_to_rows(indices: Tensor, matrix: Tensor) -> Tensor:
    """Repeat column indices for each row of ``matrix``, without a copy."""
    return indices.unsqueeze(-2).expand(*matrix.shape[:-1], indices.shape[-1])


def _expand_to_columns(indices: Tensor, matrix: Tensor) -> Tensor:
    """Repeat row indices for each column of ``matrix``, without a copy."""
    return indices.unsqueeze(-1).expand(*indices.shape, matrix.shape[-1])


def _flat_row_indices(indices: Tensor, matrix: Tensor) -> Tensor:
    """Convert row indices of each run to row indices of all runs together, ``(runs * k,)``."""
    if indices.ndim == 1:
        return indices
    first = torch.arange(len(indices), device=indices.device) * matrix.shape[-2]
    return (indices + first.unsqueeze(-1)).flatten()
