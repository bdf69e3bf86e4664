"""Lesson ``gradients``: the gradient of a batch under dropout, example by example."""

from collections.abc import Iterator, Sequence

import torch

from dropout_lab.checks.outcome import at_most, none_of
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.gradients.experiment import CLASSES, INPUTS, ForwardPass
from dropout_lab.lessons.gradients.picture import draw_figure
from dropout_lab.lessons.mask_helpers import (
    AlwaysDroppedCount,
    always_dropped_table,
    check_always_dropped,
    count_always_dropped,
    format_mask,
    format_units,
)

_FIRST_EXAMPLES = 5  # examples of the first sections; a later section uses all


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    layer = InvertedDropout(p, noise=noise_source(options.seed))
    all_examples = ForwardPass.run(layer, options.seed)
    five_examples = all_examples.first_examples(_FIRST_EXAMPLES)
    yield from _show_forward_pass(five_examples)
    yield from _show_example_gradients(five_examples)
    yield from _compare_mean_with_batch(five_examples)
    redrawn_examples = ForwardPass.run(layer, options.seed).first_examples(_FIRST_EXAMPLES)
    yield from _compare_divisors(five_examples, redrawn_examples, all_examples)
    batches = 20_000 if options.quick else 100_000
    counts = count_always_dropped(layer, INPUTS, range(1, _FIRST_EXAMPLES + 1), batches)
    yield from _show_zero_rows(five_examples, counts, batches)
    yield parts.Plot(
        lambda: draw_figure(
            five_examples.keep_mask,
            five_examples.example_gradients().mean(dim=0),
            five_examples.gradient(),
            counts,
            batches,
        ),
        "which inputs were kept, and the gradient of each weight",
    )


def _show_forward_pass(five_examples: ForwardPass) -> Iterator[parts.Part]:
    kept_value = float(five_examples.inputs.max())
    yield parts.Section("Five examples of ones under dropout")
    kept_text = f", whose value is now {kept_value:.3g}" if kept_value else ""
    yield parts.Table(
        f"masks of {INPUTS} inputs: 1 for a kept input{kept_text}; 0 for a dropped input",
        ("example", "mask", "dropped", "class"),
        [
            (f"{index + 1}", format_mask(mask), int((~mask).sum()), int(label))
            for index, (mask, label) in enumerate(
                zip(five_examples.keep_mask, five_examples.labels, strict=True)
            )
        ],
    )
    yield parts.Paragraph(
        "A linear map takes the 10 inputs to 5 classes. The masks are drawn once. All following "
        "steps use the same output of the layer, since other masks would give another network. "
        "Inputs dropped in all five examples: "
        f"{format_units(five_examples.always_dropped_inputs)}."
    )
    yield parts.Formula("z = x W + b,  L = mean over the examples of  -log softmax(z)[class]")


def _show_example_gradients(five_examples: ForwardPass) -> Iterator[parts.Part]:
    example_gradients = five_examples.example_gradients()
    errors = five_examples.logits().softmax(dim=1) - torch.nn.functional.one_hot(
        five_examples.labels, CLASSES
    )
    formula = five_examples.inputs.unsqueeze(2) * errors.unsqueeze(1)
    yield parts.Section("The gradient of each example alone")
    yield parts.Formula(
        "dL/dW[i, c] = x[i] (softmax(z)[c] - y[c]),  y[c] = 1 for the class, else 0"
    )
    yield parts.Table(
        "gradient of W for each example, by autograd",
        ("example", "nonzero rows", "inputs kept", "norm", "largest difference from the formula"),
        [
            (
                f"{index + 1}",
                int((gradient != 0).any(dim=1).sum()),
                int(mask.sum()),
                float(gradient.norm()),
                float((gradient - formula_gradient).abs().max()),
            )
            for index, (gradient, mask, formula_gradient) in enumerate(
                zip(example_gradients, five_examples.keep_mask, formula, strict=True)
            )
        ],
    )
    yield parts.Observation(
        "A dropped input has x[i] = 0, so its row of the gradient is 0. An example that drops "
        "all inputs has a gradient for the bias but none for the weights."
    )
    largest_error = float((example_gradients - formula).abs().max())
    description = "is the largest difference between an example's gradient and x (softmax - y)"
    yield parts.Check(
        "each is x (softmax - y)", at_most(largest_error, five_examples.rounding(), description)
    )


