"""What must hold in the sections training and regularization, and between them and the others."""

from collections.abc import Iterator

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.dropout_rules import Complaint
from dropout_lab.config.messages import shown
from dropout_lab.config.schema import AVERAGE_DECAY, ONE_CYCLE_PEAK, Settings, without_dropout
from dropout_lab.config.sizes import length, steps_of_epoch, training_examples

# What a schedule cannot do without, and what to write for it.
_RATE_NEEDS = {
    "exponential": {"learning_rate_decay": "0.998"},
    "inverse_time": {"learning_rate_updates": "10000"},
    "steps": {"learning_rate_steps": "[600, 400]", "learning_rate_factors": "[1, 0.5]"},
}
_AVERAGE_NEEDS = {"last": {"average_epochs": "10"}}
_MOMENTUM_NEEDS = {
    "linear": {"start_momentum": "0.5", "momentum_epochs": "500"},
    "exponential": {"start_momentum": "0.5", "momentum_updates": "100000"},
}


def rate_fits(settings: Settings) -> Iterator[Complaint]:
    """The schedule of the learning rate has what it needs and fits into the training."""
    training = settings.training
    schedule = training.learning_rate_schedule
    yield from _needed(settings, "learning_rate_schedule", _RATE_NEEDS)
    steps, factors = training.learning_rate_steps, training.learning_rate_factors
    if schedule == "steps" and steps and factors and len(steps) != len(factors):
        yield (
            "training.learning_rate_factors",
            f"training.learning_rate_factors lists {len(factors)} factors for {len(steps)} steps; "
            "give one factor for each of learning_rate_steps.",
        )
    span = training.learning_rate_span
    examples = training_examples(settings)
    epochs, updates = length(settings, examples)
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
    if training.warmup * steps_of_epoch(settings, examples) > updates > 0:
        yield (
            "training.warmup",
            f"training.warmup is {training.warmup:g}, longer than the training; give a number of "
            f"epochs, at most {updates / steps_of_epoch(settings, examples):g}.",
        )


def momentum_fits(settings: Settings) -> Iterator[Complaint]:
    """Forms of the momentum have a momentum, and what they need."""
    training = settings.training
    sgd = training.optimizer == "sgd"
    if training.nesterov and (not sgd or training.momentum == 0):
        yield (
            "training.nesterov",
            "training.nesterov is true, which needs optimizer: sgd and a momentum above 0.",
        )
    if training.momentum_schedule != "constant" and not sgd:
        yield (
            "training.momentum_schedule",
            f"training.momentum_schedule is {training.momentum_schedule}, but "
            f"{training.optimizer} has "
            + ("no" if training.optimizer == "rmsprop" else "beta 0.9 and 0.999 in place of a")
            + " momentum; write optimizer: sgd, or leave it out.",
        )
    yield from _needed(settings, "momentum_schedule", _MOMENTUM_NEEDS)
    if training.dampening and (not sgd or training.momentum == 0):
        yield (
            "training.dampening",
            "training.dampening is true, which needs optimizer: sgd and a momentum above 0.",
        )
    if training.dampening and training.nesterov:
        yield (
            "training.dampening",
            "training.dampening is true, and so is nesterov, whose step takes the gradient whole; "
            "leave one of them out.",
        )


def average_fits(settings: Settings) -> Iterator[Complaint]:
    """The last epochs whose mean is asked for exist, and are known to be the last."""
    training = settings.training
    yield from _needed(settings, "average", _AVERAGE_NEEDS)
    if training.average != "last":
        return
    epochs, _ = length(settings, training_examples(settings))
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


def cautions_of_averages(settings: Settings) -> Iterator[str]:
    """What is allowed but hardly meant: an average that reaches far back into the training."""
    training = settings.training
    if training.average != "exponential":
        return
    decay = AVERAGE_DECAY if training.average_decay is None else training.average_decay
    _, updates = length(settings, training_examples(settings))
    if 1 / (1 - decay) > updates / 5 > 0:
        smaller = max(0.5, 1 - 20 / updates)
        yield (
            f"training.average_decay is {decay:g}: the average is over about "
            f"{1 / (1 - decay):,.0f} updates, and the training has {updates:,}, so early weights "
            f"are part of it; give a smaller value, e.g. average_decay: {smaller:.2g}."
        )


