"""The network: fully connected layers with a leading run axis, and the places dropout takes."""

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from dropout_lab.config.schema import ModelSettings, Settings, p_of_places
from dropout_lab.layers import VARIANTS, Dropout, NoDropout, affine
from dropout_lab.noise import FleetNoise, Purpose, stream

INPUTS, CLASSES = 784, 10

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "selu": nn.SELU,
    "linear": nn.Identity,
}


class MLP(nn.Module):
    """A fleet of fully connected networks of one shape, trained as one batched program.

    Place 0 is the input and place i the i-th hidden layer; each has its own dropout layer.
    Without noise, ``h_0 = x``, ``h_i = activation(h_{i-1} W_i + b_i)``, and the logits are
    ``h_n W_{n+1} + b_{n+1}``.

    Args:
        settings: Those all runs of the fleet share; p is taken from ``p`` instead.
        p: For each place with dropout, the p of each run, shape ``(runs,)``.
        seeds: The seed of each run.
        device: Where the weights lie.

    Shape:
        ``x``: ``(runs, batch, 784)``; or ``(1, batch, 784)``, the same examples for all runs.
        Output, the logits: ``(runs, batch, 10)``.
    """

    def __init__(
        self,
        settings: Settings,
        p: dict[int, Tensor],
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        super().__init__()
        sizes = (INPUTS, *settings.model.hidden, CLASSES)
        weights = initial_weights(settings.model, sizes, seeds)
        self.weights = nn.ParameterList([weight.to(device) for weight in weights])
        self.biases = nn.ParameterList(
            [torch.zeros(len(seeds), 1, size, device=device) for size in sizes[1:]]
        )
        self.activation = _ACTIVATIONS[settings.model.activation]()
        self.position = settings.dropout.position
        self.precision = settings.training.precision
        self.noises = [FleetNoise(seeds, place, device) for place in p]
        variant = VARIANTS[settings.dropout.variant]
        layers: dict[int, Dropout] = {
            place: variant(p[place], mask=settings.dropout.mask, noise=noise)
            for place, noise in zip(p, self.noises, strict=True)
        }
        self.dropouts = nn.ModuleList(
            [layers.get(place, NoDropout()) for place in range(len(sizes) - 1)]
        )

    def open_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch's draws."""
        for noise in self.noises:
            noise.open(epoch)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of ``x``."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            h = x.expand(self.runs, -1, -1)  # (runs, batch, 784)
            for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                dropout = cast(Dropout, self.dropouts[place])
                before = place > 0 and self.position == "before"
                if place:
                    h = self.activation(dropout(h) if before else h)
                connect = affine if before else dropout.connect
                h = connect(h, weight, bias)  # (runs, batch, out)
        return h

    @property
    def runs(self) -> int:
        """How many runs the fleet has."""
        return int(self.weights[0].shape[0])


def initial_weights(
    model: ModelSettings, sizes: Sequence[int], seeds: Sequence[int]
) -> list[Tensor]:
    """Return the initial weights of each layer, each run's from its own seed: (runs, in, out).

    They are normal with mean 0 and variance 2/in (he), 2/(in + out) (glorot), 1/in (lecun) or
    init_std**2 (normal). Nothing but the shape, the init and the seed enters.
    """
    streams = [stream(Purpose.INITIAL_WEIGHTS, seed) for seed in seeds]
    weights = []
    for n_in, n_out in itertools.pairwise(sizes):
        deviation = {
            "he": (2 / n_in) ** 0.5,
            "glorot": (2 / (n_in + n_out)) ** 0.5,
            "lecun": (1 / n_in) ** 0.5,
            "normal": model.init_std or 0.0,
        }[model.init]
        draws = [s.standard_normal((n_in, n_out), dtype=np.float32) for s in streams]
        stacked = torch.from_numpy(np.stack(draws)).to(torch.get_default_dtype())
        weights.append(stacked * deviation)
    return weights


def p_of_fleet(settings: Sequence[Settings]) -> dict[int, Tensor]:
    """Return for each place the p of each run, shape (runs,); the runs share their places."""
    rows = [p_of_places(each) for each in settings]
    places = sorted(set().union(*rows))
    return {
        place: torch.tensor([row.get(place, 0.0) for row in rows], dtype=torch.float64)
        for place in places
    }
