"""A variant of a plugin tried on a small fleet, as a training will use it, before any work."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dropout_lab.layers import Dropout, Mask, UnitDropout
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import LayerInputs, sample_inputs, sample_layer
from dropout_lab.plugins.source import in_words, place_of
from dropout_lab.rng import FleetNoise

_SEEDS = (0, 1)
_EPOCH = 1
_CPU = torch.device("cpu")


def mistake_in_use(kind: type[Dropout], path: Path, place: str) -> str | None:
    """Return what goes wrong when two runs, one of them at p = 0, are trained and evaluated.

    Args:
        kind: The class; what it says of itself is right.
        path: Its file, to find the line of an exception.
        place: File and line of the class, for what no line can be blamed for.
    """
    highest = min(0.5, kind.variant.highest_p)
    ps = (highest, highest) if kind.variant.one_p else (0.0, highest)
    doing = f"made with p = {list(ps)}"
    try:
        with contextlib.redirect_stdout(sys.stderr), torch.random.fork_rng(devices=[]):
            for mask in MASKS:
                doing = f"in use with x of shape (2, 4, 6), p = {list(ps)} and mask {mask}"
                for mistake in _mistakes(kind, ps, mask):
                    return f"{place}: {kind.__name__}, {doing}, {mistake}."
    except KeyboardInterrupt:
        raise  # Ctrl-C is the user's
    except BaseException as error:  # whatever a plugin raises is the plugin's
        there = place_of(error, path, place)
        return f"{there}: {kind.__name__}, {doing}, stops with {in_words(error)}"
    return None


def _mistakes(kind: type[Dropout], ps: tuple[float, ...], mask: Mask) -> Iterator[str]:
    at = sample_inputs(runs=len(ps), batch=4, units=6, outputs=3)
    noise = FleetNoise(_SEEDS, place=1, device=_CPU)
    noise.open(_EPOCH)
    layer = sample_layer(kind, ps, at, mask=mask, noise=noise)
    parameters = dict(layer.named_parameters())
    if bool(parameters) != bool(kind.variant.learned):
        said = f"variant.learned is {kind.variant.learned!r}"
        yield f"has the parameters {', '.join(parameters) or 'none'}, but {said}"
    for name, parameter in parameters.items():
        if parameter.shape[:1] != (len(ps),):
            shape = tuple(parameter.shape)
            yield f"has a parameter {name} of shape {shape}; its run axis must come first"
    befores = [at.entering] if kind.variant.hidden_only else [at.entering, None]
    for training in (True, False):
        mode = "in training" if training else "in evaluation"
        layer.train(training)
        for entering in befores:
            inputs = [at.x, at.weight, at.bias, *parameters.values()]
            for tensor in inputs:
                tensor.requires_grad_()
            z = layer.connect(at.x, at.weight, at.bias, entering)
            yield from _result_mistakes(z, (2, 4, 3), f"connect {mode}")
            yield from _gradient_mistakes(layer, at, z, inputs, mode)
        if isinstance(layer, UnitDropout):
            yield from _result_mistakes(layer(at.x), (2, 4, 6), mode)
    yield from _draw_mistakes(layer.train(), noise, at)


def _result_mistakes(result: object, shape: tuple[int, ...], what: str) -> Iterator[str]:
    if not isinstance(result, Tensor):
        yield f"{what} returns {type(result).__name__}, not a tensor"
    elif tuple(result.shape) != shape:
        yield f"{what} returns shape {tuple(result.shape)}, not {shape}"
    elif result.dtype != torch.float32:
        yield f"{what} returns {result.dtype} for torch.float32; keep the dtype of x"
    elif not result.isfinite().all():
        yield f"{what} returns numbers that are not finite"


def _gradient_mistakes(
    layer: Dropout, at: LayerInputs, z: Tensor, inputs: list[Tensor], mode: str
) -> Iterator[str]:
    if not z.requires_grad:
        yield f"{mode} lets no gradient through; leave out detach() and no_grad()"
        return
    penalty = layer.penalty(at.weight, 1.0)
    if penalty is not None and tuple(penalty.shape) != (2,):
        yield f"penalty returns shape {tuple(penalty.shape)}, not one number for each run, (2,)"
        return
    total = z.sum() if penalty is None else z.sum() + penalty.sum()
    gradients = torch.autograd.grad(total, inputs, allow_unused=True)
    if gradients[0] is None:
        yield f"{mode} lets no gradient through to x; leave out detach() and no_grad()"
    if not all(gradient is None or gradient.isfinite().all() for gradient in gradients):
        yield f"{mode} has gradients that are not finite"


def _draw_mistakes(layer: Dropout, noise: FleetNoise, at: LayerInputs) -> Iterator[str]:
    """Yield mistakes in the draws: noise must come from the run's own random stream."""
    noise.open(_EPOCH)
    first = layer.connect(at.x, at.weight, at.bias, at.entering)
    noise.open(_EPOCH)
    if not torch.equal(layer.connect(at.x, at.weight, at.bias, at.entering), first):
        yield (
            "comes out differently for the same seed; take all draws from self.noise, as "
            "self.uniform(x) and self.normal(x) do, and keep nothing from step to step"
        )