def bound_fits(settings: Settings) -> Iterator[Complaint]:
    """There is one bound on norms, on weight matrices that exist."""
    section, hidden = settings.regularization, len(settings.model.hidden)
    if section.max_norm is not None and section.max_squared_norm is not None:
        yield (
            "regularization.max_squared_norm",
            "regularization.max_squared_norm and max_norm are both given; give one of them (the "
            "first is the square of the second).",
        )
    named = section.max_norm_on
    for key in ("max_norm", "max_squared_norm"):
        bounds = getattr(section, key)
        if not isinstance(bounds, tuple):
            continue
        if len(bounds) != hidden + 1:
            yield (
                f"regularization.{key}",
                f"regularization.{key} lists {len(bounds)} bounds for {hidden + 1} weight "
                "matrices; give one number, or one for each matrix (null for none).",
            )
        if not any(bounds):
            yield (
                f"regularization.{key}",
                f"regularization.{key} is {shown(bounds)}, which bounds nothing; write null.",
            )
        if named not in (None, "all"):
            yield (
                "regularization.max_norm_on",
                f"regularization.max_norm_on is {shown(named)}, but {key} is a list with a bound "
                "for each matrix; write null there for a matrix without a bound, and leave "
                "max_norm_on out.",
            )
    if not isinstance(named, tuple):
        return
    outside = [matrix for matrix in named if matrix > hidden]
    if outside:
        yield (
            "regularization.max_norm_on",
            f"regularization.max_norm_on names matrix {outside[0]}; with {hidden} hidden layers "
            f"they are 0 (leaving the input) to {hidden} (entering the output).",
        )
    if len(set(named)) < len(named):
        yield (
            "regularization.max_norm_on",
            f"regularization.max_norm_on is {list(named)}; name each matrix once.",
        )


def sparsity_fits(settings: Settings) -> Iterator[Complaint]:
    """KL-sparsity has a target that the units can reach, and sees all of them."""
    section, variant = settings.regularization, settings.dropout.variant
    if section.kl_sparsity == 0:
        return
    target = section.kl_sparsity_target
    if target is not None and settings.model.activation == "logistic" and not 0 < target < 1:
        yield (
            "regularization.kl_sparsity_target",
            f"regularization.kl_sparsity_target is {target:g}, but the mean of a logistic unit "
            "lies between 0 and 1; give a target in (0, 1), e.g. 0.1.",
        )
    if CATALOGUE[variant].one_p and not without_dropout(settings):
        yield (
            "regularization.kl_sparsity",
            f"regularization.kl_sparsity needs the activation of every unit, but {variant} does "
            "not compute those it drops; take another variant, e.g. inverted with mask: batch.",
        )


def penalties_fit(settings: Settings) -> Iterator[Complaint]:
    """L1 begins while there are updates to come."""
    first, l1 = settings.regularization.l1_from, settings.regularization.l1
    _, updates = length(settings, training_examples(settings))
    if l1 and first is not None and first >= updates > 0:
        yield (
            "regularization.l1_from",
            f"regularization.l1_from is {first}, and the training has {updates} updates, of which "
            f"the last begins when {updates - 1} are done; give at most that.",
        )


def _needed(settings: Settings, key: str, needs: dict[str, dict[str, str]]) -> Iterator[Complaint]:
    """Blame a schedule for what it needs and does not have."""
    schedule = getattr(settings.training, key)
    for name, example in needs.get(schedule, {}).items():
        if getattr(settings.training, name) is None:
            yield (
                f"training.{key}",
                f"training.{key} is {schedule}, which needs training.{name}, "
                f"e.g. {name}: {example}.",
            )
