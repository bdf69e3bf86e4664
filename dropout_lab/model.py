"""The model: fully connected layers with a leading run axis, and a dropout layer at each place."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import DropoutSettings, p_of_places
from dropout_lab.config.sections.model import ModelSettings
from dropout_lab.config.sizes import layer_sizes
from dropout_lab.layers import VARIANTS, Dropout, NoDropout, UnitInputs, affine
from dropout_lab.normalization import Normalization
from dropout_lab.rng import FleetNoise, Purpose, stream


class Maxout(nn.Module):
    """Maxout activation: the maximum over the linear pieces of each unit.

    Args:
        pieces: Linear pieces per unit, at least 2.

    Shape:
        ``z``: ``(..., units * pieces)``, the pieces of a unit next to each other. Output:
        ``(..., units)``.

    Paper:
        Goodfellow, Warde-Farley, Mirza, Courville, Bengio (2013), Maxout Networks, ICML.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, z: Tensor) -> Tensor:
        """Return the maximum over the pieces of each unit."""
        maximum: Tensor = z.unflatten(-1, (-1, self.pieces)).amax(dim=-1)
        return maximum


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "selu": nn.SELU,
    "linear": nn.Identity,
}


class MLP(nn.Module):
    """Fully connected networks of equal shape, one per run of a fleet, computed as one batch.

    Place 0 is the input and place i is the i-th hidden layer. Each place has its own dropout layer.
    With dropout off, ``h_0 = x``, ``h_i = activation(h_{i-1} W_i + b_i)``, and the logits are
    ``h_n W_{n+1} + b_{n+1}``. With maxout, ``W_i`` has a column for each piece of each unit. With
    normalization, each hidden layer has a :class:`~dropout_lab.normalization.Normalization` before
    or after its activation.

    Args:
        settings: The common settings of all runs of the fleet. Their p is ignored.
        p: The p of each run, ``(runs,)``, for each place with dropout.
        seeds: The seed of each run.
        device: The device of the weights.
        mask_seeds: The seed of each run's masks; by default ``seeds``.

    Shape:
        ``x``: ``(runs, batch, inputs)``; or ``(1, batch, inputs)``, the same examples for all runs.
        Output, the logits: ``(runs, batch, classes)``.
    """

    def __init__(
        self,
        settings: Settings,
        p: dict[int, Tensor],
        seeds: Sequence[int],
        device: torch.device,
        mask_seeds: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        sizes = layer_sizes(settings)
        weights = initial_weights(settings.model, sizes, seeds)
        self.weights = nn.ParameterList([weight.to(device) for weight in weights])
        self.biases = nn.ParameterList(
            [torch.zeros(len(seeds), 1, weight.shape[2], device=device) for weight in weights]
        )
        pieces = settings.model.pieces  # only with maxout
        self.activation = Maxout(pieces) if pieces else _ACTIVATIONS[settings.model.activation]()
        self.position = settings.dropout.position
        self.normalized_at = normalized_at(settings)
        self.normalizations = nn.ModuleList(
            Normalization(
                settings.model.normalization, len(seeds),
                weight.shape[2] if self.normalized_at < 2 else units, device,
            )
            for weight, units in zip(weights[:-1], settings.model.hidden, strict=True)
            if settings.model.normalization != "none"
        )  # fmt: skip
        self.precision = settings.training.precision
        self.noise_sources = [FleetNoise(mask_seeds or seeds, place, device) for place in p]
        options = layer_options(settings.dropout)
        layers: dict[int, Dropout] = {
            place: VARIANTS[settings.dropout.variant](p[place], noise=noise, **options)
            for place, noise in zip(p, self.noise_sources, strict=True)
        }
        self.dropouts = nn.ModuleList(
            [layers.get(place, NoDropout()) for place in range(len(sizes) - 1)]
        )
        for place, layer in layers.items():
            last = place == len(sizes) - 2
            layer.setup(
                self.weights[place].detach(), "softmax" if last else settings.model.activation
            )
        self.dropouts.to(device)
        self._places = [
            (cast(Dropout, layer), weight, bias)
            for layer, weight, bias in zip(self.dropouts, self.weights, self.biases, strict=True)
        ]

    def open_epoch(self, epoch: int) -> None:
        """Start the random streams of an epoch."""
        for noise in self.noise_sources:
            noise.open(epoch)

    @contextmanager
    def noise_for(self, purpose: Purpose, epoch: int = 0) -> Iterator[None]:
        """Use the noise of another purpose inside a ``with`` block, then continue as before."""
        with ExitStack() as stack:
            for noise in self.noise_sources:
                stack.enter_context(noise.temporarily(purpose, epoch))
            yield

    def forward(self, x: Tensor, hidden: list[Tensor] | None = None) -> Tensor:
        """Return the logits of ``x``.

        Args:
            x: ``(runs, batch, inputs)`` or ``(1, batch, inputs)``.
            hidden: A list to append the activations of each hidden layer to, before dropout.
        """
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            h = x.expand(self.runs, -1, -1)  # (runs, batch, inputs)
            entering = None
            for place, (dropout, weight, bias) in enumerate(self._places):
                before = place > 0 and self.position == "before"
                if place:
                    z = self._normalize(place, 0, h)
                    z = self._normalize(place, 1, dropout(z) if before else z)
                    h = self._normalize(place, 2, self.activation(z))
                    if hidden is not None:
                        hidden.append(h)
                    entering = UnitInputs(self._places[place - 1][1], z)
                    if self.normalized_at == 3:
                        h, before = self._normalize(place, 3, dropout(h)), True
                if self.position == "after":  # batchwise dropout does not compute dropped units
                    weight = dropout.select_outgoing(weight)
                    if place + 1 < len(self._places):
                        weight, bias = self._places[place + 1][0].select_incoming(weight, bias)
                if before:
                    h = affine(h, weight, bias)
                else:
                    h = dropout.connect(h, weight, bias, entering)  # (runs, batch, out)
        return h

    def _normalize(self, place: int, at: int, h: Tensor) -> Tensor:
        """Normalize a hidden layer if its normalization is at this point; see normalized_at."""
        if self.normalized_at != at:
            return h
        normalized: Tensor = self.normalizations[place - 1](h)
        return normalized

    def places(self) -> list[tuple[Dropout, Tensor, Tensor]]:
        """Return the dropout layer, the outgoing weights and the biases of each place."""
        return self._places

    def penalty(self, progress: float) -> Tensor | None:
        """Return the sum of the dropout layers' penalties for each run, times N; None without any.

        Args:
            progress: Completed fraction of the training, in [0, 1].
        """
        each = [dropout.penalty(weight, progress) for dropout, weight, _ in self.places()]
        added = [penalty for penalty in each if penalty is not None]
        return torch.stack(added).sum(dim=0) if added else None

    def batch_penalty(self, x: Tensor, hidden: Sequence[Tensor], progress: float) -> Tensor | None:
        """Return the sum of the layers' terms for a batch, for each run; None without any.

        Args:
            x: The inputs, ``(runs, batch, inputs)``.
            hidden: The activations of each hidden layer before dropout, as :meth:`forward` adds
                them to its list.
            progress: Completed fraction of the training, in [0, 1].
        """
        units = zip(self.places(), (x, *hidden), strict=True)
        each = [dropout.batch_penalty(h, progress) for (dropout, _, _), h in units]
        added = [penalty for penalty in each if penalty is not None]
        return torch.stack(added).sum(dim=0) if added else None

    def set_p(self, p: dict[int, Tensor]) -> None:
        """Set the p of the given places, each of shape ``(runs,)``."""
        for place, value in p.items():
            self._places[place][0].p = value

    def constrain(self) -> None:
        """Update noise that follows gradients, and clip learned parameters.

        Call after each optimizer step.
        """
        with torch.no_grad():
            for dropout, weight, _ in self.places():
                if weight.grad is not None:
                    dropout.on_gradient(weight.grad)
                dropout.constrain()

    def prune(self, enabled: bool) -> None:
        """Switch pruning during evaluation on or off."""
        for dropout, _, _ in self.places():
            dropout.pruned = enabled

    @property
    def prunable(self) -> bool:
        """Whether any dropout layer supports pruning."""
        return any(dropout.prunable for dropout, _, _ in self.places())

    @property
    def learned(self) -> list[nn.Parameter]:
        """Learned parameters of dropout and normalization layers, with a leading run axis."""
        layers = (self.dropouts, self.normalizations)
        return [p for layer in layers for p in layer.parameters() if p.requires_grad]

    @property
    def runs(self) -> int:
        """Number of runs in the fleet."""
        return int(self.weights[0].shape[0])


def normalized_at(settings: Settings) -> int:
    """Return where a hidden layer is normalized; -1 where nowhere.

    The order is: 0, dropout before the activation, 1, activation, 2, dropout after it, 3.
    """
    model, dropout = settings.model, settings.dropout
    if model.normalization == "none":
        return -1
    position = model.normalization_position or "before"
    last = position == dropout.position and model.normalization_order == "after_dropout"
    return (0 if position == "before" else 2) + last


def layer_options(dropout: DropoutSettings) -> dict[str, Any]:
    """Return the arguments of a variant's layer that the config sets, except p and noise."""
    options = {key: getattr(dropout, key) for key in CATALOGUE[dropout.variant].options}
    return {"mask": dropout.mask} | {k: value for k, value in options.items() if value is not None}


def initial_weights(
    model: ModelSettings, sizes: Sequence[int], seeds: Sequence[int]
) -> list[Tensor]:
    """Return the initial weights of each layer, (runs, in, out), for the seed of each run.

    With maxout, a hidden layer has a column for each piece of each unit; "out" counts units.
    Weights are normal with mean 0 and variance 2/in (he), 2/(in + out) (glorot), 1/in (lecun),
    1/out (fan_out: deepnet, the code of Srivastava et al. 2014, calls it SQRT_FAN_IN) or
    init_std**2 (normal). Or they are uniform on ``[-r, r)``, where r is the ``init_range`` of the
    matrix: pylearn2's dropout recipe (scripts/papers/dropout/mnist.yaml) has 0.00891, 0.0575 and 0.
    The weights depend only on the shape, the init and the seed.
    """
    streams = [stream(Purpose.INITIAL_WEIGHTS, seed) for seed in seeds]
    init_range = model.init_range
    weights = []
    for place, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        columns = n_out * (model.pieces or 1) if place < len(sizes) - 2 else n_out
        shape = n_in, columns
        if model.init == "uniform":
            limit = (init_range[place] if isinstance(init_range, tuple) else init_range) or 0.0
            draws = [s.random(shape, dtype=np.float32) for s in streams]
            weights.append(_stack(draws) * (2 * limit) - limit)
            continue
        deviation = {
            "he": (2 / n_in) ** 0.5,
            "glorot": (2 / (n_in + n_out)) ** 0.5,
            "lecun": (1 / n_in) ** 0.5,
            "fan_out": (1 / n_out) ** 0.5,
            "normal": model.init_std or 0.0,
        }[model.init]
        draws = [s.standard_normal(shape, dtype=np.float32) for s in streams]
        weights.append(_stack(draws) * deviation)
    return weights


def _stack(draws: Sequence[NDArray[np.float32]]) -> Tensor:
    """Stack the arrays of all runs into one tensor of the default dtype."""
    return torch.from_numpy(np.stack(draws)).to(torch.get_default_dtype())


def fleet_p(settings: Sequence[Settings]) -> dict[int, Tensor]:
    """Return the p of each run, ``(runs,)``, for each place with dropout."""
    rows = [p_of_places(each) for each in settings]
    places = sorted(set().union(*rows))
    return {
        place: torch.tensor([row.get(place, 0.0) for row in rows], dtype=torch.float64)
        for place in places
    }
