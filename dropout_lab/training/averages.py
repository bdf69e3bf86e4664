"""Average the weights over the course of training, for evaluation in place of the last weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from dropout_lab.config.sections.training import AVERAGE_DECAY, TrainingSettings


class WeightAverages:
    r"""Running average of all parameters of a fleet; does nothing with ``average: none``.

    With w the weights after update t, or after epoch e of E, and a the average:

    ============ ==================================================================================
    exponential  after each update ``a <- d a + (1 - d) w`` from a = 0, divided by ``1 - d**t``,
                 d = ``average_decay``: the coefficients of the updates sum to 1, and the initial
                 weights have none (Kingma & Ba 2015, Adam, ICLR, sec. 7.2)
    last         after each of the last N = ``average_epochs`` epochs, the mean of the weights after
                 those of them that are completed; before them, w (Izmailov et al. 2018, Averaging
                 Weights Leads to Wider Optima and Better Generalization, UAI)
    ============ ==================================================================================

    Both are ``a <- a + c (w - a)``: exponential with c = (1 - d) / (1 - d**t), last with
    c = 1 / max(1, e - (E - N)). Where c is 1, a and w are bit-identical. Averages of the iterates
    are due to Polyak & Juditsky (1992), Acceleration of Stochastic Approximation by Averaging, SIAM
    J. Control Optim. 30. Training always continues from w, never from a.

    Args:
        settings: The section ``training`` of the config.
        parameters: All learned parameters, ``(runs, ...)`` each.
    """

    def __init__(
        self, settings: TrainingSettings, parameters: Sequence[torch.nn.Parameter]
    ) -> None:
        self._kind = settings.average
        self._decay = AVERAGE_DECAY if settings.average_decay is None else settings.average_decay
        self._epochs = settings.average_epochs or 1
        self._parameters = () if self._kind == "none" else tuple(parameters)
        self._weights = [parameter.detach() for parameter in self._parameters]
        self._averages = [torch.zeros_like(weight) for weight in self._weights]

    def after_update(self, updates: int) -> None:
        """Update the exponential average after an optimizer step.

        Args:
            updates: Updates completed, at least 1.
        """
        if self._kind == "exponential":
            self._move_towards_weights((1 - self._decay) / (1 - self._decay**updates))

    def after_epoch(self, epoch: int, epochs: int) -> None:
        """Update the average over the last epochs after an epoch.

        Args:
            epoch: Epochs completed, at least 1.
            epochs: Epochs of the complete training.
        """
        if self._kind == "last":
            self._move_towards_weights(1 / max(1, epoch - (epochs - self._epochs)))

    def _move_towards_weights(self, fraction: float) -> None:
        torch._foreach_lerp_(self._averages, self._weights, fraction)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Replace the weights by their averages inside a ``with`` block."""
        try:
            for parameter, average in zip(self._parameters, self._averages, strict=True):
                parameter.data = average
            yield
        finally:
            for parameter, weight in zip(self._parameters, self._weights, strict=True):
                parameter.data = weight

    def copy_to_parameters(self) -> None:
        """Replace the weights by their averages permanently, at the end of training."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.copy_(average)

    def run_state(self, run: int) -> list[Tensor]:
        """Return the averages of one run, for its checkpoint."""
        return [average[run].clone() for average in self._averages]

    def load_run_state(self, run: int, averages: Sequence[Tensor]) -> None:
        """Restore one run from what :meth:`run_state` returned."""
        for average, saved in zip(self._averages, averages, strict=True):
            average[run] = saved
