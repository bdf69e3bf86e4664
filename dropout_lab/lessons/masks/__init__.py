"""Lesson ``masks``: which weights an update moves when their units are dropped."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, none_of
from dropout_lab.lessons import LessonOptions, parts
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
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, TwoLayerNetwork, random_problem

_BATCH_SIZES = (1, 2, 5, EXAMPLES)
_MAX_ROUNDINGS = 16  # an update has a few operations, each with an error of at most eps
_MASK_DRAWS = 20_000
_FORMULA_ERROR = "is the largest difference between a dropped unit's weight and the formula"


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
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
    yield parts.Plot(
        lambda: draw_figure(keep_mask, batch.keep_mask, measured_steps),
        "masks of 15 examples, and the change of each unit's weights in one step",
    )


def _show_masks(p: float, keep_mask: Tensor) -> Iterator[parts.Part]:
    dropped_counts = (~keep_mask).sum(dim=1)
    yield parts.Section(f"Masks of {EXAMPLES} examples, one for each")
    yield parts.Table(
        f"masks of {UNITS} hidden units at p = {p:g}: 1 for a kept unit, 0 for a dropped unit",
        ("example", "mask", "dropped"),
        [
            (f"{index + 1}", format_mask(row), int(dropped_counts[index]))
            for index, row in enumerate(keep_mask)
        ],
    )
    mean, deviation = float(dropped_counts.double().mean()), float(dropped_counts.double().std())
    yield parts.Observation(
        f"On average, {mean:.2f} of {UNITS} units are dropped, with an SD of {deviation:.2f}. "
        f"The expected values are {UNITS * p:.3g} and sqrt({UNITS} p (1 - p)) = "
        f"{math.sqrt(UNITS * p * (1 - p)):.2f}."
    )


def _count_always_dropped(
    p: float,
    keep_mask: Tensor,
    network: TwoLayerNetwork,
    x: Tensor,
    y: Tensor,
    seed: int,
    batches: int,
) -> Iterator[parts.Part]:
    always_dropped = ~keep_mask.any(dim=0)
    gradients = network.gradients(x, y, make_layer(p, seed, ELEMENT_KEY))
    zero_gradient = (gradients.weights_by_unit() == 0).all(dim=0)
    yield parts.Section("Which units are dropped for every example?")
    yield parts.Paragraph(
        f"Units that all {EXAMPLES} examples above drop: {format_units(always_dropped)}. Now use "
        f"these masks in a network of 5 inputs, {UNITS} hidden units with ReLU, and 1 output. "
        f"Units whose weights have a gradient of 0: {format_units(zero_gradient)}."
    )
    yield parts.Formula("probability that all n examples drop a unit: p^n")
    counts = count_always_dropped(make_layer(p, seed, COUNT_KEY), UNITS, _BATCH_SIZES, batches)
    yield always_dropped_table(counts, UNITS, "units", batches)
    keep_masks = sample_keep_mask(make_layer(p, seed, COUNT_KEY), _MASK_DRAWS, EXAMPLES, UNITS)
    unused_units = _mean_unused_units(keep_masks & (network.hidden(x) > 0))
    yield parts.Paragraph(
        f"For this network and batch, masks were drawn {_MASK_DRAWS:,} times. On average "
        f"{unused_units:.3g} units have a gradient of 0. Of these, "
        f"{_mean_unused_units(keep_masks):.2g} are dropped for every example. In the other cases "
        "ReLU outputs 0 wherever the unit is kept."
    )
    yield parts.Misconception(
        "A common demonstration shows a mask of 15 examples by 10 units at p = 0.5, makes a "
        "step, and concludes: 'The weights that were dropped for all examples were not "
        "updated.' This is right for plain SGD, but such a mask does not show it. With a mask "
        f"for each example, such a unit occurs in about one of {2**EXAMPLES / UNITS:,.0f} "
        "batches, 2^15 / 10. A weight that does not move in the demonstration most likely leads "
        "into a unit for which ReLU outputs 0 wherever the unit is kept. Suppose that ReLU "
        "outputs 0 for a random half of the examples. Then a batch leaves the unit unused with "
        "probability 0.75^15, and such a unit occurs in one of "
        f"{1 / (1 - (1 - 0.75**EXAMPLES) ** UNITS):.1f} batches, 1 / (1 - (1 - 0.75^15)^10)."
    )
    yield check_always_dropped("as many as units p^n", counts, "units")


def _mean_unused_units(used_units: Tensor) -> float:
    """Count the units that no example uses: mean over batches ``(batches, examples, units)``."""
    return float((~used_units.any(dim=1)).sum()) / len(used_units)


def _show_shared_mask(batch: SharedMaskBatch) -> Iterator[parts.Part]:
    sizes = batch.network.gradients(batch.x, batch.y, batch.layer).weights_by_unit().abs()
    input_weights, bias, output_weights = sizes[:5].amax(dim=0), sizes[5], sizes[6]
    yield parts.Section("One mask for all examples")
    yield parts.Paragraph(
        'Now all examples share a mask (mask = "batch"), so every example drops the same units. A '
        "unit is active if it is above 0 for some example. The lesson uses the first mask that "
        "drops an active unit and keeps another. Here this is mask number "
        f"{batch.rejected_masks + 1}: {format_mask(batch.keep_mask[0])}. The table shows the "
        "gradients of one backward pass:"
    )
    yield parts.Table(
        "largest absolute gradient",
        ("unit", "dropped", "5 incoming weights", "bias", "outgoing weight"),
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
    yield parts.Formula(
        "summed over the examples, with d = dL/dyhat:\n"
        "dL/dW1[i, j] = x[i] relu'(z[j]) k[j] / (1 - p) W2[j] d\n"
        "dL/dW2[j]    = h[j] k[j] / (1 - p) d"
    )
    yield parts.Observation(
        "k[j] is a factor of both gradients. If a unit is dropped, k[j] = 0, so its incoming "
        "and outgoing weights have a gradient of exactly 0. A kept unit that is below 0 for "
        "every example also has a gradient of 0, because of ReLU."
    )
    nonzero_gradients = int((sizes[:, batch.dropped_units] != 0).sum())
    without_gradient = ((input_weights + bias) == 0) | (output_weights == 0)
    missing_gradients = int(without_gradient[~batch.dropped_units & batch.active_units].sum())
    yield parts.Check(
        "dropped: gradient 0",
        none_of(nonzero_gradients, "weights of dropped units have a nonzero gradient"),
    )
    description = "kept and active units have no gradient in their incoming or outgoing weights"
    yield parts.Check("kept: a gradient", none_of(missing_gradients, description))


def _show_sgd_step(batch: SharedMaskBatch) -> Iterator[parts.Part]:
    network, weights_before = batch.network.copy(), batch.network.weights_by_unit()
    batch.update(network, UPDATE_RULES["SGD"].make_optimizer(network), batch.layer)
    weights_after = network.weights_by_unit()
    gradient = batch.network.gradients(batch.x, batch.y, batch.layer).weights_by_unit()
    units = [
        int(torch.where(selection & batch.active_units)[0][0])
        for selection in (batch.dropped_units, ~batch.dropped_units)
    ]
    weight_names = {0: "input 1 to unit {}", 5: "bias of unit {}", 6: "unit {} to output"}
    yield parts.Section("Before and after a step of plain SGD")
    yield parts.Formula(f"w after = w before - lr dL/dw,  lr = {LEARNING_RATE:g}")
    yield parts.Table(
        "weights of a dropped unit and of a kept unit",
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
    yield parts.Misconception(
        "Some demonstrations print 'before' as the weight and 'after' as the weight - lr "
        "gradient, both after optimizer.step(). By then the weight has already moved. From "
        f"input 1 to unit {units[1] + 1}, 'before' would be {new_weight:.6g} and 'after' "
        f"{new_weight - LEARNING_RATE * slope:.6g}, which applies the step twice. The weight "
        f"really went from {old_weight:.6g} to {new_weight:.6g}. Dropped units hide this mistake."
    )
    moved_weights = int((weights_before != weights_after)[:, batch.dropped_units].sum())
    yield parts.Check("SGD: dropped stay", none_of(moved_weights, "weights of dropped units moved"))


def _compare_rules(
    batch: SharedMaskBatch, changes: Mapping[str, WeightChange]
) -> Iterator[parts.Part]:
    dropped_units = batch.dropped_units
    yield parts.Section("Momentum, weight decay, Adam")
    yield parts.Paragraph(
        f"Each rule first makes {EARLIER_STEPS} steps with a mask for each example. Then it "
        "makes one step with the shared mask, whose dropped units have a gradient of 0."
    )
    yield parts.Table(
        "largest absolute change of a dropped unit's weights in this step",
        ("rule", "incoming", "outgoing", "change of each weight"),
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
    yield parts.Observation(
        "v is the velocity. m and s are Adam's means of earlier gradients and of their squares, "
        "both corrected for their start at 0. Only plain SGD leaves dropped units unchanged. "
        "Momentum keeps moving their weights, weight decay keeps shrinking them, and Adam keeps "
        "moving them too."
    )
    other_changes = {name: change for name, change in changes.items() if name != "SGD"}
    for name, change in other_changes.items():
        yield parts.Check(
            f"{name}: formula",
            at_most(
                change.formula_error(dropped_units), _MAX_ROUNDINGS, _FORMULA_ERROR, unit=" eps"
            ),
        )
    unmoved_rules = sum(
        int((change.measured_step[:, dropped_units] == 0).all())
        for change in other_changes.values()
    )
    yield parts.Check(
        "all but SGD move them", none_of(unmoved_rules, "of these rules move no dropped unit")
    )
