"""How p changes during training, from update to update."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dropout_lab.config.schema import DropoutSettings


class Schedule:
    r"""The p of each place and run before each update, from the p of the settings.

    With t the updates done, T those of the whole training, c the updates up to ``cutoff`` and
    s ``start_p`` (0 by default):

    ============ ==================================================================================
    constant     ``p``
    linear       ``s + (p - s) t / (T - 1)``
    cosine       ``s + (p - s) (1 - cos(pi t / (T - 1))) / 2``
    exponential  ``p (1 - exp(-g t))``, g = ``curriculum_rate``, by default 10 / T; the chance of
                 keeping falls from 1 towards 1 - p (Morerio et al. 2017, Curriculum Dropout, ICCV;
                 g = 0.001 in their MNIST config, 10 / T as a rule of thumb [unverified])
    annealed     ``p max(0, 1 - t / c)``, c = T without ``cutoff`` (Rennie, Goel, Thomas 2014,
                 Annealed dropout training of deep networks, IEEE SLT [formula unverified]); with
                 ``cutoff`` it is also the linear form of early dropout
    early        ``p`` before c, then 0 (Liu et al. 2023, Dropout Reduces Underfitting, ICML)
    late         0 before c, then ``p`` (Liu et al. 2023)
    step         ``s`` before c, then ``p``
    ============ ==================================================================================

    In the last ``stop_last`` epochs p is 0 whatever the schedule. Places with p = 0 stay at 0.

    Args:
        settings: The section dropout, whose p is not looked at.
        p: The p of each place, each of shape ``(runs,)``.
        steps: Updates in an epoch.
        updates: Updates in all, T.
    """

    def __init__(
        self, settings: DropoutSettings, p: Mapping[int, Tensor], steps: int, updates: int
    ) -> None:
        self.settings = settings
        self.base = dict(p)
        self.updates = updates
        self.cutoff = settings.cutoff * steps if settings.cutoff is not None else updates
        epochs = math.ceil(updates / steps)
        self.stop = (epochs - settings.stop_last) * steps
        self.constant = settings.schedule == "constant" and settings.stop_last == 0

    def at(self, update: int) -> dict[int, Tensor]:
        """Return the p of each place when so many updates are done, each of shape ``(runs,)``.

        Nothing is returned where p never changes.
        """
        if self.constant:
            return {}
        return {place: self._p(base, update) for place, base in self.base.items()}

    def _p(self, p: Tensor, t: int) -> Tensor:
        start = torch.full_like(p, self.settings.start_p or 0.0)
        share = t / max(self.updates - 1, 1)
        nothing = torch.zeros_like(p)
        if t >= self.stop:
            return nothing
        match self.settings.schedule:
            case "constant":
                now = p
            case "linear":
                now = start + (p - start) * share
            case "cosine":
                now = start + (p - start) * (1 - math.cos(math.pi * share)) / 2
            case "exponential":
                rate = self.settings.curriculum_rate or 10 / self.updates
                now = p * -math.expm1(-rate * t)
            case "annealed":
                now = p * max(0.0, 1 - t / self.cutoff)
            case "early":
                now = p if t < self.cutoff else nothing
            case "late":
                now = p if t >= self.cutoff else nothing
            case "step":
                now = p if t >= self.cutoff else start
        return torch.where(p > 0, now, nothing)
