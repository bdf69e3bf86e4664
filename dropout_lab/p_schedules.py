"""Schedules of p: the value of p for each update of the training."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dropout_lab.config.sections.dropout import DropoutSettings


class PSchedule:
    r"""Compute the p of each place and run before each update.

    With t completed updates, T updates of the complete training, c updates until ``cutoff``, and
    s = ``start_p`` (0 by default):

    ============ ==================================================================================
    constant     ``p``
    linear       ``s + (p - s) t / (T - 1)``
    cosine       ``s + (p - s) (1 - cos(pi t / (T - 1))) / 2``
    exponential  ``p (1 - exp(-g t))``, g = ``curriculum_rate``, by default 10 / T; the keep
                 probability falls from 1 towards 1 - p (Morerio et al. 2017, Curriculum Dropout,
                 ICCV; g = 0.001 in their MNIST config, 10 / T as a rule of thumb [unverified])
    annealed     ``p max(0, 1 - t / c)``, c = T without ``cutoff`` (Rennie, Goel, Thomas 2014,
                 Annealed dropout training of deep networks, IEEE SLT [formula unverified]); with
                 ``cutoff`` also the linear form of early dropout
    early        ``p`` before c, then 0 (Liu et al. 2023, Dropout Reduces Underfitting, ICML)
    late         0 before c, then ``p`` (Liu et al. 2023)
    step         ``s`` before c, then ``p``
    ============ ==================================================================================

    In the last ``stop_last`` epochs, p is 0 in every schedule. Places with p = 0 stay at 0.

    Args:
        settings: The section ``dropout``; its p is ignored.
        p: The p of each place, each of shape ``(runs,)``.
        steps: Updates per epoch.
        updates: Updates of the complete training, T.
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
        """Return the p of each place after ``update`` updates, each of shape ``(runs,)``.

        Returns an empty dict if p never changes.
        """
        if self.constant:
            return {}
        return {place: self._p(base, update) for place, base in self.base.items()}

    def _p(self, p: Tensor, t: int) -> Tensor:
        start = torch.full_like(p, self.settings.start_p or 0.0)
        progress = t / max(self.updates - 1, 1)
        zeros = torch.zeros_like(p)
        if t >= self.stop:
            return zeros
        match self.settings.schedule:
            case "constant":
                current = p
            case "linear":
                current = start + (p - start) * progress
            case "cosine":
                current = start + (p - start) * (1 - math.cos(math.pi * progress)) / 2
            case "exponential":
                rate = self.settings.curriculum_rate or 10 / self.updates
                current = p * -math.expm1(-rate * t)
            case "annealed":
                current = p * max(0.0, 1 - t / self.cutoff)
            case "early":
                current = p if t < self.cutoff else zeros
            case "late":
                current = p if t >= self.cutoff else zeros
            case "step":
                current = p if t >= self.cutoff else start
        return torch.where(p > 0, current, zeros)
