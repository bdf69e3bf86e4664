"""The section model: the layers of the network and its initial weights."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.sections.dropout import is_baseline, p_of_places
from dropout_lab.config.sections.evaluation import diagnostics
from dropout_lab.config.sizes import training_examples
from dropout_lab.config.types import (
    Complaint,
    ConditionalKeys,
    Counts,
    Positive,
    Rules,
    Section,
    Strength,
    Strengths,
)
from dropout_lab.printable import shown

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings


_NORMALIZATION_KEYS = {
    "normalization_position": "before", "normalization_order": "before_dropout",
}  # fmt: skip


class ModelSettings(Section):
    """The network: fully connected layers with a softmax output."""

    conditional_keys: ClassVar[ConditionalKeys] = {
        "init": {"uniform": {"init_range": None}},
        "normalization": {"batch": _NORMALIZATION_KEYS, "layer": _NORMALIZATION_KEYS},
    }
    needed_keys: ClassVar[ConditionalKeys] = {
        "init": {"normal": {"init_std": "0.01"}, "uniform": {"init_range": "0.05"}},
        "activation": {"maxout": {"pieces": "5"}},
    }

    hidden: Counts = Field((512, 512), description="Number of units of each hidden layer.")
    activation: Literal["relu", "logistic", "tanh", "selu", "linear", "maxout"] = Field(
        "relu", description="Activation of the hidden units."
    )
    pieces: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Number of linear pieces of each hidden unit, with activation: maxout."
    )
    normalization: Literal["none", "batch", "layer"] = Field(
        "none",
        description="Normalize each hidden unit over the batch (batch), or the units of a hidden "
        "layer over each example (layer), with a learned gain and shift.",
    )
    normalization_position: Literal["before", "after"] | None = Field(
        None, description="Normalize before or after the activation. null: before."
    )
    normalization_order: Literal["before_dropout", "after_dropout"] | None = Field(
        None,
        description="Which comes first where normalization and dropout are on the same side of the "
        "activation. null: before_dropout.",
    )
    init: Literal["he", "glorot", "lecun", "fan_out", "normal", "uniform"] = Field(
        "he",
        description="Initial weights. Normal with variance he 2/in, glorot 2/(in+out), lecun "
        "1/in, fan_out 1/out, normal init_std**2; or uniform in [-init_range, init_range). "
        "Biases are 0.",
    )
    init_std: Positive | None = Field(
        None, description="Standard deviation of the initial weights, with init: normal."
    )
    init_range: Strength | Strengths | None = Field(
        None,
        description="Range of the initial weights, with init: uniform: one number, or one for "
        "each weight matrix. The last may be 0.",
    )


def check_unneeded_keys(settings: "Settings") -> Iterator[Complaint]:
    """Check that init_std and pieces are given only where they are needed."""
    model = settings.model
    for key, value, other in (("init", "normal", "init_std"), ("activation", "maxout", "pieces")):
        given = getattr(model, key)
        if given != value and getattr(model, other) is not None:
            yield (
                f"model.{other}",
                f"model.{other} is given, but model.{key} is {given}: write {key}: {value}, or "
                f"leave {other} out.",
            )


def check_init_range(settings: "Settings") -> Iterator[Complaint]:
    """Check that each weight matrix has a range, and that hidden units start different."""
    matrices, given = len(settings.model.hidden) + 1, settings.model.init_range
    if settings.model.init != "uniform" or given is None:
        return
    ranges = given if isinstance(given, tuple) else (given,)
    if isinstance(given, tuple) and len(given) != matrices:
        yield (
            "model.init_range",
            f"model.init_range lists {len(given)} numbers for {matrices} weight matrices; give one "
            "number, or one for each matrix.",
        )
    elif not all(ranges[: max(1, matrices - 1)]):
        yield (
            "model.init_range",
            f"model.init_range is {shown(given)}; only the weights of the output units can start "
            "at 0, because hidden units that start equal stay equal.",
        )


def check_output_weights(settings: "Settings") -> Iterator[Complaint]:
    """Check that sparse_variational, whose noise starts from the weights, has weights above 0."""
    model = settings.model
    last = p_of_places(settings).get(len(model.hidden), 0.0)
    given = model.init_range if model.init == "uniform" else None
    zero = isinstance(given, tuple) and given[-1] == 0
    if settings.dropout.variant == "sparse_variational" and zero and last > 0:
        yield (
            "model.init_range",
            "model.init_range is 0 for the output units, but sparse_variational sets its noise in "
            "proportion to the initial weights; give a number above 0, or another placement.",
        )


def check_normalization(settings: "Settings") -> Iterator[Complaint]:
    """Check that batches have a variance, and that dropout acts on normalized units."""
    model, dropout = settings.model, settings.dropout
    if model.normalization == "none":
        return
    examples, size = training_examples(settings), settings.training.batch_size
    if model.normalization == "batch" and (size == 1 or examples % size == 1):
        which = "a batch" if size == 1 else f"the last batch of {examples} training examples"
        yield (
            "training.batch_size",
            f"training.batch_size is {size}, so {which} has one example, which has no variance: "
            "take another batch size, or normalization: layer.",
        )
    if is_baseline(settings):
        return
    position = model.normalization_position or "before"
    same_side = position == dropout.position
    if model.normalization_order is not None and not same_side:
        yield (
            "model.normalization_order",
            f"model.normalization_order is given, but normalization is {position} the activation "
            f"and dropout {dropout.position} it, which decides the order: leave it out.",
        )
    last = same_side and model.normalization_order == "after_dropout"
    kind = CATALOGUE[dropout.variant]
    if dropout.variant == "batchwise":
        yield (
            "model.normalization",
            f"model.normalization is {model.normalization}, but batchwise does not compute the "
            "units that it drops: take variant inverted, which has the same masks per example.",
        )
    elif last and kind.between:
        yield (
            "model.normalization_order",
            f"model.normalization_order is after_dropout, but {dropout.variant} acts on the "
            "weights after the normalization: leave it out.",
        )
    if last and "noise" in diagnostics(settings.evaluation):
        yield (
            "evaluation.diagnostics",
            "evaluation.diagnostics names noise, which is not measured where normalization follows "
            "dropout: leave one of them out.",
        )


RULES: Rules = {
    check_normalization: {"model", "dropout", "training", "dataset", "evaluation"},
    check_unneeded_keys: {"model"},
    check_init_range: {"model"},
    check_output_weights: {"model", "dropout"},
}
