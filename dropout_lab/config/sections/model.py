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


def check_needed_keys(settings: "Settings") -> Iterator[Complaint]:
    """Check that an initialization and maxout have the keys they need, and the others have not."""
    model = settings.model
    if model.init == "normal" and model.init_std is None:
        yield "model.init", "model.init is normal, which needs model.init_std, e.g. init_std: 0.01."
    if model.init != "normal" and model.init_std is not None:
        yield (
            "model.init_std",
            f"model.init_std is given, but model.init is {model.init}: write init: normal, "
            "or leave init_std out.",
        )
    if model.init == "uniform":
        yield from _check_init_range(model)
    if model.activation == "maxout" and model.pieces is None:
        yield (
            "model.activation",
            "model.activation is maxout, which needs model.pieces, e.g. pieces: 5.",
        )
    if model.activation != "maxout" and model.pieces is not None:
        yield (
            "model.pieces",
            f"model.pieces is given, but model.activation is {model.activation}: write "
            "activation: maxout, or leave pieces out.",
        )


def _check_init_range(model: ModelSettings) -> Iterator[Complaint]:
    """Check that each weight matrix has a range, and that hidden units start different."""
    matrices, given = len(model.hidden) + 1, model.init_range
    if given is None:
        yield (
            "model.init",
            "model.init is uniform, which needs model.init_range, e.g. init_range: 0.05.",
        )
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
    check_needed_keys: {"model"},
    check_output_weights: {"model", "dropout"},
}
