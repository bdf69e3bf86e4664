"""Masksembles: draw the mask of each example from a few fixed masks."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly, to_device
from dropout_lab.layers.base import Mask, UnitDropout
from dropout_lab.layers.coins import Numbers, round_to_count
from dropout_lab.layers.constants import is_reusable
from dropout_lab.rng import LANES, Noise
from dropout_lab.rng.philox import WORDS, philox

_KEY = 2021  # of the random numbers that order the units
_ALL_WORDS = 2**32  # more than two words are apart


class Masksembles(UnitDropout):
    r"""Multiply the units of each example by one of n fixed masks, drawn at random.

    .. math:: y_i = x_i m_{ji}, \qquad j \sim U\{1, \dots, n\}, \quad \sum_i m_{ji} = k =
              \operatorname{round}((1 - p) d)

    A mask keeps exactly k of the d units. There is no scaling. In evaluation the output is
    ``x q``, where q is the share of the masks that keep a unit. So evaluation is the mean of
    training. For the paper's mean over the predictions, use ``evaluation.inference: monte_carlo``,
    which draws masks.

    Each unit is kept by at least one mask if ``p <= 1 - 1/n``. To that end, a mask keeps the d / n
    units that belong to it, and k - d / n of the other units at random. The paper instead draws
    masks and removes the units that no mask keeps. In both, a unit is kept by n (1 - p) masks on
    average. The paper's scale S follows from ``1 - p = 1 / (S (1 - (1 - 1/S)**n))``: p = 0 is S =
    1, equal masks, and p = 1 - 1/n is S = infinity, separate masks.

    The masks depend only on n, d and p. So all runs have the same masks. Units of a hidden layer
    are exchangeable before training, so it does not matter which of them a mask keeps.

    Args:
        p: ``1 - k/d``, in [0, 1). :meth:`setup` rounds it to an integer k of at least 1.
        masks: Number of masks, n, in [1, 65536]. The paper's examples have 4.
        mask: ``element`` draws a mask for each example, ``batch`` for the batch. The paper gives
            the first mask to the first nth of a batch, and so on.
        noise: Source of the random draws, of 16 bits; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ..., d)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its axes are not the leading axes of ``x``, or
            ``masks`` is outside its range.

    Paper:
        Durasov, Bagautdinov, Baque, Fua (2021), Masksembles for Uncertainty Estimation, CVPR. That
        they neither scale in training nor in evaluation is [unverified].
    """

    variant = CATALOGUE["masksembles"]

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        masks: int = 4,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        if not 1 <= masks <= LANES:
            raise ValueError(f"masks is {masks}; it must be a number from 1 to {LANES}.")
        self.masks = masks
        self.units: int | None = None
        self._ranks_cache: dict[tuple[int, torch.device], Tensor] = {}
        super().__init__(p, mask=mask, noise=noise)

    def __getstate__(self) -> dict[str, object]:
        """Return the state for copies and pickles, without caches."""
        return super().__getstate__() | {"_ranks_cache": {}}

    def setup(self, weight: Tensor, activation: str) -> None:
        """Set the number of units, and round p to a realizable value."""
        self.units = weight.shape[-2]
        self.p = self._given_p

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the drawn masks."""
        self.broadcast_constants(x)  # checks that the axes of p are the leading axes of x
        shape = self.noise_shape(x)
        if x.ndim == self._p_axes:
            return x  # a single unit is always kept
        lanes = self.noise.lanes(shape[:-1], x.device)
        drawn = (lanes.long() + LANES // 2) * self.masks // LANES
        return x * (self.ranks(x)[drawn] < self._kept(x)).to(x.dtype)

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the share of the masks that keep each unit."""
        self.broadcast_constants(x)
        if x.ndim == self._p_axes:
            return x
        kept = self._kept(x).unsqueeze(-1)  # (*p.shape, 1, ..., 1)
        shares = (self.ranks(x) < kept).to(x.dtype).mean(dim=-2)
        return x * shares

    def ranks(self, x: Tensor) -> Tensor:
        """Return the rank of each unit in each mask, ``(n, d)``; a mask keeps the k lowest."""
        key = (x.shape[-1], x.device)
        eager = runs_eagerly()
        if eager and key in self._ranks_cache:
            return self._ranks_cache[key]
        ranks = unit_ranks(self.masks, *key)
        if eager and is_reusable(ranks):
            self._ranks_cache[key] = ranks
        return ranks

    def _kept(self, x: Tensor) -> Tensor:
        """Return the number of kept units, k, in a shape that broadcasts with ``x``."""
        kept = ((1 - self._p) * x.shape[-1]).round().clamp(min=1).int()
        return to_device(kept.view(kept.shape + (1,) * (x.ndim - kept.ndim)), x.device)

    def _round_p(self, p: Numbers) -> Numbers:
        return p if self.units is None else round_to_count(p, self.units)


def unit_ranks(masks: int, units: int, device: torch.device) -> Tensor:
    """Return an order of the units for each mask, the same in each call: ``(masks, units)``.

    The units that belong to a mask have its lowest ranks. Every unit belongs to one mask.
    """
    keys = torch.arange(masks + 1, device=device) + _KEY
    words = philox(keys, 0, -(-units // WORDS)).flatten(1)[:, :units].long()
    belongs = _rank(words[-1]) % masks
    own = belongs == torch.arange(masks, device=device).unsqueeze(-1)  # (masks, units)
    return _rank(words[:-1] - own * _ALL_WORDS).int()


def _rank(numbers: Tensor) -> Tensor:
    """Return the rank of each number along the last axis, from 0."""
    return numbers.argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)
