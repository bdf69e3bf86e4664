"""Schedules of learning rate and momentum: their values for each update of the training."""

import math
from typing import NamedTuple

from dropout_lab.config.sections.training import (
    ONE_CYCLE_END,
    ONE_CYCLE_PEAK,
    ONE_CYCLE_START,
    TrainingSettings,
)


class StepHyperparameters(NamedTuple):
    """The scheduled hyperparameters of one update.

    Args:
        update: Updates completed before this update.
        factor: Factor of each run's learning rate.
        momentum: Momentum of SGD.
    """

    update: int
    factor: float
    momentum: float


class OptimizerSchedule:
    r"""Compute the factor of the learning rate and the momentum for each update.

    With t completed updates and e completed epochs, the factor is (Hinton et al. 2012:
    arXiv:1207.0580)

    ============ ==================================================================================
    constant     1
    exponential  ``d ** e``, d = ``learning_rate_decay`` (Hinton et al. 2012: 0.998)
    inverse_time ``1 / (1 + t / T)``, T = ``learning_rate_updates`` (deepnet, the code of Srivastava
                 et al. 2014: 10,000)
    steps        the ``learning_rate_factors`` value of the step that contains e, with step lengths
                 ``learning_rate_steps``; the last step never ends (Wan et al. 2013, DropConnect,
                 ICML: "600-400-20" is steps 600, 400, 400, 20, 20, 20, 20 and factors 1, 0.5, 0.1,
                 0.05, 0.01, 0.005, 0.001 [unverified])
    linear       from 1 at the start of ``learning_rate_span``, by default the first update, to
                 ``learning_rate_end`` at its end, by default 0 after the last update; constant
                 before and after the span (Molchanov et al. 2017, ICML: from epoch 100 to 200)
    cosine       from 1 to ``learning_rate_end`` over the same span along half a cosine: with u the
                 completed fraction of the span and f = ``learning_rate_end``,
                 ``f + (1 - f) (1 + cos(pi u)) / 2`` (Loshchilov and Hutter 2017, SGDR, ICLR:
                 arXiv:1608.03983, without restarts)
    one_cycle    rises from s = ``learning_rate_start`` at t = 0 to 1 at t = r, then falls to f =
                 ``learning_rate_end`` at the last update, t = T - 1. With T updates of the complete
                 training and ``r = learning_rate_peak T - 1``, which may be fractional:
                 ``1 + (s - 1) (1 + cos(pi t / r)) / 2`` up to r, then
                 ``f + (1 - f) (1 + cos(pi (t - r) / (T - 1 - r))) / 2`` (Smith and Topin 2019,
                 Super-Convergence: arXiv:1708.07120; same as torch.optim.lr_scheduler.OneCycleLR by
                 default with s = 1 / ``div_factor``; the momentum does not change)
    ============ ==================================================================================

    times ``min(1, (t + 1) / (warmup * steps))``, with ``warmup`` in epochs and ``steps`` updates
    per epoch (Goyal et al. 2017: arXiv:1706.02677, 5 epochs). The momentum is, with m =
    ``momentum`` and s = ``start_momentum``,

    ============ ==================================================================================
    constant     ``m``
    linear       ``s + (m - s) min(1, e / E)``, E = ``momentum_epochs`` (Hinton et al. 2012: 0.5 to
                 0.99 over 500 epochs)
    exponential  ``m - (m - s) exp(-t / T)``, T = ``momentum_updates`` (deepnet's config of the
                 MNIST net: 0.5 to 0.99, T = 100,000)
    ============ ==================================================================================

    Args:
        settings: The section ``training``.
        steps: Updates per epoch.
        updates: Updates of the complete training.
    """

    def __init__(self, settings: TrainingSettings, steps: int, updates: int) -> None:
        self.settings = settings
        self.steps = steps
        self.updates = updates
        first, last = settings.learning_rate_span or (0, None)
        self.begin = first * steps
        self.end = updates if last is None else last * steps

    def at(self, update: int) -> StepHyperparameters:
        """Return the hyperparameters for the update after ``update`` completed updates."""
        factor = self._warmup_factor(update) * self._schedule_factor(update)
        return StepHyperparameters(update, factor, self._momentum(update))

    def _warmup_factor(self, t: int) -> float:
        warmup = self.settings.warmup * self.steps
        return 1.0 if t + 1 >= warmup else (t + 1) / warmup

    def _schedule_factor(self, t: int) -> float:
        settings, epoch = self.settings, t // self.steps
        match settings.learning_rate_schedule:
            case "constant":
                return 1.0
            case "exponential":
                return float((settings.learning_rate_decay or 1.0) ** epoch)
            case "inverse_time":
                return 1 / (1 + t / (settings.learning_rate_updates or math.inf))
            case "steps":
                steps, factors = settings.learning_rate_steps, settings.learning_rate_factors
                return _step_factor(epoch, steps or (1,), factors or (1.0,))
            case "linear":
                return 1 + ((settings.learning_rate_end or 0.0) - 1) * self._span_fraction(t)
            case "cosine":
                return _half_cosine(1.0, settings.learning_rate_end or 0.0, self._span_fraction(t))
            case "one_cycle":
                return self._one_cycle(t)

    def _span_fraction(self, t: int) -> float:
        """Return the completed fraction of ``learning_rate_span``."""
        return min(max((t - self.begin) / (self.end - self.begin), 0.0), 1.0)

    def _one_cycle(self, t: int) -> float:
        settings = self.settings
        end = ONE_CYCLE_END if settings.learning_rate_end is None else settings.learning_rate_end
        peak = (settings.learning_rate_peak or ONE_CYCLE_PEAK) * self.updates - 1
        if t <= peak:
            return _half_cosine(settings.learning_rate_start or ONE_CYCLE_START, 1.0, t / peak)
        return _half_cosine(1.0, end, (t - peak) / (self.updates - 1 - peak))

    def _momentum(self, t: int) -> float:
        settings, epoch = self.settings, t // self.steps
        momentum, start = settings.momentum, settings.start_momentum or 0.0
        match settings.momentum_schedule:
            case "constant":
                return momentum
            case "linear":
                fraction = min(epoch / (settings.momentum_epochs or 1), 1.0)
                return start + (momentum - start) * fraction
            case "exponential":
                return momentum - (momentum - start) * math.exp(
                    -t / (settings.momentum_updates or 1)
                )


def _half_cosine(start: float, end: float, fraction: float) -> float:
    """Interpolate from start to end along half a cosine; ``fraction`` is in [0, 1]."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def _step_factor(epoch: int, lengths: tuple[int, ...], factors: tuple[float, ...]) -> float:
    """Return the factor of the step that contains the epoch; after all steps, the last factor."""
    for length, factor in zip(lengths, factors, strict=True):
        epoch -= length
        if epoch < 0:
            return factor
    return factors[-1]
