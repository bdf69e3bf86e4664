"""What must hold in the section dropout, and between it and the others, for each variant."""

from collections.abc import Iterator

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.conditional_keys import keys_read
from dropout_lab.config.schema import Settings, p_of_places, places, without_dropout
from dropout_lab.config.sizes import length, training_examples

Complaint = tuple[str, str]  # dotted key to blame, message without its place

_WITH_CUTOFF = ("early", "late", "step")


def p_in_range(settings: Settings) -> Iterator[Complaint]:
    """Each p lies in the variant's own range, and what the variant needs is given."""
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


def place_fits(settings: Settings) -> Iterator[Complaint]:
    """The variant can act where it is to act."""
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


def activation_fits(settings: Settings) -> Iterator[Complaint]:
    """The variant knows what to do with the activation."""
    name, activation = settings.dropout.variant, settings.model.activation
    allowed = CATALOGUE[name].activations
    if allowed and activation not in allowed:
        yield (
            "dropout.variant",
            f"dropout.variant is {name}, which is not defined for activation {activation}; it is "
            f"for {', '.join(allowed)}.",
        )


def loss_fits(settings: Settings) -> Iterator[Complaint]:
    """A loss that compares noisy passes has noise to compare."""
    dropout = settings.dropout
    if dropout.loss == "cross_entropy":
        return
    if not CATALOGUE[dropout.variant].noisy:
        yield (
            "dropout.loss",
            f"dropout.loss is {dropout.loss}, which compares noisy passes, but the variant "
            f"{dropout.variant} draws no noise; take another variant, or loss: cross_entropy.",
        )
    elif without_dropout(settings):
        yield (
            "dropout.loss",
            f"dropout.loss is {dropout.loss}, which compares noisy passes, but p is 0 everywhere; "
            "give a p above 0, or loss: cross_entropy.",
        )


def schedule_fits(settings: Settings) -> Iterator[Complaint]:
    """The schedule suits the variant, has what it needs and fits into the training."""
    dropout = settings.dropout
    epochs, _ = length(settings, training_examples(settings))
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
    if "dropout.start_p" in keys_read(settings) and dropout.start_p and without_dropout(settings):
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


def cautions_of_dropout(settings: Settings) -> Iterator[str]:
    """What is allowed but hardly meant: told, not refused."""
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
