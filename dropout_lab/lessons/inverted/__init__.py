"""Lesson ``inverted``: one layer by three hands, and one network in two scalings."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most, within
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.layers.base import BernoulliDropout
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import Replayed, noise, normal
from dropout_lab.lessons.inverted.networks import ADAM, SAME, SGD, Course, Way, follow, picture
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.reference_layers import NumpyDropout, torch_dropout

# Each number is a quotient 1 / (1 - p) and a product, both rounded by up to 2^-53 of themselves;
# two hands may round in opposite directions.
_ROUNDING = 4 * 2.0**-53
# A sum of 784 terms is off by up to 784 * 2^-53 = 9e-14 of their size, and so is each of 20 steps;
# the network may stretch that fiftyfold.
_SAME = 1e-10  # at most, of one network; what is further apart is two


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    yield from _in_numpy(p, asked.seed)
    yield from _three_hands(p, asked)
    yield Step("Inverted and standard dropout: the algebra")
    yield Say(
        "Standard dropout masks the units in training and multiplies them by q = 1 - p in "
        "evaluation; inverted dropout divides by q in training. So that both send the same sums "
        "on, the weights that leave the dropped units must differ by q:"
    )
    yield Formula(
        "training:   (m x) W_std = (m x / q) W_inv       W_inv = q W_std\n"
        "gradient:   g_std = (m x)^T s                   s: slope in the sum\n"
        "            g_inv = (m x / q)^T s = g_std / q\n"
        "SGD:        W_std moves by  a g_std\n"
        "            W_inv must by q a g_std = q^2 a g_inv"
    )
    yield Look(
        "The learning rate of these weights is multiplied by q^2, that of all else stays. Biases "
        "are not multiplied by anything: nothing was divided on the way to them."
    )
    yield from _twenty_steps(p, asked.seed)
    yield from _other_steps(p, asked.seed)
    yield from _effective_rate(p, asked)


def _in_numpy(p: float, seed: int) -> Iterator[Part]:
    yield Step("The layer in NumPy")
    yield Formula(
        "mask = (uniform < q) / q      q = 1 - p: the chance of keeping\n"
        "out  = x * mask               forward\n"
        "dx   = dout * mask            backward, with the same mask"
    )
    x, slope = normal((5,), seed, 1), normal((5,), seed, 2)
    layer, theirs, dx = _numpy(p, x, slope, seed, 3)
    ours, gradient = _ours(p, x, slope, torch.from_numpy(layer.mask) != 0)
    numbers = {
        "x": x,
        "mask": torch.from_numpy(layer.mask),
        "out, NumPy": theirs,
        "out, ours": ours,
        "dout": slope,
        "dx, NumPy": dx,
        "dx, ours": gradient,
    }
    yield Rows(
        f"five units at p = {p:g}; ours: the program's layer, given the same mask",
        ("", *(f"unit {unit + 1}" for unit in range(5))),
        # + 0.0: a slope below 0 times a mask of 0 is -0.0, which would be shown so
        [(name, *(value + 0.0 for value in each.tolist())) for name, each in numbers.items()],
        digits=3,
    )
    yield Look(
        "Ours has no backward pass of its own: autograd finds the mask, division and all, in the "
        "forward pass."
    )
    yield Mistake(
        "The derivative is often given as the bare mask of 0 and 1. That belongs to standard "
        "dropout; here it is the mask over q. Where one is derived and the other programmed, only "
        "the program is right."
    )


def _three_hands(p: float, asked: Asked) -> Iterator[Part]:
    shape = (40, 25) if asked.quick else (400, 25)
    x, slope = normal(shape, asked.seed, 4), normal(shape, asked.seed, 5)
    numpy_layer, *by_numpy = _numpy(p, x, slope, asked.seed, 6)
    ours = _ours(p, x, slope, torch.from_numpy(numpy_layer.mask) != 0)
    numpy_apart = [_apart(a, b) for a, b in zip(ours, by_numpy, strict=True)]

    realized = float(InvertedDropout(p).p)
    kept = torch_dropout(realized, torch.ones_like(x), asked.seed) != 0
    leaf = x.clone().requires_grad_()
    out = torch_dropout(realized, leaf, asked.seed)
    (gradient,) = torch.autograd.grad(out, leaf, slope)
    ours = _ours(p, x, slope, kept)
    torch_apart = [_apart(a, b) for a, b in zip(ours, (out.detach(), gradient), strict=True)]
    yield Step("Three hands, one layer")
    yield Say(
        f"On {x.numel():,} units in float64. The mask of nn.Dropout is read off its output for "
        "ones; then each layer is given the other's mask."
    )
    yield Rows(
        "largest relative difference to ours",
        ("layer", "forward", "backward"),
        [("NumPy", *numpy_apart), ("nn.Dropout", *torch_apart)],
    )
    yield Look(f"At most rounding, {_ROUNDING:.1e}: three programs of the same formula.")
    what = "is the largest relative difference, forward or backward"
    yield Check("NumPy's layer is ours", at_most(max(numpy_apart), _ROUNDING, what))
    yield Check("nn.Dropout is ours", at_most(max(torch_apart), _ROUNDING, what))


def _twenty_steps(p: float, seed: int) -> Iterator[Part]:
    ways = {
        "both": SAME,
        "weights only": Way(weights=1, rate=0),
        "rate only": Way(weights=0, rate=2),
        "weights by q, rate by q": Way(weights=1, rate=1),
        "neither": Way(weights=0, rate=0),
    }
    standard = follow("standard", p, seed, SGD)
    inverted = {name: follow("inverted", p, seed, SGD, way) for name, way in ways.items()}
    both = inverted["both"]
    yield Step("Measured: 20 SGD steps, in float64")
    yield Say(
        "Two networks 784-32-16-10 with dropout after both hidden layers start from the same "
        "weights, those of the inverted one scaled, and see the same 20 batches of 32 made-up "
        "examples under the same masks."
    )
    shown = (1, 2, 5, 10, 20)
    yield Rows(
        "cross-entropy of the batch in nats, dropout on",
        ("step", "standard", "inverted", "difference"),
        [
            (str(step), a, b, abs(a - b))
            for step in shown
            for a, b in [(standard.losses[step - 1], both.losses[step - 1])]
        ],
        digits=5,
    )
    yield Rows(
        "logits in evaluation, largest difference over their root mean square",
        ("scaled", "at the start", "after 1 step", "after 20 steps"),
        [
            (name, *(course.apart(standard)[step] for step in (0, 1, 20)))
            for name, course in inverted.items()
        ],
        digits=2,
    )
    yield Look(
        "Only with both scaled it is one network, to rounding, in training and in evaluation. "
        "With the weights alone it starts as the same and then learns at another pace; with the "
        "rate alone it is another one from the start."
    )
    yield Mistake(
        "'Inverted dropout is just an implementation of dropout' is true of the layer and not of "
        "the recipe: a learning rate published with standard dropout is 1 / q^2 times too high "
        f"for the weights behind inverted layers, {1 / (1 - p) ** 2:.3g} times at p = {p:g}. "
        "A bound on their norm is 1 / q times too wide."
    )
    yield Picture(
        lambda: picture(p, standard, inverted),
        "20 SGD steps of the standard network, and of inverted ones scaled in several ways",
    )
    yield from _checks(standard, inverted)


def _checks(standard: Course, inverted: dict[str, Course]) -> Iterator[Check]:
    both = inverted["both"]
    losses = max(abs(a - b) for a, b in zip(standard.losses, both.losses, strict=True))
    what = "is the largest difference in any of 20 steps"
    yield Check("one network, dropout on", at_most(losses, _SAME, what))
    yield Check("one network, evaluation", at_most(max(both.apart(standard)), _SAME, what))
    half = min(inverted[name].apart(standard)[-1] for name in inverted if name != "both")
    yield Check("not with less scaled", at_least(half, _SAME, "is the smallest difference"))


def _other_steps(p: float, seed: int) -> Iterator[Part]:
    momentum, l2 = SGD.but(momentum=0.9), SGD.but(l2=0.05)
    rows = [
        ("SGD, momentum 0.9", "q^2", momentum, SAME),
        ("SGD, L2", "q^2", l2, SAME),
        ("SGD, L2 over q^2", "q^2", l2, Way(weights=1, rate=2, l2=-2)),
        ("Adam", "q^2", ADAM, SAME),
        ("Adam", "q", ADAM, Way(weights=1, rate=1)),
    ]
    standard = {rule: follow("standard", p, seed, rule) for rule in (momentum, l2, ADAM)}
    apart = [
        max(follow("inverted", p, seed, rule, way).apart(standard[rule]))
        for _, _, rule, way in rows
    ]
    yield Step("Other steps than plain SGD")
    yield Rows(
        "weights scaled by q; largest difference of the logits in 20 steps",
        ("steps", "rate scaled by", "difference"),
        [(name, by, found) for (name, by, *_), found in zip(rows, apart, strict=True)],
        digits=2,
    )
    yield Look(
        "Momentum adds up gradients, so q^2 holds on. The pull of L2 goes with the weights, not "
        "with the gradient: for the same training its strength is divided by q^2. The steps of "
        "Adam do not grow with the gradient, so there the factor is q; what is left comes from the "
        "small number in its denominator."
    )
    what = "is the largest difference in 20 steps"
    yield Check("momentum: the same again", at_most(apart[0], _SAME, what))
    yield Check("L2: its strength over q^2", at_most(apart[2], _SAME, what))


def _effective_rate(p: float, asked: Asked) -> Iterator[Part]:
    draws = 20_000 if asked.quick else 200_000
    q = 1 - float(InvertedDropout(p).p)
    inverted = _gradients(InvertedDropout(p, noise=noise(asked.seed, 7)), draws)
    standard = q * _gradients(StandardDropout(p, noise=noise(asked.seed, 8)), draws)
    ways: dict[str, Tensor] = {
        "no dropout": torch.ones(draws, dtype=torch.float64),
        "inverted": inverted,
        "standard, of q W": standard,
    }
    yield Step("How long a step is")
    yield Say(
        "One weight behind a unit of value 1, at a slope of 1 and a rate of 1. For standard "
        "dropout the step is that of q W, the weight that evaluation uses and the inverted network "
        "has in its place: q times the step of W."
    )
    yield Rows(
        f"steps of the weight over n = {draws:,} masks",
        ("dropout", "share that moves", "length if it moves", "mean"),
        [
            (name, float((each != 0).double().mean()), float(each.max()), float(each.mean()))
            for name, each in ways.items()
        ],
    )
    yield Look(
        "Inverted dropout makes steps of 1 / q the length in a share q of the cases: on the mean, "
        "the rate chosen. Under standard dropout W makes steps of length 1 in a share q of the "
        f"cases, and so q W steps of length q: on the mean, q^2 = {q * q:.3g} of the rate chosen."
    )
    yield Mistake(
        "'With dropout the effective learning rate is higher than the rate chosen, and L2 helps to "
        "choose it.' On the mean it is not higher. It is 1 / q^2 times that of q W under standard "
        "dropout at the same setting, which is the factor of the algebra; and L2 has to be scaled "
        "with it rather than to stand in for it."
    )
    error = math.sqrt((1 - q) / q / draws)  # of the mean of k / q
    name = f"is the mean of {draws:,} steps"
    yield Check("inverted: the rate chosen", within(float(inverted.mean()), 1.0, error, name))
    mean = float(standard.mean())
    yield Check("standard: q^2 of it", within(mean, q * q, q * q * error, name))


def _numpy(
    p: float, x: Tensor, slope: Tensor, seed: int, key: int
) -> tuple[NumpyDropout, Tensor, Tensor]:
    """Return NumPy's layer after a forward and a backward pass, and what came out of either."""
    layer = NumpyDropout(1 - float(InvertedDropout(p).p), noise(seed, key).generator)
    out = layer.forward(x.numpy())
    return layer, torch.from_numpy(out), torch.from_numpy(layer.backward(slope.numpy()))


def _ours(p: float, x: Tensor, slope: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return what our layer makes of ``x``, and autograd of the slope, for a given mask."""
    leaf = x.clone().requires_grad_()
    out = InvertedDropout(p, noise=Replayed([kept]))(leaf)
    (gradient,) = torch.autograd.grad(out, leaf, slope)
    return out.detach(), gradient


def _apart(one: Tensor, other: Tensor) -> float:
    """Return the largest relative difference; huge where one is 0 and the other is not."""
    size = torch.maximum(one.abs(), other.abs()).clamp_min(torch.finfo(one.dtype).tiny)
    return float(((one - other).abs() / size).max())


def _gradients(layer: BernoulliDropout, draws: int) -> Tensor:
    """Return the gradient of a weight behind a unit of 1 at a slope of 1, for each mask."""
    weight = torch.ones(draws, dtype=torch.float64, requires_grad=True)
    (layer(torch.ones_like(weight)) * weight).sum().backward()
    assert weight.grad is not None  # noqa: S101  # backward has just been called
    return weight.grad
