"""Sample inputs and sample layers, to try plugins, checks and tests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dropout_lab.layers.base import Dropout, Mask, UnitInputs
from dropout_lab.rng import Noise
from dropout_lab.variant import Variant

# Values of required options; other required options have the value _NUMBER.
_VALUES = {"alpha_per": "layer", "kl_warmup": (0.0, 0.1)}
_NUMBER = 0.5


@dataclass(frozen=True)
class LayerInputs:
    """The arguments of ``connect``, all with a run axis or all without.

    Args:
        x: The units, ``(runs, batch, units)``. No element is near 0.
        weight: The outgoing weights, ``(runs, units, outputs)``. No element is near 0.
        bias: ``(runs, 1, outputs)``, far from 0, of both signs.
        entering: Incoming weights, ``(runs, 4, units)``, and pre-activations,
            ``(runs, batch, units)``.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    entering: UnitInputs

    def run(self, index: int | slice) -> "LayerInputs":
        """Return the inputs of one run, or of several runs."""
        entering = UnitInputs(self.entering.weight[index], self.entering.preactivation[index])
        return LayerInputs(self.x[index], self.weight[index], self.bias[index], entering)

    def one_example(self, times: int) -> "LayerInputs":
        """Return inputs with a batch of ``times`` copies of the first example."""
        z = _repeat_first(self.entering.preactivation, times)
        entering = UnitInputs(self.entering.weight, z)
        return LayerInputs(_repeat_first(self.x, times), self.weight, self.bias, entering)

    def fleet(self, runs: int) -> "LayerInputs":
        """Return equal inputs for ``runs`` runs."""
        tensors = (self.x, self.weight, self.bias)
        x, weight, bias = (tensor.expand(runs, -1, -1) for tensor in tensors)
        incoming = self.entering.weight.expand(runs, -1, -1)
        z = self.entering.preactivation.expand(runs, -1, -1)
        return LayerInputs(x, weight, bias, UnitInputs(incoming, z))


def sample_inputs(
    runs: int | None = None,
    batch: int = 3,
    units: int = 5,
    outputs: int = 4,
    *,
    integers: bool = False,
    dtype: torch.dtype = torch.float32,
) -> LayerInputs:
    """Create inputs for a layer, the same for each call.

    Args:
        runs: The length of the run axis; None for inputs without a run axis.
        batch: Number of examples.
        units: Number of units.
        outputs: Number of units of the next layer.
        integers: Whether all elements are integers, whose sums are exact in any order.
        dtype: The dtype of all tensors.
    """
    generator = torch.Generator().manual_seed(20140615)
    lead = () if runs is None else (runs,)

    def away_from_0(*shape: int, least: float = 0.5) -> Tensor:
        numbers = torch.randn(*lead, *shape, generator=generator)
        sizes = least + torch.rand(*lead, *shape, generator=generator)
        numbers = numbers.sign() * (sizes.ceil() if integers else sizes)
        return numbers.to(dtype)

    return LayerInputs(
        x=away_from_0(batch, units),
        weight=away_from_0(units, outputs),
        bias=away_from_0(1, outputs, least=3.0),
        entering=UnitInputs(away_from_0(4, units), away_from_0(batch, units)),
    )


def sample_layer(
    variant: type[Dropout],
    p: float | Sequence[float],
    inputs: LayerInputs | None = None,
    *,
    mask: Mask = "element",
    noise: Noise | None = None,
) -> Dropout:
    """Create a layer of a variant, set up for the inputs if they are given.

    Args:
        variant: The class of the layer.
        p: One number, or a number for each run.
        inputs: The inputs that the layer will get.
        mask: ``element`` or ``batch``.
        noise: Source of the random draws.
    """
    numbers = p if isinstance(p, float) else torch.tensor(p, dtype=torch.float64)
    options = required_options(variant.variant)
    layer = variant(numbers, mask=mask, noise=noise, **options)
    if inputs is not None:
        layer.setup(inputs.weight, "relu")
        move_from_start(layer)
        layer.to(inputs.weight.dtype)
    return layer


def move_from_start(module: nn.Module) -> None:
    """Halve the initial weights that layers remember, as if training had doubled the weights."""
    with torch.no_grad():
        for buffer in module.buffers():
            buffer *= 0.5


def required_options(kind: Variant) -> dict[str, Any]:
    """Return a valid value for each option of a variant that has no default."""
    return {key: _VALUES.get(key, _NUMBER) for key in kind.needed}


def connect(layer: Dropout, inputs: LayerInputs) -> Tensor:
    """Return the output of a layer's ``connect`` for sample inputs."""
    return layer.connect(inputs.x, inputs.weight, inputs.bias, inputs.entering)


def _repeat_first(tensor: Tensor, times: int) -> Tensor:
    """Repeat the first example of a batch."""
    return tensor[..., :1, :].expand(*tensor.shape[:-2], times, -1)
