"""The section model: the layers of the network and its initial weights."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dropout_lab.config.sections.dropout import p_of_places
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


class ModelSettings(Section):
    """The network: fully connected layers with a softmax output."""

    conditional_keys: ClassVar[ConditionalKeys] = {"init": {"uniform": {"init_range": None}}}
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


RULES: Rules = {
    check_unneeded_keys: {"model"},
    check_init_range: {"model"},
    check_output_weights: {"model", "dropout"},
}
