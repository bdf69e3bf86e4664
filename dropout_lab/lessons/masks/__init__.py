"""Lesson ``masks``: which weights a step moves when their units are dropped."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, none_of
from dropout_lab.lessons import Asked
from dropout_lab.lessons.mask_helpers import (
    kept,
    marks,
    numbers,
    throughout,
    throughout_outcome,
    throughout_rows,
)
from dropout_lab.lessons.masks.picture import draw
from dropout_lab.lessons.masks.steps import (
    COUNT,
    EARLIER,
    ELEMENT,
    RATE,
    RULES,
    Case,
    Change,
    layer_of,
)
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, TwoLayers, made_up

_SIZES = (1, 2, 5, EXAMPLES)
_ROUNDINGS = 16  # a weight is moved by a handful of operations, each off by an eps at most
_DRAWS = 20_000
_OFF = "is how far a weight of a dropped unit is from where the formula moves it"


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    net, x, y = made_up(asked.seed)
    mask = kept(layer_of(p, asked.seed, ELEMENT), EXAMPLES, UNITS)
    yield from _fifteen(p, mask)
    batches = 20_000 if asked.quick else 100_000
    yield from _dropped_for_all(p, mask, net, x, y, asked.seed, batches)
    case = Case.found(net, x, y, p, asked.seed)
    yield from _one_mask_for_all(case)
    yield from _plain_step(case)
    changes = {name: Change.under(rule, case) for name, rule in RULES.items()}
    yield from _other_rules(case, changes)
    moved = {name: each.moved for name, each in changes.items()}
    yield Picture(
        lambda: draw(mask, case.mask, moved),
        "masks of 15 examples, and how far a step moves the weights of each unit",
    )


def _fifteen(p: float, mask: Tensor) -> Iterator[Part]:
    dropped = (~mask).sum(dim=1)
    yield Step(f"Masks of {EXAMPLES} examples, each with its own")
    yield Rows(
        f"{UNITS} hidden units at p = {p:g}: 1 where one is kept, 0 where it is dropped",
        ("example", "mask", "dropped"),
        [(f"{at + 1}", marks(row), int(dropped[at])) for at, row in enumerate(mask)],
    )
    mean, deviation = float(dropped.double().mean()), float(dropped.double().std())
    yield Look(
        f"{mean:.2f} of {UNITS} are dropped on average, with a standard deviation of "
        f"{deviation:.2f}; to be expected are {UNITS * p:.3g} and "
        f"sqrt({UNITS} p (1 - p)) = {math.sqrt(UNITS * p * (1 - p)):.2f}."
    )


def _dropped_for_all(
    p: float, mask: Tensor, net: TwoLayers, x: Tensor, y: Tensor, seed: int, batches: int
) -> Iterator[Part]:
    always = ~mask.any(dim=0)
    gradients = net.gradients(x, y, layer_of(p, seed, ELEMENT))
    zero = (gradients.around() == 0).all(dim=0)
    yield Step("Which units are dropped for every example?")
    yield Say(
        f"Above: {numbers(always)}. And in a network of 5 inputs, {UNITS} hidden units with ReLU "
        f"and these masks, and 1 output, units whose weights have a gradient of 0: {numbers(zero)}."
    )
    yield Formula("a unit is dropped for all n examples with the chance p^n")
    counted = throughout(layer_of(p, seed, COUNT), UNITS, _SIZES, batches)
    yield throughout_rows(counted, UNITS, "units", batches)
    masks = kept(layer_of(p, seed, COUNT), _DRAWS, EXAMPLES, UNITS)
    idle = _mean_idle(masks & (net.hidden(x) > 0))
    yield Say(
        f"Over {_DRAWS:,} draws of masks for this network and batch, {idle:.3g} of its units have "
        f"a gradient of 0 on average. Dropped for every example are {_mean_idle(masks):.2g}; the "
        "rest ReLU holds at 0 wherever they are kept."
    )
    yield Mistake(
        "A mask of 15 examples by 10 units at p = 0.5 is shown, a step is made, and it is "
        "concluded 'the weights that were dropped for all examples were not updated'. The "
        "conclusion is right of plain SGD, but such a mask does not show it: with a mask for each "
        f"example there is such a unit in about one of {2**EXAMPLES / UNITS:,.0f} batches, "
        "2^15 / 10. A weight that does not move in that show most likely leads into a unit that "
        "ReLU holds at 0 wherever it is kept. If it is at 0 for half of the examples, at random, "
        "it stays unused by a batch with the chance 0.75^15, and there is such a unit in one of "
        f"{1 / (1 - (1 - 0.75**EXAMPLES) ** UNITS):.1f} batches, 1 / (1 - (1 - 0.75^15)^10)."
    )
    yield Check("as many as units p^n", throughout_outcome(counted, "units"))


def _mean_idle(used: Tensor) -> float:
    """Return how many units no example uses, mean over batches ``(batches, examples, units)``."""
    return float((~used.any(dim=1)).sum()) / len(used)


def _one_mask_for_all(case: Case) -> Iterator[Part]:
    sizes = case.net.gradients(case.x, case.y, case.layer).around().abs()
    into, bias, out = sizes[:5].amax(dim=0), sizes[5], sizes[6]
    yield Step("One mask for all examples")
    yield Say(
        'So that units are dropped for every example, all examples share a mask (mask = "batch"). '
        "The first drawn that drops some units that are active (above 0 for some example), and "
        f"keeps some, is number {case.draws + 1}: {marks(case.mask[0])}. One pass backward:"
    )
    yield Rows(
        "largest size of a gradient",
        ("unit", "dropped", "of 5 weights into it", "of its bias", "of its weight out"),
        [
            (f"{unit + 1}", "yes" if drop else "", float(into[unit]), float(bias[unit]), float(w2))
            for unit, (drop, w2) in enumerate(zip(case.dropped, out, strict=True))
        ],
    )
    yield Formula(
        "summed over the examples, with d = dL/dyhat:\n"
        "dL/dW1[i, j] = x[i] relu'(z[j]) k[j] / (1 - p) W2[j] d\n"
        "dL/dW2[j]    = h[j] k[j] / (1 - p) d"
    )
    yield Look(
        "k[j] = 0 is a factor of both: what leads into a dropped unit and what leads out of it has "
        "a gradient of exactly 0. (A unit kept but below 0 for every example has 0 too: ReLU.)"
    )
    some = int((sizes[:, case.dropped] != 0).sum())
    without = ((into + bias) == 0) | (out == 0)
    none = int(without[~case.dropped & case.active].sum())
    yield Check("dropped: gradient 0", none_of(some, "weights of dropped units have a gradient"))
    what = "units that are kept, and active, have none on the way in or on the way out"
    yield Check("kept: a gradient", none_of(none, what))


def _plain_step(case: Case) -> Iterator[Part]:
    net, before = case.net.copy(), case.net.around()
    case.step(net, RULES["SGD"].make(net), case.layer)
    after = net.around()
    gradient = case.net.gradients(case.x, case.y, case.layer).around()
    units = [int(torch.where(which & case.active)[0][0]) for which in (case.dropped, ~case.dropped)]
    names = {0: "input 1 to unit {}", 5: "bias of unit {}", 6: "unit {} to output"}
    yield Step("Before and after a step of plain SGD")
    yield Formula(f"w after = w before - lr dL/dw,  lr = {RATE:g}")
    yield Rows(
        "weights of a unit that is dropped, and of one that is kept",
        ("weight", "", "before", "gradient", "after"),
        [
            (
                name.format(unit + 1),
                what,
                *(float(each[row, unit]) for each in (before, gradient, after)),
            )
            for unit, what in zip(units, ("dropped", "kept"), strict=True)
            for row, name in names.items()
        ],
        digits=6,
    )
    old, slope, new = (float(each[0, units[1]]) for each in (before, gradient, after))
    yield Mistake(
        "To show the step, 'before' is printed as the weight and 'after' as the weight - lr "
        "gradient, both once optimizer.step() is done. By then the weight has moved: from input 1 "
        f"to unit {units[1] + 1} 'before' would be {new:.6g} and 'after' {new - RATE * slope:.6g}, "
        f"the step made twice; it went from {old:.6g} to {new:.6g}. Dropped units hide this."
    )
    moved = int((before != after)[:, case.dropped].sum())
    yield Check("SGD: dropped stay", none_of(moved, "weights of dropped units moved"))


def _other_rules(case: Case, changes: Mapping[str, Change]) -> Iterator[Part]:
    dropped = case.dropped
    yield Step("Momentum, weight decay, Adam")
    yield Say(
        f"Before this step, {EARLIER} steps with a mask for each example were made under each "
        "rule. Then the same mask for all examples: its dropped units have a gradient of 0."
    )
    yield Rows(
        "how far the step moves weights of dropped units, largest size",
        ("rule", "into", "out", "each moves by"),
        [
            (
                name,
                float(each.moved[:5, dropped].abs().max()),
                float(each.moved[6, dropped].abs().max()),
                RULES[name].formula,
            )
            for name, each in changes.items()
        ],
    )
    yield Look(
        "v is the velocity, m and s are Adam's means of earlier gradients and their squares (both "
        "corrected for their beginning at 0). Of plain SGD alone is it true that dropped units are "
        "not updated. With momentum they go on as before, decay shrinks them while they are "
        "away, and Adam does not wait either."
    )
    others = {name: each for name, each in changes.items() if name != "SGD"}
    for name, each in others.items():
        yield Check(f"{name}: formula", at_most(each.off(dropped), _ROUNDINGS, _OFF, unit=" eps"))
    stayed = sum(int((each.moved[:, dropped] == 0).all()) for each in others.values())
    yield Check("all but SGD move them", none_of(stayed, "of these rules move none of them"))
