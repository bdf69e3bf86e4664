"""Averages of the weights over the training, which are measured in place of the last weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from dropout_lab.config.schema import AVERAGE_DECAY, TrainingSettings


class Averages:
    r"""A mean of all weights, biases and learned noise of a fleet; nothing with ``average: none``.

    With w the weights after update t, or after epoch e of E, and a the average:

    ============ ==================================================================================
    exponential  after each update ``a <- d a + (1 - d) w`` from a = 0, divided by ``1 - d**t``,
                 d = ``average_decay``: the weights of the updates sum to 1, and the initial weights
                 are no part of it (Kingma & Ba 2015, Adam, ICLR, sec. 7.2)
    last         after each epoch, the plain mean of the weights after each of the last N =
                 ``average_epochs`` epochs up to it; before them, w (Izmailov et al. 2018, Averaging
                 Weights Leads to Wider Optima and Better Generalization, UAI)
    ============ ==================================================================================

    Both are ``a <- a + c (w - a)``: exponential with c = (1 - d) / (1 - d**t), last with
    c = 1 / max(1, e - (E - N)). Where c is 1, a is w to the bit. Polyak & Juditsky (1992),
    Acceleration of Stochastic Approximation by Averaging, SIAM J. Control Optim. 30, is where
    averages of the iterates come from. The training never sees an average.

    Args:
        settings: The section training.
        parameters: Everything that is learned, ``(runs, ...)`` each.
    """

    def __init__(
        self, settings: TrainingSettings, parameters: Sequence[torch.nn.Parameter]
    ) -> None:
        self._kind = settings.average
        self._decay = AVERAGE_DECAY if settings.average_decay is None else settings.average_decay
        self._epochs = settings.average_epochs or 1
        self._parameters = () if self._kind == "none" else tuple(parameters)
        self._last = [parameter.detach() for parameter in self._parameters]
        self._means = [torch.zeros_like(last) for last in self._last]

    def after_update(self, updates: int) -> None:
        """Take in the weights after an update.

        Args:
            updates: Updates done, at least 1.
        """
        if self._kind == "exponential":
            self._approach((1 - self._decay) / (1 - self._decay**updates))

    def after_epoch(self, epoch: int, of: int) -> None:
        """Take in the weights after an epoch.

        Args:
            epoch: Epochs done, at least 1.
            of: Epochs in all.
        """
        if self._kind == "last":
            self._approach(1 / max(1, epoch - (of - self._epochs)))

    def _approach(self, share: float) -> None:
        torch._foreach_lerp_(self._means, self._last, share)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Let the networks have the averages in place of their weights for a while."""
        try:
            for parameter, mean in zip(self._parameters, self._means, strict=True):
                parameter.data = mean
            yield
        finally:
            for parameter, last in zip(self._parameters, self._last, strict=True):
                parameter.data = last

    def keep(self) -> None:
        """Give the networks the averages for good, at the end of the training."""
        for last, mean in zip(self._last, self._means, strict=True):
            last.copy_(mean)

    def checkpoint(self, run: int) -> list[Tensor]:
        """Return what a run needs to resume."""
        return [mean[run].clone() for mean in self._means]

    def load(self, run: int, means: Sequence[Tensor]) -> None:
        """Go on from what :meth:`checkpoint` returned."""
        for mean, own in zip(self._means, means, strict=True):
            mean[run] = own
