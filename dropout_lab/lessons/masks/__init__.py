"""Lesson ``masks``: which weights an update moves when their units are dropped."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, none_of
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.mask_helpers import (
    always_dropped_table,
    check_always_dropped,
    count_always_dropped,
    format_mask,
    format_units,
    sample_keep_mask,
)
from dropout_lab.lessons.masks.experiment import (
    COUNT_KEY,
    EARLIER_STEPS,
    ELEMENT_KEY,
    LEARNING_RATE,
    UPDATE_RULES,
    SharedMaskBatch,
    WeightChange,
    make_layer,
)
from dropout_lab.lessons.masks.picture import draw_figure
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Section,
    Table,
)
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, TwoLayerNetwork, random_problem

_BATCH_SIZES = (1, 2, 5, EXAMPLES)
_MAX_ROUNDINGS = 16  # an update has a few operations, each with an error of at most eps
_MASK_DRAWS = 20_000
_FORMULA_ERROR = "is how far a weight of a dropped unit is from where the formula moves it"


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    network, x, y = random_problem(options.seed)
    keep_mask = sample_keep_mask(make_layer(p, options.seed, ELEMENT_KEY), EXAMPLES, UNITS)
    yield from _show_masks(p, keep_mask)
    batches = 20_000 if options.quick else 100_000
    yield from _count_always_dropped(p, keep_mask, network, x, y, options.seed, batches)
    batch = SharedMaskBatch.draw(network, x, y, p, options.seed)
    yield from _show_shared_mask(batch)
    yield from _show_sgd_step(batch)
    changes = {name: WeightChange.measure(rule, batch) for name, rule in UPDATE_RULES.items()}
    yield from _compare_rules(batch, changes)
    measured_steps = {name: change.measured_step for name, change in changes.items()}
    yield Plot(
        lambda: draw_figure(keep_mask, batch.keep_mask, measured_steps),
        "masks of 15 examples, and how far a step moves the weights of each unit",
    )


def _show_masks(p: float, keep_mask: Tensor) -> Iterator[Part]:
    dropped_counts = (~keep_mask).sum(dim=1)
    yield Section(f"Masks of {EXAMPLES} examples, each with its own")
    yield Table(
        f"{UNITS} hidden units at p = {p:g}: 1 where one is kept, 0 where it is dropped",
        ("example", "mask", "dropped"),
        [
            (f"{index + 1}", format_mask(row), int(dropped_counts[index]))
            for index, row in enumerate(keep_mask)
        ],
    )
    mean, deviation = float(dropped_counts.double().mean()), float(dropped_counts.double().std())
    yield Observation(
        f"{mean:.2f} of {UNITS} are dropped on average, with a standard deviation of "
        f"{deviation:.2f}; to be expected are {UNITS * p:.3g} and "
        f"sqrt({UNITS} p (1 - p)) = {math.sqrt(UNITS * p * (1 - p)):.2f}."
    )


def _count_always_dropped(
    p: float,
    keep_mask: Tensor,
    network: TwoLayerNetwork,
    x: Tensor,
    y: Tensor,
    seed: int,
    batches: int,
) -> Iterator[Part]:
    always_dropped = ~keep_mask.any(dim=0)
    gradients = network.gradients(x, y, make_layer(p, seed, ELEMENT_KEY))
    zero_gradient = (gradients.weights_by_unit() == 0).all(dim=0)
    yield Section("Which units are dropped for every example?")
    yield Paragraph(
        f"Above: {format_units(always_dropped)}. And in a network of 5 inputs, {UNITS} hidden "
        "units with ReLU and these masks, and 1 output, units whose weights have a gradient of 0: "
        f"{format_units(zero_gradient)}."
    )
    yield Formula("a unit is dropped for all n examples with the chance p^n")
    counts = count_always_dropped(make_layer(p, seed, COUNT_KEY), UNITS, _BATCH_SIZES, batches)
    yield always_dropped_table(counts, UNITS, "units", batches)
    keep_masks = sample_keep_mask(make_layer(p, seed, COUNT_KEY), _MASK_DRAWS, EXAMPLES, UNITS)
    unused_units = _mean_unused_units(keep_masks & (network.hidden(x) > 0))
    yield Paragraph(
        f"Over {_MASK_DRAWS:,} draws of masks for this network and batch, {unused_units:.3g} of "
        "its units have a gradient of 0 on average. Dropped for every example are "
        f"{_mean_unused_units(keep_masks):.2g}; the rest ReLU holds at 0 wherever they are kept."
    )
    yield Misconception(
        "A mask of 15 examples by 10 units at p = 0.5 is shown, a step is made, and it is "
        "concluded 'the weights that were dropped for all examples were not updated'. The "
        "conclusion is right of plain SGD, but such a mask does not show it: with a mask for each "
        f"example there is such a unit in about one of {2**EXAMPLES / UNITS:,.0f} batches, "
        "2^15 / 10. A weight that does not move in that show most likely leads into a unit that "
        "ReLU holds at 0 wherever it is kept. If it is at 0 for half of the examples, at random, "
        "it stays unused by a batch with the chance 0.75^15, and there is such a unit in one of "
        f"{1 / (1 - (1 - 0.75**EXAMPLES) ** UNITS):.1f} batches, 1 / (1 - (1 - 0.75^15)^10)."
    )
    yield check_always_dropped("as many as units p^n", counts, "units")


def _mean_unused_units(used_units: Tensor) -> float:
    """Count the units that no example uses: mean over batches ``(batches, examples, units)``."""
    return float((~used_units.any(dim=1)).sum()) / len(used_units)


def _show_shared_mask(batch: SharedMaskBatch) -> Iterator[Part]:
    sizes = batch.network.gradients(batch.x, batch.y, batch.layer).weights_by_unit().abs()
    input_weights, bias, output_weights = sizes[:5].amax(dim=0), sizes[5], sizes[6]
    yield Section("One mask for all examples")
    yield Paragraph(
        'So that units are dropped for every example, all examples share a mask (mask = "batch"). '
        "The first drawn that drops some units that are active (above 0 for some example), and "
        f"keeps some, is number {batch.rejected_masks + 1}: {format_mask(batch.keep_mask[0])}. "
        "One pass backward:"
    )
    yield Table(
        "largest size of a gradient",
        ("unit", "dropped", "of 5 weights into it", "of its bias", "of its weight out"),
        [
            (
                f"{unit + 1}",
                "yes" if is_dropped else "",
                float(input_weights[unit]),
                float(bias[unit]),
                float(output_weight),
            )
            for unit, (is_dropped, output_weight) in enumerate(
                zip(batch.dropped_units, output_weights, strict=True)
            )
        ],
    )
    yield Formula(
        "summed over the examples, with d = dL/dyhat:\n"
        "dL/dW1[i, j] = x[i] relu'(z[j]) k[j] / (1 - p) W2[j] d\n"
        "dL/dW2[j]    = h[j] k[j] / (1 - p) d"
    )
    yield Observation(
        "k[j] = 0 is a factor of both: what leads into a dropped unit and what leads out of it has "
        "a gradient of exactly 0. (A unit kept but below 0 for every example has 0 too: ReLU.)"
    )
    nonzero_gradients = int((sizes[:, batch.dropped_units] != 0).sum())
    without_gradient = ((input_weights + bias) == 0) | (output_weights == 0)
    missing_gradients = int(without_gradient[~batch.dropped_units & batch.active_units].sum())
    yield Check(
        "dropped: gradient 0",
        none_of(nonzero_gradients, "weights of dropped units have a gradient"),
    )
    description = "units that are kept, and active, have none on the way in or on the way out"
    yield Check("kept: a gradient", none_of(missing_gradients, description))


def _show_sgd_step(batch: SharedMaskBatch) -> Iterator[Part]:
    network, weights_before = batch.network.copy(), batch.network.weights_by_unit()
    batch.update(network, UPDATE_RULES["SGD"].make_optimizer(network), batch.layer)
    weights_after = network.weights_by_unit()
    gradient = batch.network.gradients(batch.x, batch.y, batch.layer).weights_by_unit()
    units = [
        int(torch.where(selection & batch.active_units)[0][0])
        for selection in (batch.dropped_units, ~batch.dropped_units)
    ]
    weight_names = {0: "input 1 to unit {}", 5: "bias of unit {}", 6: "unit {} to output"}
    yield Section("Before and after a step of plain SGD")
    yield Formula(f"w after = w before - lr dL/dw,  lr = {LEARNING_RATE:g}")
    yield Table(
        "weights of a unit that is dropped, and of one that is kept",
        ("weight", "", "before", "gradient", "after"),
        [
            (
                name.format(unit + 1),
                state,
                *(float(values[row, unit]) for values in (weights_before, gradient, weights_after)),
            )
            for unit, state in zip(units, ("dropped", "kept"), strict=True)
            for row, name in weight_names.items()
        ],
        digits=6,
    )
    old_weight, slope, new_weight = (
        float(values[0, units[1]]) for values in (weights_before, gradient, weights_after)
    )
    yield Misconception(
        "To show the step, 'before' is printed as the weight and 'after' as the weight - lr "
        "gradient, both once optimizer.step() is done. By then the weight has moved: from input 1 "
        f"to unit {units[1] + 1} 'before' would be {new_weight:.6g} and 'after' "
        f"{new_weight - LEARNING_RATE * slope:.6g}, the step made twice; it went from "
        f"{old_weight:.6g} to {new_weight:.6g}. Dropped units hide this."
    )
    moved_weights = int((weights_before != weights_after)[:, batch.dropped_units].sum())
    yield Check("SGD: dropped stay", none_of(moved_weights, "weights of dropped units moved"))


def _compare_rules(batch: SharedMaskBatch, changes: Mapping[str, WeightChange]) -> Iterator[Part]:
    dropped_units = batch.dropped_units
    yield Section("Momentum, weight decay, Adam")
    yield Paragraph(
        f"Before this step, {EARLIER_STEPS} steps with a mask for each example were made under "
        "each rule. Then the same mask for all examples: its dropped units have a gradient of 0."
    )
    yield Table(
        "how far the step moves weights of dropped units, largest size",
        ("rule", "into", "out", "each moves by"),
        [
            (
                name,
                float(change.measured_step[:5, dropped_units].abs().max()),
                float(change.measured_step[6, dropped_units].abs().max()),
                UPDATE_RULES[name].formula,
            )
            for name, change in changes.items()
        ],
    )
    yield Observation(
        "v is the velocity, m and s are Adam's means of earlier gradients and their squares (both "
        "corrected for their beginning at 0). Of plain SGD alone is it true that dropped units are "
        "not updated. With momentum they go on as before, decay shrinks them while they are "
        "away, and Adam does not wait either."
    )
    other_changes = {name: change for name, change in changes.items() if name != "SGD"}
    for name, change in other_changes.items():
        yield Check(
            f"{name}: formula",
            at_most(
                change.formula_error(dropped_units), _MAX_ROUNDINGS, _FORMULA_ERROR, unit=" eps"
            ),
        )
    unmoved_rules = sum(
        int((change.measured_step[:, dropped_units] == 0).all())
        for change in other_changes.values()
    )
    yield Check("all but SGD move them", none_of(unmoved_rules, "of these rules move none of them"))