def _compare_mean_with_batch(five_examples: ForwardPass) -> Iterator[parts.Part]:
    batch_gradient = five_examples.gradient()
    yield parts.Section("The mean of these gradients, and the gradient of the batch")
    for title, gradient in (
        ("the mean of the five gradients", five_examples.example_gradients().mean(dim=0)),
        ("the gradient of the batch", batch_gradient),
    ):
        yield parts.Table(
            title,
            ("input", *(f"class {c}" for c in range(CLASSES))),
            [(f"{index + 1}", *row) for index, row in enumerate(gradient.tolist())],
            digits=3,
        )
    yield parts.Observation(
        "The two tables are equal. L is a mean over the examples, so its gradient is a mean "
        "over the examples too. W is stored as (in, out) here, so each input has a row. "
        "nn.Linear stores (out, in), so there each input has a column with the same numbers."
    )


def _compare_divisors(
    five_examples: ForwardPass, redrawn_examples: ForwardPass, all_examples: ForwardPass
) -> Iterator[parts.Part]:
    count = len(all_examples.labels)
    batch_gradient = all_examples.gradient()
    gradient_sum = all_examples.example_gradients().sum(dim=0)
    keep_counts = all_examples.keep_mask.sum(dim=0).clamp(min=1).unsqueeze(1)
    estimates = {
        f"sum / {count} examples": gradient_sum / count,
        f"sum / {CLASSES} classes": gradient_sum / CLASSES,
        "sum / examples that kept the input": gradient_sum / keep_counts,
    }
    batch_norm = float(batch_gradient.norm())
    yield parts.Section(f"Divide by the number of examples: here {count}")
    rows = [
        (
            name,
            float(estimate.norm()) / (batch_norm or 1.0),
            float((estimate - batch_gradient).abs().max()),
        )
        for name, estimate in estimates.items()
    ]
    yield parts.Table(
        "the summed gradients of single examples, compared with the gradient of the batch",
        ("", "norm / batch's norm", "largest difference"),
        rows,
    )
    redrawn_difference = float((redrawn_examples.gradient() - five_examples.gradient()).abs().max())
    yield parts.Misconception(
        "Some published code shows this with five examples and five classes, and divides the "
        "sum by the first axis of nn.Linear's gradient. That axis is the number of classes, so "
        "the result is right by accident. A mean over only the examples that used a weight is "
        "wrong too. An example that does not use the weight counts with a gradient of 0 "
        "(Srivastava et al. 2014, section 5.1)."
    )
    yield parts.Paragraph(
        "The masks must be the same, too. If the first five examples are dropped again with new "
        f"masks, the gradient differs from the table by up to {redrawn_difference:.3g}."
    )
    differences = [
        float((examples.example_gradients().mean(dim=0) - examples.gradient()).abs().max())
        for examples in (five_examples, all_examples)
    ]
    bound = max(five_examples.rounding(), all_examples.rounding())
    description = (
        "is the largest difference between the mean over examples and the gradient of the batch"
    )
    yield parts.Check("the mean is the batch's", at_most(max(differences), bound, description))


def _show_zero_rows(
    five_examples: ForwardPass, counts: Sequence[AlwaysDroppedCount], batches: int
) -> Iterator[parts.Part]:
    zero_rows = (five_examples.gradient() == 0).all(dim=1)
    yield parts.Section("Rows that are exactly 0")
    yield parts.Paragraph(
        f"Inputs whose row of the batch's gradient is 0: {format_units(zero_rows)}. A row is 0 "
        "if every example dropped the input. One example that kept the input is enough for a "
        "gradient. The table shows how many such inputs to expect:"
    )
    yield always_dropped_table(counts, INPUTS, "inputs", batches)
    yield parts.Observation(
        "The larger the batch, the fewer inputs every example drops. In a batch of 128 at p = "
        "0.5 the expected number is 10 / 2^128, which is practically 0."
    )
    wrong_rows = int((zero_rows != five_examples.always_dropped_inputs).sum())
    description = f"of {INPUTS} rows are 0 although an example kept the input, or the reverse"
    yield parts.Check("0 where always dropped", none_of(wrong_rows, description))
    yield check_always_dropped("as many as inputs p^n", counts, "inputs")
