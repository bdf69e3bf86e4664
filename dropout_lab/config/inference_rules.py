"""What must hold of how the trained network is used and what else is measured of it."""

from collections.abc import Iterable, Iterator

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.dropout_rules import Complaint
from dropout_lab.config.evaluation import EvaluationSettings
from dropout_lab.config.schema import Settings, without_dropout

SAMPLES = 50  # where the config gives none
SAMPLED = ("monte_carlo", "geometric", "moment_matching")
_ORDER = ("mean", *SAMPLED, "ensemble")
_DIAGNOSTICS = ("activations", "co_adaptation", "gradients", "noise")
_AT_END = ("features", "histograms", "reliability", "predictions")
# One training is measured in all these ways, so none of them makes another cell.
NOT_SWEPT = frozenset(
    f"evaluation.{key}" for key in ("inference", "samples", "curve", "diagnostics", "at_end")
)


def inferences(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return the ways to use the network, ``mean`` first."""
    given = evaluation.inference
    named = {"mean", *((given,) if isinstance(given, str) else given)}
    return tuple(name for name in _ORDER if name in named)


def diagnostics(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return what else is measured, in one order."""
    given = evaluation.diagnostics
    named = (given,) if isinstance(given, str) else given
    return tuple(name for name in _DIAGNOSTICS if name in named)


def at_end(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return what is kept of the trained network, in one order."""
    given = evaluation.at_end
    named = (given,) if isinstance(given, str) else given
    return tuple(name for name in _AT_END if name in named)


def keeps_predictions(evaluation: EvaluationSettings) -> bool:
    """Whether the test probabilities of each run are kept: an ensemble is made of them."""
    return "ensemble" in inferences(evaluation) or "predictions" in at_end(evaluation)


def applicable(settings: Settings) -> EvaluationSettings:
    """Return the section evaluation in the one form it has, without what has no meaning here.

    A network without noise cannot be sampled, and what nothing reads or what is at its default is
    null: so the run without dropout is the same run whatever is asked of the others.
    """
    evaluation = settings.evaluation
    names = tuple(name for name in inferences(evaluation) if _applies(name, settings))
    samples = evaluation.samples if set(SAMPLED) & set(names) else None
    return evaluation.model_copy(
        update={
            "inference": "mean" if names == ("mean",) else names,
            "samples": None if samples == SAMPLES else samples,
            "curve": evaluation.curve if "monte_carlo" in names else None,
            "diagnostics": tuple(
                name for name in diagnostics(evaluation) if name != "noise" or _noisy(settings)
            ),
            "at_end": at_end(evaluation),
        }
    )


def measures_fit(settings: Settings) -> Iterator[Complaint]:
    """Each thing is named once, and there are samples enough for the curve."""
    evaluation = settings.evaluation
    for key in ("inference", "diagnostics", "at_end"):
        named = getattr(evaluation, key)
        if not isinstance(named, str) and len(set(named)) < len(named):
            yield f"evaluation.{key}", f"evaluation.{key} is {list(named)}; name each once."
    samples = evaluation.samples or SAMPLES
    if evaluation.curve is not None and evaluation.curve > samples:
        yield (
            "evaluation.curve",
            f"evaluation.curve is {evaluation.curve}, and evaluation.samples {samples}: averages "
            "are made of what was sampled; give at least as many samples, better five times so "
            "many.",
        )


def patience_fits(settings: Settings) -> Iterator[Complaint]:
    """Early stopping has validation examples to look at."""
    patience = settings.training.patience
    if patience is not None and settings.dataset.validation_size == 0:
        yield (
            "training.patience",
            f"training.patience is {patience}, but dataset.validation_size is 0, and early "
            "stopping looks at the validation accuracy; hold some examples out.",
        )


def unread_measures(settings: Settings, cells: Iterable[Settings]) -> Iterator[Complaint]:
    """What is asked for and cannot be had in any cell: most likely a mistake."""
    every = [settings, *cells]
    evaluation = settings.evaluation
    usable = {name for each in every for name in _ORDER if _applies(name, each)}
    reasons = {
        "monte_carlo": "no network here has noise to sample; give a noisy variant and a p above 0",
        "geometric": "no network here has noise to sample; give a noisy variant and a p above 0",
        "moment_matching": "it is for "
        + ", ".join(name for name, kind in CATALOGUE.items() if kind.moments)
        + ", with a p above 0, and nothing here is",
    }
    wanted = inferences(evaluation)
    for name in wanted:
        if name not in usable:
            yield "evaluation.inference", f"evaluation.inference names {name}; {reasons[name]}."
    if evaluation.samples is not None and not set(SAMPLED) & set(wanted):
        yield (
            "evaluation.samples",
            "evaluation.samples is given, and nothing here reads it; it is for inference "
            f"{', '.join(SAMPLED)}.",
        )
    if evaluation.curve is not None and "monte_carlo" not in wanted:
        yield (
            "evaluation.curve",
            "evaluation.curve is given, and nothing here reads it; it is for inference "
            "monte_carlo.",
        )
    if "noise" in diagnostics(evaluation) and not any(map(_noisy, every)):
        yield (
            "evaluation.diagnostics",
            "evaluation.diagnostics names noise, and no network here has any; give a noisy variant "
            "and a p above 0.",
        )


def cautions_of_measures(settings: Settings) -> Iterator[str]:
    """What is allowed but hardly meant: told, not refused."""
    evaluation, dropout = settings.evaluation, settings.dropout
    sampled = [name for name in inferences(evaluation) if name in SAMPLED]
    if sampled and evaluation.samples == 1:
        yield (
            f"evaluation.samples is 1 with inference {', '.join(sampled)}: one noisy network is "
            "worse than the mean network and says nothing of uncertainty; give 50 or more."
        )
    ends_without = dropout.schedule in ("annealed", "early") or dropout.stop_last > 0
    if sampled and ends_without:
        yield (
            f"evaluation.inference names {', '.join(sampled)}, but the schedule has p at 0, or "
            "next to it, in the end, and noise is drawn at the p of the weights that are used: "
            "there will be next to none."
        )


def _applies(name: str, settings: Settings) -> bool:
    if name in ("monte_carlo", "geometric"):
        return _noisy(settings)
    if name == "moment_matching":
        return not without_dropout(settings) and CATALOGUE[settings.dropout.variant].moments
    return True


def _noisy(settings: Settings) -> bool:
    return not without_dropout(settings) and CATALOGUE[settings.dropout.variant].noisy
