"""Targeted dropout: what would be pruned is dropped, so that the net learns to do without it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, WeightDropout
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.layers.constants import from_numbers
from dropout_lab.rng import LANES, Noise

_ALWAYS_KEPT = -LANES // 2  # the lowest lane


class TargetedDropout(WeightDropout):
    """Base of both kinds: candidates are dropped with probability p, the rest never.

    Nothing is rescaled. Evaluation uses everything; with ``pruned`` set, it leaves all candidates
    out: the network after pruning. As long as p has always been 0 there are none.
    """

    coins = True
    prunable = True

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        share: float,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share is {share:g}; the share of candidates lies in (0, 1].")
        self.share = share
        self._aimed: Any = False  # a truth value, or nested lists of them in the shape of p
        super().__init__(p, mask=mask, noise=noise)

    def restart(self) -> None:
        """Aim at what a p above 0 names; a schedule that ends at 0 leaves it to be pruned still."""
        self._aimed = np.logical_or(self._aimed, np.asarray(self._numbers) > 0).tolist()

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the threshold of the lanes for candidates, and where they may be kept at all."""
        return keep_threshold(p), p < 1

    def _count(self, of: int) -> int:
        return int(self.share * of + 1e-9)  # 0.29 of 100 is 29, not the 28.999... it computes to

    def _aimed_at(self, like: Tensor) -> Tensor:
        return to_device(from_numbers(self._aimed, torch.bool)[..., None, None], like.device)

    def _kept(self, candidates: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Toss the coins: true where kept."""
        threshold, possible = self.placed(candidates)
        draws = self.noise.lanes(shape, candidates.device)
        return (draws >= torch.where(candidates, threshold, _ALWAYS_KEPT)) & (
            possible | ~candidates
        )


class TargetedUnitDropout(TargetedDropout):
    r"""Drop, with probability p, each unit whose incoming weights are among the smallest.

    .. math:: y_i = x_i k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p) \text{ if }
              \lVert w_i \rVert_2 \text{ is among the lowest } \lfloor \gamma d \rfloor,
              \text{ else } k_i = 1

    Args:
        p: Chance of dropping a candidate (the paper's alpha), in [0, 1], rounded to a multiple of
            1/65,536.
        share: The paper's gamma, in (0, 1].
        mask: ``element`` (a coin per example) or ``batch`` (one for the whole batch).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias, entering)``: ``(runs, batch, in)`` to ``(runs, batch, out)``;
        ``entering.weight``: ``(runs, any, in)``. Or all without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, ``share`` outside (0, 1], or ``entering`` is
            not given.

    Paper:
        Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton (2019), Learning Sparse Networks
        Using Targeted Dropout, arXiv:1905.13678. The released code tosses a coin for each weight
        of a candidate; this drops the whole unit, as the paper's text has it.
    """

    variant = CATALOGUE["targeted_unit"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x``, without what is dropped or pruned, on through the weights."""
        if not (self.training or self.pruned):
            return affine(x, weight, bias)
        if entering is None:
            raise ValueError(
                "targeted unit dropout ranks units by the weights that enter them; pass "
                "entering=Entering(weight, preactivation), to DropoutLinear or to connect."
            )
        candidates = self.candidates(entering.weight.detach())
        if not self.training:
            return affine(x * ~candidates, weight, bias)
        return affine(x * self._kept(candidates, self.noise_shape(x)), weight, bias)

    def candidates(self, entering: Tensor) -> Tensor:
        """Return which units are candidates: ``(runs, 1, units)``, from ``(runs, any, units)``."""
        norms = torch.linalg.vector_norm(entering, dim=-2, keepdim=True)
        lowest = norms.argsort(dim=-1)[..., : self._count(norms.shape[-1])]
        aimed_at = torch.ones_like(lowest, dtype=torch.bool)
        candidates = torch.zeros_like(norms, dtype=torch.bool).scatter(-1, lowest, aimed_at)
        return candidates & self._aimed_at(norms)

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the share of the units that pruning takes away: ``(runs,)``."""
        units = weight.shape[-2]
        share = weight.new_full(weight.shape[:-2], self._count(units) / units)
        return share * from_numbers(self._aimed, torch.bool).to(weight.device)


class TargetedWeightDropout(TargetedDropout):
    r"""Drop, with probability p, each weight that is among its output unit's smallest.

    .. math:: z = (W \circ M)^\top x + b, \quad M_{ij} \sim \mathrm{Bernoulli}(1 - p) \text{ if }
              |W_{ij}| \text{ is among the lowest } \lfloor \gamma d \rfloor \text{ of its column},
              \text{ else } 1

    One mask serves the whole batch, whatever ``mask`` says, as in the released code. Weights of
    equal size at the edge are candidates together.

    Args:
        p: Chance of dropping a candidate (the paper's alpha), in [0, 1], rounded to a multiple of
            1/65,536.
        share: The paper's gamma, in (0, 1].
        mask: No part.
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or ``share`` outside (0, 1].

    Paper:
        Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton (2019), Learning Sparse Networks
        Using Targeted Dropout, arXiv:1905.13678.
    """

    variant = CATALOGUE["targeted_weight"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through the weights that are neither dropped nor pruned."""
        if not (self.training or self.pruned):
            return affine(x, weight, bias)
        candidates = self.candidates(weight.detach())
        kept = self._kept(candidates, tuple(weight.shape)) if self.training else ~candidates
        return affine(x, weight * kept, bias)

    def candidates(self, weight: Tensor) -> Tensor:
        """Return which weights are candidates, in the shape of ``weight``, ``(runs, in, out)``."""
        count = self._count(weight.shape[-2])
        if count == 0:
            return torch.zeros_like(weight, dtype=torch.bool)
        sizes = weight.abs()
        edges = sizes.mT.contiguous().kthvalue(count, dim=-1).values.unsqueeze(-2)
        return (sizes <= edges) & self._aimed_at(weight)

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the share of the weights that pruning takes away: ``(runs,)``."""
        return self.candidates(weight).double().mean(dim=(-2, -1))
