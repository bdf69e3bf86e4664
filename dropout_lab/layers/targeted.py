"""Targeted dropout: drop the units or weights that pruning would remove."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, WeightDropout
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.layers.constants import cpu_tensor
from dropout_lab.rng import LANES, Noise

_ALWAYS_KEPT = -LANES // 2  # the lowest lane


class TargetedDropout(WeightDropout):
    """Base class of targeted unit and weight dropout: drop only candidates, with probability p.

    There is no scaling. Evaluation uses all units and weights; if ``pruned`` is set, it removes all
    candidates. A run has no candidates until its p has been above 0.
    """

    rounds_p = True
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
        self._was_positive: Any = False  # a bool, or nested lists of bools in the shape of p
        super().__init__(p, mask=mask, noise=noise)

    def on_p_set(self) -> None:
        """Remember the runs with a p above 0. They keep their candidates if p returns to 0."""
        positive = np.asarray(self._p_values) > 0
        self._was_positive = np.logical_or(self._was_positive, positive).tolist()

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold of candidates, and whether any candidate can be kept."""
        return keep_threshold(p), p < 1

    def _candidate_count(self, total: int) -> int:
        """Return the number of candidates among ``total`` units or weights."""
        return int(self.share * total + 1e-9)  # 0.29 * 100 is 28.999... in floating point

    def _has_candidates(self, like: Tensor) -> Tensor:
        """Return which runs have candidates, ``(runs, 1, 1)``, on the device of ``like``."""
        return to_device(cpu_tensor(self._was_positive, torch.bool)[..., None, None], like.device)

    def _keep_mask(self, candidates: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw a mask that is true for all units or weights except dropped candidates."""
        threshold, possible = self.broadcast_constants(candidates)
        draws = self.noise.lanes(shape, candidates.device)
        return (draws >= torch.where(candidates, threshold, _ALWAYS_KEPT)) & (
            possible | ~candidates
        )


class TargetedUnitDropout(TargetedDropout):
    r"""Drop the units with the smallest incoming weights, each with probability p.

    .. math:: y_i = x_i k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p) \text{ if }
              \lVert w_i \rVert_2 \text{ is among the lowest } \lfloor \gamma d \rfloor,
              \text{ else } k_i = 1

    Args:
        p: Probability of dropping a candidate (the paper's alpha), in [0, 1], rounded to a multiple
            of 1/65,536.
        share: Fraction of the units that are candidates (the paper's gamma), in (0, 1].
        mask: ``element`` draws for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``entering.weight``: ``(runs, any, in)``. Output:
        ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, ``share`` outside (0, 1], or ``entering`` is
            not given.

    Paper:
        Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton (2019), Learning Sparse Networks
        Using Targeted Dropout, arXiv:1905.13678. The released code draws for each weight of a
        candidate. This layer drops complete units, as the text of the paper says.
    """

    variant = CATALOGUE["targeted_unit"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, without dropped or pruned units."""
        if not (self.training or self.pruned):
            return affine(x, weight, bias)
        if entering is None:
            raise ValueError(
                "targeted unit dropout ranks units by their incoming weights; pass "
                "entering=UnitInputs(weight, preactivation), to DropoutLinear or to connect."
            )
        candidates = self.candidates(entering.weight.detach())
        if not self.training:
            return affine(x * ~candidates, weight, bias)
        return affine(x * self._keep_mask(candidates, self.noise_shape(x)), weight, bias)

    def candidates(self, incoming: Tensor) -> Tensor:
        """Return which units are candidates, given their incoming weights.

        Shape:
            ``incoming``: ``(runs, any, units)``. Output: ``(runs, 1, units)``.
        """
        norms = torch.linalg.vector_norm(incoming, dim=-2, keepdim=True)
        lowest = norms.argsort(dim=-1)[..., : self._candidate_count(norms.shape[-1])]
        true = torch.ones_like(lowest, dtype=torch.bool)
        candidates = torch.zeros_like(norms, dtype=torch.bool).scatter(-1, lowest, true)
        return candidates & self._has_candidates(norms)

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the fraction of the units that pruning removes, ``(runs,)``."""
        units = weight.shape[-2]
        fraction = weight.new_full(weight.shape[:-2], self._candidate_count(units) / units)
        return fraction * cpu_tensor(self._was_positive, torch.bool).to(weight.device)


class TargetedWeightDropout(TargetedDropout):
    r"""Drop the smallest weights of each output unit, each with probability p.

    .. math:: z = (W \circ M)^\top x + b, \quad M_{ij} \sim \mathrm{Bernoulli}(1 - p) \text{ if }
              |W_{ij}| \text{ is among the lowest } \lfloor \gamma d \rfloor \text{ of its column},
              \text{ else } 1

    All examples of a batch share one mask, as in the released code. If several weights have the
    size of the largest candidate, all of them are candidates.

    Args:
        p: Probability of dropping a candidate (the paper's alpha), in [0, 1], rounded to a multiple
            of 1/65,536.
        share: Fraction of the weights that are candidates (the paper's gamma), in (0, 1].
        mask: Ignored.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or ``share`` outside (0, 1].

    Paper:
        Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton (2019), Learning Sparse Networks
        Using Targeted Dropout, arXiv:1905.13678.
    """

    variant = CATALOGUE["targeted_weight"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, without dropped or pruned weights."""
        if not (self.training or self.pruned):
            return affine(x, weight, bias)
        candidates = self.candidates(weight.detach())
        shape = tuple(weight.shape)
        kept = self._keep_mask(candidates, shape) if self.training else ~candidates
        return affine(x, weight * kept, bias)

    def candidates(self, weight: Tensor) -> Tensor:
        """Return which weights are candidates, in the shape of ``weight``, ``(runs, in, out)``."""
        count = self._candidate_count(weight.shape[-2])
        if count == 0:
            return torch.zeros_like(weight, dtype=torch.bool)
        sizes = weight.abs()
        edges = sizes.mT.contiguous().kthvalue(count, dim=-1).values.unsqueeze(-2)
        return (sizes <= edges) & self._has_candidates(weight)

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the fraction of the weights that pruning removes, ``(runs,)``."""
        return self.candidates(weight).double().mean(dim=(-2, -1))
