"""Lesson ``gradients``: the gradient of a batch under dropout, example by example."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, none_of
from dropout_lab.layers import InvertedDropout, affine
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise, normal
from dropout_lab.lessons.gradients.picture import draw
from dropout_lab.lessons.mask_helpers import (
    Throughout,
    marks,
    numbers,
    throughout,
    throughout_outcome,
    throughout_rows,
)
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.metrics import losses

_INPUTS, _CLASSES = 10, 5
_LABELS = (0, 4, 2, 1, 4, 3, 0, 2)
_FIRST = 5  # examples of the first steps; the others join in the last
_EPS = torch.finfo(torch.float64).eps


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    layer = InvertedDropout(p, noise=noise(asked.seed))
    everything = _Pass.through(layer, asked.seed)
    five = everything.first(_FIRST)
    yield from _one_pass(five)
    yield from _each_alone(five)
    yield from _mean_and_batch(five)
    anew = _Pass.through(layer, asked.seed).first(_FIRST)
    yield from _right_by_accident(five, anew, everything)
    batches = 20_000 if asked.quick else 100_000
    counted = throughout(layer, _INPUTS, range(1, _FIRST + 1), batches)
    yield from _zero_rows(five, counted, batches)
    yield Picture(
        lambda: draw(five.kept, five.each().mean(dim=0), five.gradient(), counted, batches),
        "which inputs were kept, and the gradient of each weight",
    )


@dataclass(frozen=True)
class _Pass:
    """Examples of ones after dropout, and the linear map they go through; float64.

    Args:
        dropped: The examples with dropout on, ``(examples, 10)``.
        labels: ``(examples,)``.
        weight: ``(10, 5)``: a row for each input.
        bias: ``(1, 5)``.
    """

    dropped: Tensor
    labels: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def through(cls, layer: InvertedDropout, seed: int) -> "_Pass":
        """Pass ones through the layer, once; whatever follows has these masks."""
        ones = torch.ones(len(_LABELS), _INPUTS, dtype=torch.float64)
        weight = normal((_INPUTS, _CLASSES), seed, 1) / _INPUTS**0.5
        bias = normal((1, _CLASSES), seed, 2) / _INPUTS**0.5
        return cls(layer(ones), torch.tensor(_LABELS), weight, bias)

    def first(self, examples: int) -> "_Pass":
        """Return the first few examples."""
        return _Pass(self.dropped[:examples], self.labels[:examples], self.weight, self.bias)

    @property
    def kept(self) -> Tensor:
        """Which inputs are kept: a one that is kept is at least 1."""
        return self.dropped > 0.5

    @property
    def always_dropped(self) -> Tensor:
        """Which inputs are dropped in every example."""
        return ~self.kept.any(dim=0)

    def logits(self) -> Tensor:
        """Return ``(examples, 5)``."""
        return affine(self.dropped, self.weight, self.bias)

    def gradient(self) -> Tensor:
        """Return the gradient of the mean cross-entropy by the weights, ``(10, 5)``."""
        weight = self.weight.clone().requires_grad_()
        logits = affine(self.dropped, weight, self.bias)
        loss = losses(logits.unsqueeze(0), self.labels.unsqueeze(0))
        (gradient,) = torch.autograd.grad(loss.sum(), weight)
        return gradient

    def each(self) -> Tensor:
        """Return the gradient of each example alone, ``(examples, 10, 5)``."""
        alone = [
            _Pass(self.dropped[at : at + 1], self.labels[at : at + 1], self.weight, self.bias)
            for at in range(len(self.labels))
        ]
        return torch.stack([one.gradient() for one in alone])

    def rounding(self) -> float:
        """Return how far two ways to compute a gradient may be apart by rounding.

        A logit is a sum of 11 terms, so two orders of adding them differ by at most 11 eps times
        the sum of their sizes. A probability changes by at most half as much, and by a few eps of
        its own; a gradient is a kept input times that, and a mean of at most 8 of them.
        """
        size = float((self.dropped.abs() @ self.weight.abs() + self.bias.abs()).max())
        return 16 * _EPS * float(self.dropped.max().clamp(min=1)) * (1 + size)


def _one_pass(five: _Pass) -> Iterator[Part]:
    kept = float(five.dropped.max())
    yield Step("Five examples of ones, dropped once")
    value = f", which is {kept:.3g} now" if kept else ""
    yield Rows(
        f"{_INPUTS} inputs: 1 where one is kept{value}; 0 where it is dropped",
        ("example", "mask", "dropped", "class"),
        [
            (f"{at + 1}", marks(mask), int((~mask).sum()), int(label))
            for at, (mask, label) in enumerate(zip(five.kept, five.labels, strict=True))
        ],
    )
    yield Say(
        "A linear map takes the 10 inputs to 5 classes. The masks are drawn once, and what the "
        "layer returned is used in all that follows: another draw would be another network. "
        f"Inputs dropped in all five examples: {numbers(five.always_dropped)}."
    )
    yield Formula("z = x W + b,  L = mean over the examples of  -log softmax(z)[class]")


def _each_alone(five: _Pass) -> Iterator[Part]:
    each = five.each()
    errors = five.logits().softmax(dim=1) - torch.nn.functional.one_hot(five.labels, _CLASSES)
    formula = five.dropped.unsqueeze(2) * errors.unsqueeze(1)
    yield Step("The gradient of each example alone")
    yield Formula("dL/dW[i, c] = x[i] (softmax(z)[c] - y[c]),  y[c] = 1 for the class, else 0")
    yield Rows(
        "per example: gradient of W by autograd",
        ("example", "rows not 0", "inputs kept", "norm", "largest difference to the formula"),
        [
            (
                f"{at + 1}",
                int((gradient != 0).any(dim=1).sum()),
                int(mask.sum()),
                float(gradient.norm()),
                float((gradient - wanted).abs().max()),
            )
            for at, (gradient, mask, wanted) in enumerate(
                zip(each, five.kept, formula, strict=True)
            )
        ],
    )
    yield Look(
        "A dropped input is x[i] = 0, so its row of the gradient is 0. An example that drops all "
        "inputs has no gradient by any weight, only by the bias."
    )
    off = float((each - formula).abs().max())
    what = "is how far a gradient of one example is from x (softmax - y)"
    yield Check("each is x (softmax - y)", at_most(off, five.rounding(), what))


def _mean_and_batch(five: _Pass) -> Iterator[Part]:
    batch = five.gradient()
    yield Step("Their mean, and the gradient of the batch")
    for title, gradient in (
        ("the mean of the five gradients", five.each().mean(dim=0)),
        ("the gradient of the batch", batch),
    ):
        yield Rows(
            title,
            ("input", *(f"class {c}" for c in range(_CLASSES))),
            [(f"{at + 1}", *row) for at, row in enumerate(gradient.tolist())],
            digits=3,
        )
    yield Look(
        "The two tables are the same: L is a mean over the examples, and so is its gradient. "
        "W is stored as (in, out) here, so an input has a row; nn.Linear stores (out, in), and "
        "there the same numbers are its column."
    )


def _right_by_accident(five: _Pass, anew: _Pass, everything: _Pass) -> Iterator[Part]:
    count = len(everything.labels)
    batch, total = everything.gradient(), everything.each().sum(dim=0)
    kept = everything.kept.sum(dim=0).clamp(min=1).unsqueeze(1)
    ways = {
        f"sum / {count} examples": total / count,
        f"sum / {_CLASSES} classes": total / _CLASSES,
        "sum / examples that kept the input": total / kept,
    }
    size = float(batch.norm())
    yield Step(f"What must be divided by what: {count} examples")
    rows = [
        (name, float(way.norm()) / (size or 1.0), float((way - batch).abs().max()))
        for name, way in ways.items()
    ]
    yield Rows(
        "the gradients of single examples put together, against the gradient of the batch",
        ("", "norm, of the batch's", "largest difference"),
        rows,
    )
    again = float((anew.gradient() - five.gradient()).abs().max())
    yield Mistake(
        "Code that shows this with five examples and five classes divides the sum by the first "
        "axis of nn.Linear's gradient, the classes: right by accident. Nor is the mean over those "
        "examples only that used a weight: one that does not use it counts, with a gradient of 0 "
        "(Srivastava et al. 2014, section 5.1)."
    )
    yield Say(
        "And the masks must be the same. Of the first five examples, dropped once more, the "
        f"gradient differs by up to {again:.3g} from that above."
    )
    differences = [
        float((each.each().mean(dim=0) - each.gradient()).abs().max())
        for each in (five, everything)
    ]
    bound = max(five.rounding(), everything.rounding())
    what = "is how far the mean over examples is from the gradient of the batch"
    yield Check("the mean is the batch's", at_most(max(differences), bound, what))


def _zero_rows(five: _Pass, counted: Sequence[Throughout], batches: int) -> Iterator[Part]:
    zero = (five.gradient() == 0).all(dim=1)
    yield Step("Rows that are exactly 0")
    yield Say(
        f"Inputs whose row of the batch's gradient is 0: {numbers(zero)}. A row is 0 where the "
        "input was dropped in every example; one example that kept it is enough for a gradient. "
        "How many to expect:"
    )
    yield throughout_rows(counted, _INPUTS, "inputs", batches)
    yield Look(
        "The larger the batch, the fewer. In a batch of 128 at p = 0.5 it is 10 / 2^128: none."
    )
    wrong = int((zero != five.always_dropped).sum())
    what = f"of {_INPUTS} rows are 0 though an example kept the input, or the reverse"
    yield Check("0 where always dropped", none_of(wrong, what))
    yield Check("as many as inputs p^n", throughout_outcome(counted, "inputs"))
