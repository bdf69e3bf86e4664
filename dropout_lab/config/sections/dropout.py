"""The section dropout: what is dropped, where, and how often."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dropout_lab.catalogue import ADVERSARIAL_VARIANTS, CATALOGUE, LOSS_OPTIONS
from dropout_lab.config.sizes import training_examples, training_length
from dropout_lab.config.types import (
    Complaint,
    ConditionalKeys,
    Count,
    KeyOf,
    LayerIndices,
    NonNegativeInt,
    Positive,
    Probabilities,
    Probability,
    Rules,
    Section,
    Share,
    ShareOfTraining,
    Strength,
    WarmUp,
)
from dropout_lab.printable import shown

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

VariantName = Annotated[str, KeyOf(CATALOGUE)]
_WITH_CUTOFF = ("early", "late", "step")


class DropoutSettings(Section):
    """What is dropped, where, and how often."""

    # Keys that a variant reads are in its entry of the catalogue. A plugin's variant may read any
    # of them; it adds none.
    conditional_keys: ClassVar[ConditionalKeys] = {
        "schedule": {
            "linear": {"start_p": 0.0},
            "cosine": {"start_p": 0.0},
            "step": {"start_p": 0.0, "cutoff": None},
            "early": {"cutoff": None},
            "late": {"cutoff": None},
            "annealed": {"cutoff": None},
            "exponential": {"curriculum_rate": None},
        },
        "loss": LOSS_OPTIONS,
    }

    variant: VariantName = Field("inverted", description="Kind of dropout.")
    p: Probability | Probabilities = Field(
        0.5,
        description="Probability of DROPPING a unit: one number, or a list with one for each layer "
        "of the placement.",
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
    stop_last: NonNegativeInt = Field(
        0,
        description="Number of last epochs that are trained without dropout, whatever the "
        "schedule.",
    )
    loss: Literal[
        "cross_entropy",
        "r_drop",
        "expectation_linear",
        "fraternal",
        "dropout_k",
        "explicit",
        "adversarial",
    ] = Field(
        "cross_entropy",
        description="cross_entropy; a loss that also compares passes with dropout on: r_drop, "
        "expectation_linear, fraternal; dropout_k: the mean over several masks; explicit: no mask, "
        "but the regularizer that dropout amounts to; adversarial: with masks chosen against it.",
    )
    passes: Count | None = Field(
        None, description="Loss dropout_k: masks for each update, k. null: 4."
    )
    radius: Share | None = Field(
        None, description="Loss adversarial: share of a mask that may be switched. null: 0.05."
    )
    loss_weight: Strength | None = Field(
        None, description="Weight of the second term of that loss. null: 1 (fraternal: 0.1)."
    )
    share: Share | None = Field(
        None,
        description="Variants targeted_* and guided: share of the units or weights that may be "
        "dropped. null: 0.5 (guided).",
    )
    alpha_per: Literal["layer", "unit", "weight"] | None = Field(
        None, description="Variants variational_*: what has its own alpha. null: layer."
    )
    kl_weight: Strength | None = Field(
        None,
        description="Variational variants, bayes_by_backprop and information: weight of the KL "
        "term (of a third of it in variational_a2). null: 1 (information: 0.001).",
    )
    kl_warmup: WarmUp | None = Field(
        None,
        description="Variants with a KL term: its weight rises from 0 between these two shares of "
        "the training. null: [0, 0] (sparse_variational: [0.025, 0.1]).",
    )
    slope: float | None = Field(
        None,
        description="Variant standout: slope of the keep probability in the pre-activation. null: "
        "1.",
    )
    strength: Strength | None = Field(
        None, description="Variant shakeout: the constant c. null: 0.1."
    )
    masks: Count | None = Field(
        None, description="Variant masksembles: number of fixed masks. null: 4."
    )
    prior_std: Positive | None = Field(
        None, description="Variant bayes_by_backprop: standard deviation of the prior. null: 0.1."
    )
    noise_rate: Strength | None = Field(
        None,
        description="Variant stochastic_delta: growth of the noise with the gradient. null: 0.1.",
    )
    noise_decay: ShareOfTraining | None = Field(
        None,
        description="Variant stochastic_delta: factor of the noise in each update. null: 0.99.",
    )
    length_scale: Strength | None = Field(
        None,
        description="Variants concrete and learned_bernoulli: prior length scale l; weights cost "
        "l^2/N. null: 1e-4.",
    )


def places(settings: "Settings") -> tuple[int, ...]:
    """Return the layers that ``placement`` names; layer 0 is the input."""
    placement = settings.dropout.placement
    hidden = tuple(range(1, len(settings.model.hidden) + 1))
    if isinstance(placement, tuple):
        return placement
    return {"input": (0,), "hidden": hidden, "all": (0, *hidden)}[placement]


def p_of_places(settings: "Settings") -> dict[int, float]:
    """Return p of each layer on which dropout acts."""
    dropout = settings.dropout
    if dropout.variant == "none":
        return {}
    named = places(settings)
    values = dropout.p if isinstance(dropout.p, tuple) else (dropout.p,) * len(named)
    result = dict(zip(named, values, strict=False))  # check_placement reports another length
    if dropout.input_p > 0:
        result[0] = dropout.input_p
    return dict(sorted(result.items()))


def is_baseline(settings: "Settings") -> bool:
    """Return whether p is 0 everywhere, so that nothing is dropped."""
    return not any(p_of_places(settings).values())


def check_placement(settings: "Settings") -> Iterator[Complaint]:
    """Check that the layers exist, that each is named once, and that each has one p."""
    dropout, hidden = settings.dropout, len(settings.model.hidden)
    named = places(settings)
    if isinstance(dropout.placement, tuple):
        outside = [place for place in named if place > hidden]
        if outside:
            yield (
                "dropout.placement",
                f"dropout.placement names layer {outside[0]}; with {hidden} hidden layers the "
                f"places are 0 (the input) to {hidden}. The output layer is never dropped.",
            )
        if not named or len(set(named)) < len(named):
            yield (
                "dropout.placement",
                f"dropout.placement is {list(named)}; name each place once, at least one. "
                "For no dropout write variant: none.",
            )
    if isinstance(dropout.p, tuple):
        if len(dropout.p) != len(named):
            yield (
                "dropout.p",
                f"dropout.p lists {len(dropout.p)} values for {len(named)} places "
                f"({', '.join(map(str, named))}); give one number, or one per place. "
                f"To vary p: sweep: {{grid: {{dropout.p: {shown(dropout.p)}}}}}.",
            )
        if 0 in named and dropout.input_p > 0:
            yield (
                "dropout.input_p",
                "dropout.input_p is given, and dropout.p already lists a value for the input; "
                "give it once.",
            )


def check_p(settings: "Settings") -> Iterator[Complaint]:
    """Check that the variant allows each p, and that the keys it needs are given."""
    dropout = settings.dropout
    name, kind = dropout.variant, CATALOGUE[dropout.variant]
    listed = dropout.p if isinstance(dropout.p, tuple) else (dropout.p,)
    given = {"p": max(listed), "input_p": dropout.input_p, "start_p": dropout.start_p or 0.0}
    for key, value in given.items():
        if value > kind.highest_p:
            most = "a p below 1" if kind.highest_p > 0.99 else f"at most {kind.highest_p:g}"
            yield (
                f"dropout.{key}",
                f"dropout.{key} is {value:g} with variant {name}: {kind.beyond}; give {most}.",
            )
    for key in kind.needed:
        if getattr(dropout, key) is None:
            yield (
                "dropout.variant",
                f"dropout.variant is {name}, which needs dropout.{key}, e.g. {key}: 0.5.",
            )
    if dropout.alpha_per == "weight" and name in ("variational_a", "variational_a2"):
        yield (
            "dropout.alpha_per",
            f"dropout.alpha_per is weight, but {name} has noise on units; give layer or unit, or "
            "take variational_b.",
        )
    if dropout.kl_warmup is not None and dropout.kl_warmup[0] > dropout.kl_warmup[1]:
        yield (
            "dropout.kl_warmup",
            f"dropout.kl_warmup is {list(dropout.kl_warmup)}; its first share of the training, "
            "where the KL's weight leaves 0, must not be above its second, where it is 1.",
        )


def check_layers(settings: "Settings") -> Iterator[Complaint]:
    """Check that the variant can act on the layers and in the position that are given."""
    dropout = settings.dropout
    name, kind = dropout.variant, CATALOGUE[dropout.variant]
    if kind.between and dropout.position == "before":
        yield (
            "dropout.position",
            f"dropout.position is before, but {name} acts between the activation and the weights "
            "that follow; leave it out.",
        )
    if settings.model.activation == "maxout" and dropout.position == "before":
        yield (
            "dropout.position",
            "dropout.position is before, but a maxout unit has several pre-activations; write "
            "position: after.",
        )
    if kind.hidden_only and (0 in places(settings) or dropout.input_p > 0):
        key = "input_p" if dropout.input_p > 0 else "placement"
        yield (
            f"dropout.{key}",
            f"dropout.{key} names the input, but {name} looks at what enters a unit, weights or "
            "pre-activation, and the input has neither; name hidden layers only.",
        )


def check_activation(settings: "Settings") -> Iterator[Complaint]:
    """Check that the variant is defined for the activation."""
    name, activation = settings.dropout.variant, settings.model.activation
    allowed = CATALOGUE[name].activations
    if allowed and activation not in allowed:
        yield (
            "dropout.variant",
            f"dropout.variant is {name}, which is not defined for activation {activation}; it is "
            f"for {', '.join(allowed)}.",
        )


def check_loss(settings: "Settings") -> Iterator[Complaint]:
    """Check that a loss that compares passes with dropout on has dropout on."""
    dropout, kind = settings.dropout, CATALOGUE[settings.dropout.variant]
    if dropout.loss == "cross_entropy":
        return
    if dropout.loss == "explicit" and not is_baseline(settings):
        if not kind.matched or kind.between or kind.learned or kind.one_p:
            yield (
                "dropout.loss",
                f"dropout.loss is explicit, which is for independent noise of variance p / (1 - p) "
                f"on units, but the variant is {dropout.variant}; take inverted or gaussian.",
            )
        if dropout.position == "before":
            yield (
                "dropout.loss",
                "dropout.loss is explicit, which is for noise after the activation, but "
                "dropout.position is before; leave it out.",
            )
        if any(p == 1 for p in p_of_places(settings).values()):
            yield (
                "dropout.loss",
                "dropout.loss is explicit, whose factor p / (1 - p) is infinite at p = 1; give a "
                "p below 1.",
            )
    if dropout.loss == "adversarial" and kind.noisy and dropout.variant not in ADVERSARIAL_VARIANTS:
        yield (
            "dropout.loss",
            "dropout.loss is adversarial, which switches units on and off, but the variant is "
            f"{dropout.variant}; take {', '.join(ADVERSARIAL_VARIANTS)}.",
        )
    if not kind.noisy:
        yield (
            "dropout.loss",
            f"dropout.loss is {dropout.loss}, which compares noisy passes, but the variant "
            f"{dropout.variant} draws no noise; take another variant, or loss: cross_entropy.",
        )
    elif is_baseline(settings):
        yield (
            "dropout.loss",
            f"dropout.loss is {dropout.loss}, which compares noisy passes, but p is 0 everywhere; "
            "give a p above 0, or loss: cross_entropy.",
        )


def check_schedule(settings: "Settings") -> Iterator[Complaint]:
    """Check that the schedule suits the variant and the length, and has the keys it needs."""
    dropout = settings.dropout
    epochs, _ = training_length(settings, training_examples(settings))
    schedule = dropout.schedule
    changing = schedule != "constant" or dropout.stop_last > 0
    if changing and CATALOGUE[dropout.variant].learned:
        key = "schedule" if schedule != "constant" else "stop_last"
        yield (
            f"dropout.{key}",
            f"dropout.{key} changes p, but {dropout.variant} learns its noise, and p is only where "
            "it starts; leave it out.",
        )
    if schedule in _WITH_CUTOFF and dropout.cutoff is None:
        yield (
            "dropout.schedule",
            f"dropout.schedule is {schedule}, which needs an epoch, e.g. dropout.cutoff: 5.",
        )
    read = {*CATALOGUE[dropout.variant].options}
    read |= DropoutSettings.conditional_keys["schedule"].get(schedule, {}).keys()
    if "start_p" in read and dropout.start_p and is_baseline(settings):
        yield (
            "dropout.start_p",
            "dropout.start_p is given, but p is 0, and a place with p = 0 is never dropped from; "
            "for a p that falls to 0 write schedule: annealed and the p to begin with.",
        )
    cutoff = dropout.cutoff if schedule in (*_WITH_CUTOFF, "annealed") else None
    for key, value in (("cutoff", cutoff or 0), ("stop_last", dropout.stop_last)):
        if value >= epochs + (schedule == "annealed" and key == "cutoff") and value and epochs:
            yield (
                f"dropout.{key}",
                f"dropout.{key} is {value}, and the training has {epochs} epochs; give less.",
            )


def find_cautions(settings: "Settings") -> Iterator[str]:
    """Yield a warning for each setting that is allowed but rarely intended."""
    variant, model, training = settings.dropout.variant, settings.model, settings.training
    full = [place for place, p in p_of_places(settings).items() if p == 1]
    if full and CATALOGUE[variant].keep_rate:
        where = " and ".join("the input" if place == 0 else f"layer {place}" for place in full)
        yield f"p is 1 at {where}: all is dropped there, so the network learns nothing."
    if variant == "alpha" and model.activation != "selu":
        yield (
            f"dropout.variant is alpha with activation {model.activation}: alpha dropout keeps "
            "mean 0 and variance 1 of SELU units only; write activation: selu, init: lecun."
        )
    if variant == "sparse_variational" and training.optimizer == "sgd":
        yield (
            "dropout.variant is sparse_variational with optimizer sgd: the gradient of its KL is "
            "large where a weight is small, and sgd may diverge; write optimizer: adam."
        )


RULES: Rules = {
    check_placement: {"model", "dropout"},
    check_p: {"model", "dropout"},
    check_layers: {"model", "dropout"},
    check_activation: {"model", "dropout"},
    check_loss: {"model", "dropout"},
    check_schedule: {"dataset", "dropout", "training"},
}
