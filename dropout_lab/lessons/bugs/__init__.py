"""Lesson ``bugs``: eight real mistakes, their damage, and the checks that catch them."""

from collections.abc import Iterator, Sequence

from dropout_lab.checks import CHECKS
from dropout_lab.checks.outcome import must_be, none_of
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.bugs.experiment import (
    RIGHT_LAYERS,
    UNITS,
    WRONG_LAYERS,
    DividedByTheRate,
    LayerScores,
    MeasuredMistake,
    NoiseInEvaluation,
    ScalingForgotten,
    is_worse,
    measure_mistakes,
)
from dropout_lab.lessons.bugs.picture import draw_figure
from dropout_lab.lessons.paired_differences import Difference, run_seeds
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Progress,
    Section,
    Table,
)
from dropout_lab.lessons.training import load_images

_IMAGES = 1_000


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    seeds = run_seeds(options, 8)  # with 5, the NLL check fails at some seeds
    epochs = 6 if options.quick else 8
    yield Section("Eight mistakes")
    yield Formula("right:           x mask / (1 - p),  mask = (rand(x.shape) >= p)")
    yield Table(
        "each as it was found in published code",
        ("mistake", "in one line"),
        [(layer.title, layer.code) for layer in WRONG_LAYERS],
    )
    yield Paragraph(
        f"Each is trained beside the right layer: 784-{UNITS}-10 with ReLU, dropout at p = {p:g} "
        f"on the hidden units, {_IMAGES:,} images, {epochs} epochs of SGD, evaluated after "
        f"{epochs // 2} and {epochs}. Seed by seed the weights and the order of the images are the "
        "same, and the draws wherever the layers draw alike."
    )
    yield Progress(f"training {len(RIGHT_LAYERS) + len(WRONG_LAYERS)} times {len(seeds)} networks")
    check_names = (
        list(dict.fromkeys(layer.check for layer in WRONG_LAYERS))
        if options.quick
        else list(CHECKS)
    )
    right_scores, mistakes, false_alarms = measure_mistakes(
        p, seeds, epochs, load_images(options, train_size=_IMAGES), check_names
    )
    yield from _show_damage(right_scores, mistakes, len(seeds))
    yield from _show_hidden_damage(mistakes, p)
    yield Plot(lambda: draw_figure(mistakes, p, len(seeds)), "the damage of each mistake")
    yield from _show_checks(mistakes, false_alarms, check_names)


def _show_damage(
    right_scores: dict[str, LayerScores], mistakes: Sequence[MeasuredMistake], seeds: int
) -> Iterator[Part]:
    yield Section("The damage to a trained network")
    rows = [
        (f"right: {name}", *_format_means(scores), "", "") for name, scores in right_scores.items()
    ]
    rows += [
        (
            mistake.layer.title,
            *_format_means(mistake.scores),
            _format_difference(mistake.accuracy, 100),
            _format_difference(mistake.loss),
        )
        for mistake in mistakes
    ]
    yield Table(
        f"1,000 test images, mean over n = {seeds} seeds; differences to the right layer, paired, "
        f"± {ERRORS:g} standard errors",
        ("layer", "accuracy %", "NLL", "points", "NLL more"),
        rows,
    )
    yield Observation(
        "A difference larger than what stands behind its ± is seen; one that is not may be there "
        "and small. Guessing gets 10 % and 2.303 nats."
    )


def _show_hidden_damage(mistakes: Sequence[MeasuredMistake], p: float) -> Iterator[Part]:
    unseen_in_accuracy = [
        mistake.layer.title for mistake in mistakes if not is_worse(mistake.accuracy, lower=True)
    ]
    unseen_in_loss = [
        mistake.layer.title for mistake in mistakes if not is_worse(mistake.loss, lower=False)
    ]
    for harm, titles in (("lower accuracy", unseen_in_accuracy), ("higher NLL", unseen_in_loss)):
        text = f"No {harm} is seen with: {', '.join(titles)}." if titles else f"All show {harm}."
        yield Paragraph(text)
    yield Misconception(
        "'The accuracy is good, so the layer is right.' A wrong scale can move the probabilities "
        "and leave the largest of them the largest, and a layer that is quiet after its first "
        "evaluation trains as well from there as a network without dropout does. What sees every "
        "mistake is a check that asks the layer itself."
    )
    for mistake in mistakes:
        if mistake.layer is DividedByTheRate and p == 0.5:
            different_measures = sum(a != 0 for a in (mistake.accuracy.mean, mistake.loss.mean))
            yield Paragraph(
                "At p = 0.5, p is 1 - p, and p / (1 - p) is its own root: divided by the rate and "
                "variance for s.d. are right here. A test at p = 0.5 alone sees neither."
            )
            yield Check(
                "p and 1 - p alike at 0.5", none_of(different_measures, "of two measures differ")
            )
        if mistake.layer in (NoiseInEvaluation, ScalingForgotten):
            description = "is the NLL less that of the right layer, over its error"
            name = f"NLL: {mistake.layer.title}"
            yield Check.beyond_chance(name, mistake.loss.z_score, description)


def _show_checks(
    mistakes: Sequence[MeasuredMistake], false_alarms: int, check_names: Sequence[str]
) -> Iterator[Part]:
    yield Section("The check that catches it")
    yield Table(
        f"of the {len(check_names)} checks that were run",
        ("mistake", "caught by", "checks failed"),
        [
            (mistake.layer.title, mistake.layer.check, len(mistake.failed_checks))
            for mistake in mistakes
        ],
    )
    further_checks = {
        mistake.layer.title: [
            check for check in mistake.failed_checks if check != mistake.layer.check
        ]
        for mistake in mistakes
    }
    listing = "; ".join(
        f"{title}: {', '.join(further)}" for title, further in further_checks.items() if further
    )
    yield Observation(f"Broken beside the one that is named: {listing or 'none'}.")
    yield Paragraph(
        "The checks train nothing. They look at single steps, at fixed values of p, with bounds "
        "from the number of draws. The command dropout-lab verify runs them for every variant, "
        "also for yours (--plugin)."
    )
    yield Check(
        "the right layers pass all", none_of(false_alarms, "checks are failed by a right layer")
    )
    for mistake in mistakes:
        result = "caught" if mistake.layer.check in mistake.failed_checks else "missed"
        outcome = must_be("caught", result, f"the check '{mistake.layer.check}' does not see it")
        yield Check(mistake.layer.title, outcome)


def _format_means(scores: LayerScores) -> tuple[str, str]:
    n = len(scores.loss)
    return f"{100 * sum(scores.accuracy) / n:.1f}", f"{sum(scores.loss) / n:.3f}"


def _format_difference(difference: Difference, factor: float = 1.0) -> str:
    digits = 1 if factor > 1 else 3
    margin = factor * ERRORS * difference.standard_error
    return f"{factor * difference.mean:+.{digits}f} ± {margin:.{digits}f}"
