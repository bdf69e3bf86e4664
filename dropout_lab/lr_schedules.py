"""How learning rate and momentum change during training, from update to update."""

import math
from typing import NamedTuple

from dropout_lab.config.schema import (
    ONE_CYCLE_END,
    ONE_CYCLE_PEAK,
    ONE_CYCLE_START,
    TrainingSettings,
)


class Rate(NamedTuple):
    """What is in force in one update.

    Args:
        update: Updates done before it.
        factor: Of each run's learning rate.
        momentum: Of sgd.
    """

    update: int
    factor: float
    momentum: float


class Rates:
    r"""The factor of the learning rate and the momentum before each update, from the settings.

    With t the updates done and e the epochs done, the factor is (Hinton et al. 2012:
    arXiv:1207.0580)

    ============ ==================================================================================
    constant     1
    exponential  ``d ** e``, d = ``learning_rate_decay`` (Hinton et al. 2012: 0.998)
    inverse_time ``1 / (1 + t / T)``, T = ``learning_rate_updates`` (deepnet, the code of Srivastava
                 et al. 2014: 10,000)
    steps        that of the step e lies in, of ``learning_rate_steps`` and
                 ``learning_rate_factors``; the last step goes on (Wan et al. 2013, DropConnect,
                 ICML: "600-400-20" is steps 600, 400, 400, 20, 20, 20, 20 and factors 1, 0.5, 0.1,
                 0.05, 0.01, 0.005, 0.001 [unverified])
    linear       from 1 at the start of ``learning_rate_span``, by default the first update, to
                 ``learning_rate_end`` at its end, by default 0 after the last update; even from
                 update to update, and level before and after (Molchanov et al. 2017, ICML: from
                 epoch 100 to 200)
    cosine       from 1 to ``learning_rate_end`` over the same span along half a cosine: with u the
                 share of the span that is done and f ``learning_rate_end``,
                 ``f + (1 - f) (1 + cos(pi u)) / 2`` (Loshchilov and Hutter 2017, SGDR, ICLR:
                 arXiv:1608.03983, without restarts)
    one_cycle    rises from s ``learning_rate_start`` at t = 0 to 1 at t = r, then falls to f
                 ``learning_rate_end`` at the last update, t = T - 1. With T the updates in all and
                 ``r = learning_rate_peak T - 1``, which need not be whole:
                 ``1 + (s - 1) (1 + cos(pi t / r)) / 2`` up to r, then
                 ``f + (1 - f) (1 + cos(pi (t - r) / (T - 1 - r))) / 2`` (Smith and Topin 2019,
                 Super-Convergence: arXiv:1708.07120; as torch.optim.lr_scheduler.OneCycleLR has it
                 by default, s = 1 / ``div_factor``; the momentum is left alone)
    ============ ==================================================================================

    times ``min(1, (t + 1) / (warmup * steps))``, ``warmup`` in epochs and ``steps`` the updates of
    an epoch (Goyal et al. 2017: arXiv:1706.02677, 5 epochs); and the momentum, with m ``momentum``
    and s ``start_momentum``,

    ============ ==================================================================================
    constant     ``m``
    linear       ``s + (m - s) min(1, e / E)``, E = ``momentum_epochs`` (Hinton et al. 2012: 0.5 to
                 0.99 over 500 epochs)
    exponential  ``m - (m - s) exp(-t / T)``, T = ``momentum_updates`` (deepnet's config of the
                 MNIST net: 0.5 to 0.99, T = 100,000)
    ============ ==================================================================================

    Args:
        settings: The section training.
        steps: Updates in an epoch.
        updates: Updates in all.
    """

    def __init__(self, settings: TrainingSettings, steps: int, updates: int) -> None:
        self.settings = settings
        self.steps = steps
        self.updates = updates
        first, last = settings.learning_rate_span or (0, None)
        self.begin = first * steps
        self.end = updates if last is None else last * steps

    def at(self, update: int) -> Rate:
        """Return what is in force when so many updates are done."""
        factor = self._warmup(update) * self._factor(update)
        return Rate(update, factor, self._momentum(update))

    def _warmup(self, t: int) -> float:
        warmup = self.settings.warmup * self.steps
        return 1.0 if t + 1 >= warmup else (t + 1) / warmup

    def _factor(self, t: int) -> float:
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
                return _step(epoch, steps or (1,), factors or (1.0,))
            case "linear":
                return 1 + ((settings.learning_rate_end or 0.0) - 1) * self._share(t)
            case "cosine":
                return _half_cosine(1.0, settings.learning_rate_end or 0.0, self._share(t))
            case "one_cycle":
                return self._one_cycle(t)

    def _share(self, t: int) -> float:
        """Return the share of ``learning_rate_span`` that is done."""
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
                share = min(epoch / (settings.momentum_epochs or 1), 1.0)
                return start + (momentum - start) * share
            case "exponential":
                return momentum - (momentum - start) * math.exp(
                    -t / (settings.momentum_updates or 1)
                )


def _half_cosine(start: float, end: float, share: float) -> float:
    """Return the value between start and end after a share of the way along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _step(epoch: int, lengths: tuple[int, ...], factors: tuple[float, ...]) -> float:
    """Return the factor of the step that the epoch lies in, or of the last one after them all."""
    for length, factor in zip(lengths, factors, strict=True):
        epoch -= length
        if epoch < 0:
            return factor
    return factors[-1]
