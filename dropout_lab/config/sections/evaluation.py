"""The section evaluation: what is measured of a network. Nothing here changes its training."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.sections.dropout import is_baseline, p_of_places
from dropout_lab.config.types import Complaint, Count, Rules, Section

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings


InferenceName = Literal["mean", "monte_carlo", "geometric", "moment_matching", "ensemble"]
DiagnosticName = Literal[
    "activations",
    "co_adaptation",
    "gradients",
    "noise",
    "variance_shift",
    "weight_condensation",
    "flatness",
    "activation_variance",
]
AtEndName = Literal["features", "histograms", "reliability", "predictions", "boundary"]

Inferences = Annotated[tuple[InferenceName, ...], Field(strict=False, min_length=1)]
Diagnostics = Annotated[tuple[DiagnosticName, ...], Field(strict=False)]
AtEnd = Annotated[tuple[AtEndName, ...], Field(strict=False)]

SAMPLES = 50  # where the config gives none
SAMPLED = ("monte_carlo", "geometric", "moment_matching")
# Each run is measured in all these ways, so they cannot be swept.
NOT_SWEPT = frozenset(
    f"evaluation.{key}" for key in ("inference", "samples", "curve", "diagnostics", "at_end")
)
# The columns of metrics.csv that the diagnostics add.
LAYER_COLUMNS = {
    "activations": ("mean_activation", "activation_sparsity"),
    "co_adaptation": ("unit_correlation", "effective_rank"),
    "activation_variance": ("activation_variance",),
}
GRADIENT_COLUMNS = ("gradient_norm", "gradient_direction_variance", "gradient_direction_error")
CONDENSATION_COLUMNS = ("weight_similarity", "weight_orientations")
NOISE_COLUMNS = ("keep_rate", "noise_mean", "noise_variance")
REMOVED_PERCENTAGES = (10, 25, 50, 75)  # of the units of each hidden layer
PERTURBED_PERCENTAGES = (10, 25, 50)  # of the length of each unit's incoming weights


class EvaluationSettings(Section):
    """When and how the network is evaluated. This does not change its training."""

    every: Count = Field(
        1, description="Evaluate every so many epochs. The last epoch is always evaluated."
    )
    train_examples: Count = Field(
        10_000,
        description="Number of training examples to evaluate on, drawn by class; all if there are "
        "fewer.",
    )
    inference: InferenceName | Inferences = Field(
        "mean",
        description="How to use the trained network on the test set, for inference.csv: a word or "
        "a list. mean is always included.",
    )
    samples: Count | None = Field(
        None,
        description="Number of networks drawn by monte_carlo and geometric, and of draws for each "
        "unit by moment_matching. null: 50.",
    )
    curve: Count | None = Field(
        None,
        description="Measure averages of 1, 2, ... up to so many of the samples, with inference: "
        "monte_carlo, for monte_carlo.csv.",
    )
    diagnostics: DiagnosticName | Diagnostics = Field(
        (),
        description="What else to measure at each evaluation, as more columns: a word or a list.",
    )
    at_end: AtEndName | AtEnd = Field(
        (),
        description="What else to keep of the trained network: a word or a list.",
    )


def inferences(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return the ways to use the trained network, ``mean`` first."""
    named = _in_order(InferenceName, evaluation.inference)
    return named if "mean" in named else ("mean", *named)


