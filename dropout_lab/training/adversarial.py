"""Adversarial dropout: switch the units whose switching moves the prediction most."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from dropout_lab.layers import BernoulliDropout
from dropout_lab.model import MLP
from dropout_lab.normalization import fixed_statistics
from dropout_lab.rng import LANES
from dropout_lab.training.replay import Recorder, Replay, noise_from, without_dropout

_LOWEST, _HIGHEST = -LANES // 2, LANES // 2 - 1  # lanes that drop and keep at any p in (0, 1)


def kl_divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Return ``KL(P || Q)``, where P and Q are the class probabilities of two passes.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch of the sum
        over the classes, in nats.
    """
    log_p, log_q = log_softmax(target, dim=-1), log_softmax(logits, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=-1)


def switch(lanes: Tensor, kept: Tensor, slope: Tensor, count: int) -> Tensor:
    """Return lanes in which the ``count`` units with the largest gain are switched.

    To switch a unit on gains ``slope``, and to switch it off gains ``-slope``. A unit whose gain is
    not above 0 is never switched.

    Args:
        lanes: The lanes of the random masks, int16, ``(..., units)``.
        kept: Whether each unit is kept in them.
        slope: The derivative of the divergence with respect to the mask.
        count: The largest number of units to switch in each mask.
    """
    gain = torch.where(kept, -slope, slope)
    largest = gain.topk(count, dim=-1)
    chosen = torch.zeros_like(kept).scatter(-1, largest.indices, largest.values > 0)
    return torch.where(chosen, torch.where(kept, _LOWEST, _HIGHEST).to(lanes.dtype), lanes)


class AdversarialPasses:
    r"""A pass with random masks, and the divergence of a pass with adversarial masks.

    .. math:: D(m) = \mathrm{KL}(f(x, \text{dropout off}) \,\|\, f(x, m)), \qquad
              m^* = \arg\max_{m} D(m) \ \text{ with } \ |m - m_0|_1 \le \delta d

    m_0 is the random mask of a place and d its number of units. To first order in m, the maximum
    has a closed form: the ``floor(delta d)`` units with the largest gain are switched, where the
    gain is the derivative ``dD/dm_i`` for a dropped unit and its negative for a kept unit. All
    places are switched at once. The first factor of the divergence has no gradient. A divergence
    from the prediction under m_0 would not do: its derivative at m_0 is 0.

    Batch normalization uses the statistics of the batch in each pass, and only the pass with random
    masks enters its running statistics.

    Args:
        model: The networks. Their dropout layers are of :class:`BernoulliDropout` and set dropped
            units to 0.
        radius: ``delta``, the share of the units of a place that may be switched.

    Paper:
        Park, Park, Shin, Moon (2018), Adversarial Dropout for Supervised and Semi-Supervised
        Learning, AAAI. The abstract describes the divergence from the labels. The divergence from
        the prediction is their virtual adversarial dropout [unverified]; that it is measured from
        the prediction with dropout off is a choice of ours, as are several places at once and the
        defaults of ``radius`` and ``loss_weight``.
    """

    def __init__(self, model: MLP, radius: float) -> None:
        self.model = model
        self.radius = radius
        layers = (layer for layer, _, _ in model.places())
        self.layers = [layer for layer in layers if isinstance(layer, BernoulliDropout)]

    def __call__(self, x: Tensor, hidden: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits under random masks, and the divergence of each run, ``(runs,)``.

        Args:
            x: ``(runs, batch, inputs)``.
            hidden: A list to append the activations of each hidden layer to.
        """
        with torch.no_grad(), without_dropout(self.model), fixed_statistics(self.model):
            target = self.model(x)
        recorders = [Recorder(layer.noise) for layer in self.layers]
        with noise_from(self.layers, recorders), self._watched() as units:
            logits: Tensor = self.model(x, hidden)
        slopes = torch.autograd.grad(
            kl_divergence(target, logits).sum(), [after for _, after in units], retain_graph=True
        )
        replays = [
            Replay(layer.noise, self._adversarial_lanes(layer, recorder.drawn[0], before, slope))
            for layer, recorder, (before, _), slope in zip(
                self.layers, recorders, units, slopes, strict=True
            )
        ]
        with noise_from(self.layers, replays), fixed_statistics(self.model):
            adversarial = self.model(x)
        return logits, kl_divergence(target, adversarial)

    def _adversarial_lanes(
        self, layer: BernoulliDropout, lanes: Tensor, units: Tensor, slope: Tensor
    ) -> Tensor:
        """Return the adversarial lanes of a place.

        Args:
            layer: The dropout layer.
            lanes: Its lanes in the pass with random masks.
            units: Its input.
            slope: The derivative of the divergence with respect to its output.
        """
        threshold, kept_scale, _ = layer.broadcast_constants(units)
        of_mask = slope * units * kept_scale
        if lanes.shape != of_mask.shape:  # one mask for the batch
            of_mask = of_mask.sum(dim=-2, keepdim=True)
        count = int(self.radius * lanes.shape[-1] + 1e-9)  # 0.29 of 100 units are 29
        return switch(lanes, lanes >= threshold, of_mask, count)

    @contextmanager
    def _watched(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Give the input and the output of each layer in a pass, the output with gradients."""
        units: list[tuple[Tensor, Tensor]] = []

        def keep(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:  # the input of the network
                output.requires_grad_()
            units.append((given[0].detach(), output))

        with ExitStack() as stack:
            for layer in self.layers:
                stack.callback(layer.register_forward_hook(keep).remove)
            yield units
