"""How learning rate and momentum change during training, from update to update."""

import math
from typing import NamedTuple

from dropout_lab.config.schema import TrainingSettings


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
    ============ ==================================================================================

    and the momentum, with m ``momentum`` and s ``start_momentum``,

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
        first, last = settings.learning_rate_span or (0, None)
        self.begin = first * steps
        self.end = updates if last is None else last * steps

    def at(self, update: int) -> Rate:
        """Return what is in force when so many updates are done."""
        return Rate(update, self._factor(update), self._momentum(update))

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
                share = min(max((t - self.begin) / (self.end - self.begin), 0.0), 1.0)
                return 1 + ((settings.learning_rate_end or 0.0) - 1) * share

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


def _step(epoch: int, lengths: tuple[int, ...], factors: tuple[float, ...]) -> float:
    """Return the factor of the step that the epoch lies in, or of the last one after them all."""
    for length, factor in zip(lengths, factors, strict=True):
        epoch -= length
        if epoch < 0:
            return factor
    return factors[-1]