def diagnostics(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return the diagnostics to measure, in the order of their columns."""
    return _in_order(DiagnosticName, evaluation.diagnostics)


def at_end(evaluation: EvaluationSettings) -> tuple[str, ...]:
    """Return what to keep of the trained network, in the order of the schema."""
    return _in_order(AtEndName, evaluation.at_end)


def keeps_predictions(evaluation: EvaluationSettings) -> bool:
    """Return whether each run saves its test probabilities, from which ensembles are made."""
    return "ensemble" in inferences(evaluation) or "predictions" in at_end(evaluation)


def canonical_evaluation(settings: "Settings") -> EvaluationSettings:
    """Return the section in canonical form, without measurements that do not apply.

    A network without noise cannot be sampled. A key that nothing reads, or that is at its default,
    is null. So a baseline is the same run whatever is measured of the other runs.
    """
    evaluation, noisy = settings.evaluation, _draws_noise(settings)
    names = tuple(name for name in inferences(evaluation) if _is_applicable(name, settings))
    samples = evaluation.samples if set(SAMPLED) & set(names) else None
    return evaluation.model_copy(
        update={
            "inference": "mean" if names == ("mean",) else names,
            "samples": None if samples == SAMPLES else samples,
            "curve": evaluation.curve if "monte_carlo" in names else None,
            "diagnostics": tuple(
                name
                for name in diagnostics(evaluation)
                if {"noise": noisy, "variance_shift": _is_normalized(settings)}.get(name, True)
            ),
            "at_end": at_end(evaluation),
        }
    )


def check_measurements(settings: "Settings") -> Iterator[Complaint]:
    """Check that each word is given once, and that the curve has enough samples."""
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


def find_unread_measurements(
    settings: "Settings", cells: Iterable["Settings"]
) -> Iterator[Complaint]:
    """Yield a complaint for each measurement that no setting of the study can have."""
    every = [settings, *cells]
    evaluation = settings.evaluation
    usable = {
        name for each in every for name in get_args(InferenceName) if _is_applicable(name, each)
    }
    reasons = {
        "monte_carlo": "no network here has noise to sample; give a noisy variant and a p above 0",
        "geometric": "no network here has noise to sample; give a noisy variant and a p above 0",
        "moment_matching": "it is for "
        + ", ".join(name for name, kind in CATALOGUE.items() if kind.moments)
        + ", with a p above 0 and without normalization, and nothing here is",
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
    if "noise" in diagnostics(evaluation) and not any(map(_draws_noise, every)):
        yield (
            "evaluation.diagnostics",
            "evaluation.diagnostics names noise, and no network here has any; give a noisy variant "
            "and a p above 0.",
        )
    if "variance_shift" in diagnostics(evaluation) and not any(map(_is_normalized, every)):
        yield (
            "evaluation.diagnostics",
            "evaluation.diagnostics names variance_shift, and no network here is normalized; write "
            "model.normalization: batch.",
        )


def find_cautions(settings: "Settings") -> Iterator[str]:
    """Yield a warning for each measurement that is allowed but rarely intended."""
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


def _is_applicable(name: str, settings: "Settings") -> bool:
    if name in ("monte_carlo", "geometric"):
        return _draws_noise(settings)
    if name == "moment_matching":
        if is_baseline(settings) or _is_normalized(settings):  # no moments of the normalized units
            return False
        return CATALOGUE[settings.dropout.variant].moments
    return True


def _is_normalized(settings: "Settings") -> bool:
    return settings.model.normalization != "none"


def _draws_noise(settings: "Settings") -> bool:
    return not is_baseline(settings) and CATALOGUE[settings.dropout.variant].noisy


def diagnostic_columns(settings: "Settings") -> tuple[str, ...]:
    """Return the columns of metrics.csv that the diagnostics of some settings fill, in order.

    The names of columns of a layer end in its index.
    """
    layers = range(1, len(settings.model.hidden) + 1)
    columns = {
        name: [f"{measure}_{layer}" for measure in measures for layer in layers]
        for name, measures in LAYER_COLUMNS.items()
    }
    columns["co_adaptation"] += [f"removed_{share}_test_accuracy" for share in REMOVED_PERCENTAGES]
    columns["gradients"] = list(GRADIENT_COLUMNS)
    columns["noise"] = [
        f"{name}_{place}" for name in NOISE_COLUMNS for place in p_of_places(settings)
    ]
    columns["variance_shift"] = [f"variance_shift_{layer}" for layer in layers]
    columns["weight_condensation"] = [
        f"{name}_{layer}" for name in CONDENSATION_COLUMNS for layer in layers
    ]
    columns["activation_variance"] += [f"noisy_activation_variance_{layer}" for layer in layers]
    columns["flatness"] = [f"loss_rise_{percentage}" for percentage in PERTURBED_PERCENTAGES]
    return tuple(column for name in diagnostics(settings.evaluation) for column in columns[name])


def _in_order(words: Any, given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return a word, or some words, in the order of a ``Literal``."""
    named = (given,) if isinstance(given, str) else given
    return tuple(word for word in get_args(words) if word in named)


RULES: Rules = {check_measurements: {"evaluation"}}
