"""The section training: length, optimizer, schedules, averages and early stopping."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from dropout_lab.config.sizes import training_examples, training_length, updates_per_epoch
from dropout_lab.config.types import (
    BelowOne,
    BetweenZeroAndOne,
    Complaint,
    ConditionalKeys,
    Count,
    Counts,
    Positive,
    Positives,
    Rules,
    Section,
    Seed,
    Share,
    Span,
    Strength,
)

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

AVERAGE_DECAY = 0.999  # where the config gives none
# Of learning_rate_schedule one_cycle where the settings give none, as in torch's OneCycleLR:
# div_factor 25, final_div_factor 1e4, pct_start 0.3.
ONE_CYCLE_START, ONE_CYCLE_END, ONE_CYCLE_PEAK = 0.04, 4e-6, 0.3


class TrainingSettings(Section):
    """How the network is trained."""

    conditional_keys: ClassVar[ConditionalKeys] = {
        "learning_rate_schedule": {
            "exponential": {"learning_rate_decay": None},
            "inverse_time": {"learning_rate_updates": None},
            "steps": {"learning_rate_steps": None, "learning_rate_factors": None},
            "linear": {"learning_rate_span": None, "learning_rate_end": 0.0},
            "cosine": {"learning_rate_span": None, "learning_rate_end": 0.0},
            "one_cycle": {
                "learning_rate_start": ONE_CYCLE_START,
                "learning_rate_peak": ONE_CYCLE_PEAK,
                "learning_rate_end": ONE_CYCLE_END,
            },
        },
        "average": {
            "exponential": {"average_decay": AVERAGE_DECAY},
            "last": {"average_epochs": None},
        },
        "momentum_schedule": {
            "linear": {"start_momentum": None, "momentum_epochs": None},
            "exponential": {"start_momentum": None, "momentum_updates": None},
        },
    }
    needed_keys: ClassVar[ConditionalKeys] = {
        "learning_rate_schedule": {
            "exponential": {"learning_rate_decay": "0.998"},
            "inverse_time": {"learning_rate_updates": "10000"},
            "steps": {"learning_rate_steps": "[600, 400]", "learning_rate_factors": "[1, 0.5]"},
        },
        "momentum_schedule": {
            "linear": {"start_momentum": "0.5", "momentum_epochs": "500"},
            "exponential": {"start_momentum": "0.5", "momentum_updates": "100000"},
        },
        "average": {"last": {"average_epochs": "10"}},
    }

    epochs: Count | None = Field(20, description="Number of passes over the training set.")
    updates: Count | None = Field(None, description="Number of optimizer steps, instead of epochs.")
    batch_size: Count = Field(
        128, description="Number of examples in a batch. The last batch of an epoch may be smaller."
    )
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd",
        description="Optimizer of torch.optim; rmsprop with alpha 0.99, not centered and without "
        "momentum.",
    )
    learning_rate: Positive = Field(0.05, description="Learning rate, before its schedule.")
    learning_rate_schedule: Literal[
        "constant", "exponential", "inverse_time", "steps", "linear", "cosine", "one_cycle"
    ] = Field("constant", description="How the learning rate changes during training.")
    warmup: Strength = Field(
        0.0,
        description="Number of epochs in which the learning rate rises to that of its schedule. "
        "May be a fraction.",
    )
    learning_rate_decay: Share | None = Field(
        None, description="Factor of the learning rate for each epoch, with schedule exponential."
    )
    learning_rate_updates: Count | None = Field(
        None,
        description="Number of updates after which schedule inverse_time has halved the learning "
        "rate.",
    )
    learning_rate_steps: Counts | None = Field(
        None,
        description="Number of epochs of each step, with schedule steps. The last step has no end.",
    )
    learning_rate_factors: Positives | None = Field(
        None, description="Factor of the learning rate in each step, with schedule steps."
    )
    learning_rate_span: Span | None = Field(
        None,
        description="Epochs at which schedule linear or cosine begins and ends. null: the whole "
        "training.",
    )
    learning_rate_end: Strength | None = Field(
        None,
        description="Factor of the learning rate at the end of schedule linear, cosine or "
        "one_cycle. null: 0 (one_cycle: 4e-6).",
    )
    learning_rate_start: Share | None = Field(
        None,
        description="Factor of the learning rate at the start of schedule one_cycle. null: 0.04.",
    )
    learning_rate_peak: BetweenZeroAndOne | None = Field(
        None, description="Share of the updates in which schedule one_cycle rises to 1. null: 0.3."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="Momentum of sgd. adam and adamw use beta 0.9 and 0.999; rmsprop has none."
    )
    average: Literal["none", "exponential", "last"] = Field(
        "none",
        description="Measure an average of the weights; training does not use it. exponential: a "
        "running mean over the updates; last: the mean of the last epochs; none: the weights "
        "themselves.",
    )
    average_decay: BelowOne | None = Field(
        None,
        description="Share of the running mean that is kept at each update, with average: "
        "exponential. null: 0.999.",
    )
    average_epochs: Count | None = Field(
        None, description="Number of last epochs in the mean, with average: last."
    )
    patience: Count | None = Field(
        None,
        description="Early stopping: stop after this many epochs without a better validation "
        "accuracy, and restore the weights of the best epoch.",
    )
    initial_weights_seed: Seed | None = Field(
        None,
        description="Seed of the initial weights, the same for all runs. null: the run's seed.",
    )
    data_order_seed: Seed | None = Field(
        None,
        description="Seed of the order of the examples, the same for all runs. null: the run's "
        "seed.",
    )
    mask_seed: Seed | None = Field(
        None,
        description="Seed of the masks and of input noise, the same for all runs. null: the run's "
        "seed.",
    )
    momentum_schedule: Literal["constant", "linear", "exponential"] = Field(
        "constant", description="How the momentum of sgd rises to its value."
    )
    start_momentum: BelowOne | None = Field(
        None, description="Momentum at the first update, with a momentum schedule."
    )
    momentum_epochs: Count | None = Field(
        None,
        description="Number of epochs after which momentum schedule linear has reached the "
        "momentum.",
    )
    momentum_updates: Count | None = Field(
        None,
        description="Number of updates in which momentum schedule exponential covers 63% of its "
        "range.",
    )
    dampening: bool = Field(
        False,
        description="Multiply the gradient of sgd by 1 - momentum before it enters the velocity.",
    )
    nesterov: bool = Field(False, description="Use Nesterov momentum in sgd.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="float32, or bfloat16 in the matrix products only."
    )

    @model_validator(mode="before")
    @classmethod
    def _updates_replace_epochs(cls, data: Any) -> Any:
        """Leave out the default number of epochs where ``updates`` is given."""
        if isinstance(data, dict) and data.get("updates") is not None and "epochs" not in data:
            return {**data, "epochs": None}
        return data


def check_batch_size(settings: "Settings") -> Iterator[Complaint]:
    """Check that a batch has at most all training examples."""
    examples = training_examples(settings)
    if settings.training.batch_size > examples >= settings.dataset.describe().classes:
        yield (
            "training.batch_size",
            f"training.batch_size is {settings.training.batch_size}, more than the {examples} "
            f"training examples: give at most {examples}.",
        )


def check_length(settings: "Settings") -> Iterator[Complaint]:
    """Check that either epochs or updates is given."""
    training = settings.training
    if (training.epochs is None) == (training.updates is None):
        given = "both are" if training.epochs is not None else "neither is"
        yield "training.updates", f"training needs epochs or updates, one of them; {given} given."


def check_learning_rate(settings: "Settings") -> Iterator[Complaint]:
    """Check that the learning rate schedule fits into the training."""
    training = settings.training
    schedule = training.learning_rate_schedule
    steps, factors = training.learning_rate_steps, training.learning_rate_factors
    if schedule == "steps" and steps and factors and len(steps) != len(factors):
        yield (
            "training.learning_rate_factors",
            f"training.learning_rate_factors lists {len(factors)} factors for {len(steps)} steps; "
            "give one factor for each of learning_rate_steps.",
        )
    span = training.learning_rate_span
    examples = training_examples(settings)
    epochs, updates = training_length(settings, examples)
    if schedule in ("linear", "cosine") and span and epochs and not span[0] < span[1] <= epochs:
        yield (
            "training.learning_rate_span",
            f"training.learning_rate_span is {list(span)}; give two numbers of epochs, the first "
            f"below the second and the second at most {epochs}, the epochs of the training; or "
            "null for all of it.",
        )
    peak = training.learning_rate_peak or ONE_CYCLE_PEAK
    if schedule == "one_cycle" and updates and peak * updates <= 1:
        yield (
            "training.learning_rate_schedule",
            f"training.learning_rate_schedule is one_cycle, but a share of {peak:g} of {updates} "
            "updates leaves no time for the rise; train for longer or give a larger "
            "learning_rate_peak.",
        )
    if training.warmup * updates_per_epoch(settings, examples) > updates > 0:
        yield (
            "training.warmup",
            f"training.warmup is {training.warmup:g}, longer than the training; give a number of "
            f"epochs, at most {updates / updates_per_epoch(settings, examples):g}.",
        )


def check_momentum(settings: "Settings") -> Iterator[Complaint]:
    """Check that the optimizer has the momentum that other keys are about."""
    training = settings.training
    sgd = training.optimizer == "sgd"
    for key in ("nesterov", "dampening"):
        if getattr(training, key) and (not sgd or training.momentum == 0):
            message = f"training.{key} is true, which needs optimizer: sgd and a momentum above 0."
            yield f"training.{key}", message
    if training.momentum_schedule != "constant" and not sgd:
        yield (
            "training.momentum_schedule",
            f"training.momentum_schedule is {training.momentum_schedule}, but "
            f"{training.optimizer} has "
            + ("no" if training.optimizer == "rmsprop" else "beta 0.9 and 0.999 in place of a")
            + " momentum; write optimizer: sgd, or leave it out.",
        )
    if training.dampening and training.nesterov:
        yield (
            "training.dampening",
            "training.dampening is true, and so is nesterov, whose step takes the gradient "
            "unscaled; leave one of them out.",
        )


def check_average(settings: "Settings") -> Iterator[Complaint]:
    """Check that the training has the last epochs whose weights are averaged."""
    training = settings.training
    if training.average != "last":
        return
    epochs, _ = training_length(settings, training_examples(settings))
    if training.average_epochs and training.average_epochs > epochs > 0:
        yield (
            "training.average_epochs",
            f"training.average_epochs is {training.average_epochs}, and the training has {epochs} "
            f"epochs; give at most {epochs}.",
        )
    if training.patience is not None:
        yield (
            "training.average",
            "training.average is last, but with training.patience a run may stop before its last "
            "epochs; write average: exponential, or leave patience out.",
        )


def find_cautions(settings: "Settings") -> Iterator[str]:
    """Yield a warning if an average of the weights includes much of the early training."""
    training = settings.training
    if training.average != "exponential":
        return
    decay = AVERAGE_DECAY if training.average_decay is None else training.average_decay
    _, updates = training_length(settings, training_examples(settings))
    if 1 / (1 - decay) > updates / 5 > 0:
        smaller = max(0.5, 1 - 20 / updates)
        yield (
            f"training.average_decay is {decay:g}: the average is over about "
            f"{1 / (1 - decay):,.0f} updates, and the training has {updates:,}, so early weights "
            f"are part of it; give a smaller value, e.g. average_decay: {smaller:.2g}."
        )


def check_patience(settings: "Settings") -> Iterator[Complaint]:
    """Check that early stopping has validation examples."""
    patience = settings.training.patience
    if patience is not None and settings.dataset.validation_size == 0:
        yield (
            "training.patience",
            f"training.patience is {patience}, but dataset.validation_size is 0, and early "
            "stopping looks at the validation accuracy; hold some examples out.",
        )


RULES: Rules = {
    check_batch_size: {"dataset", "training"},
    check_length: {"training"},
    check_momentum: {"training"},
    check_learning_rate: {"dataset", "training"},
    check_average: {"dataset", "training"},
    check_patience: {"dataset", "training"},
}
