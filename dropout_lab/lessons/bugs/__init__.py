"""Lesson ``bugs``: nine real mistakes, their effects, and the checks that find them."""

from collections.abc import Iterator, Sequence

from dropout_lab.checks import CHECKS
from dropout_lab.checks.outcome import must_be, none_of
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions, parts
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
from dropout_lab.lessons.training import load_images

_IMAGES = 1_000


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    seeds = run_seeds(options, 8)  # with 5, the NLL check fails at some seeds
    epochs = 6 if options.quick else 8
    yield parts.Section("Nine mistakes")
    yield parts.Formula("correct:         x mask / (1 - p),  mask = (rand(x.shape) >= p)")
    yield parts.Table(
        "nine mistakes found in published code",
        ("mistake", "the wrong line"),
        [(layer.title, layer.code) for layer in WRONG_LAYERS],
    )
    yield parts.Paragraph(
        f"Each wrong layer is compared with the correct layer. The network is 784-{UNITS}-10 "
        f"with ReLU and dropout at p = {p:g} on the hidden units. Training takes {epochs} epochs "
        f"of SGD on {_IMAGES:,} images, with evaluations after {epochs // 2} and {epochs} "
        "epochs. Networks of the same seed share the initial weights and the order of the "
        "images. They also share the random draws if their layers draw in the same way."
    )
    yield parts.Progress(
        f"training {len(RIGHT_LAYERS) + len(WRONG_LAYERS)} times {len(seeds)} networks"
    )
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
    yield parts.Plot(
        lambda: draw_figure(mistakes, p, len(seeds)),
        "the effect of each mistake on accuracy and NLL",
    )
    yield from _show_checks(mistakes, false_alarms, check_names)


def _show_damage(
    right_scores: dict[str, LayerScores], mistakes: Sequence[MeasuredMistake], seeds: int
) -> Iterator[parts.Part]:
    yield parts.Section("The effect on a trained network")
    rows = [
        (f"correct: {name}", *_format_means(scores), "", "")
        for name, scores in right_scores.items()
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
    yield parts.Table(
        f"1,000 test images, mean over n = {seeds} seeds; paired differences from the correct "
        f"layer, ± {ERRORS:g} standard errors",
        ("layer", "accuracy (%)", "NLL", "accuracy, pp", "NLL change"),
        rows,
    )
    yield parts.Observation(
        "A difference is significant if it is larger than the number after its ±. A smaller "
        "difference may be real but is too small to detect here. Guessing gets 10% and 2.303 "
        "nats."
    )


def _show_hidden_damage(mistakes: Sequence[MeasuredMistake], p: float) -> Iterator[parts.Part]:
    unseen_in_accuracy = [
        mistake.layer.title for mistake in mistakes if not is_worse(mistake.accuracy, lower=True)
    ]
    unseen_in_loss = [
        mistake.layer.title for mistake in mistakes if not is_worse(mistake.loss, lower=False)
    ]
    for harm, titles in (("lower accuracy", unseen_in_accuracy), ("higher NLL", unseen_in_loss)):
        text = (
            f"Mistakes without a significantly {harm}: {', '.join(titles)}."
            if titles
            else f"Every mistake gives a significantly {harm}."
        )
        yield parts.Paragraph(text)
    yield parts.Misconception(
        "'The accuracy is good, so the layer is right.' A wrong scale can change the "
        "probabilities without changing which one is largest. A layer that stops dropping after "
        "its first evaluation continues like a network without dropout. To find every mistake, "
        "test the layer itself."
    )
    for mistake in mistakes:
        if mistake.layer is DividedByTheRate and p == 0.5:
            different_measures = sum(a != 0 for a in (mistake.accuracy.mean, mistake.loss.mean))
            yield parts.Paragraph(
                "At p = 0.5, p equals 1 - p, and p / (1 - p) equals its own root. So 'divided "
                "by the rate' and 'variance for SD' are right here. A test at p = 0.5 alone "
                "finds neither mistake."
            )
            yield parts.Check(
                "p and 1 - p alike at 0.5", none_of(different_measures, "of two measures differ")
            )
        if mistake.layer in (NoiseInEvaluation, ScalingForgotten):
            description = "is the NLL minus the NLL of the correct layer, over its error"
            name = f"NLL: {mistake.layer.title}"
            yield parts.Check.beyond_chance(name, mistake.loss.z_score, description)


def _show_checks(
    mistakes: Sequence[MeasuredMistake], false_alarms: int, check_names: Sequence[str]
) -> Iterator[parts.Part]:
    yield parts.Section("The check that finds each mistake")
    yield parts.Table(
        f"results of the {len(check_names)} checks that were run",
        ("mistake", "found by", "checks failed"),
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
    yield parts.Observation(f"Other failed checks of each mistake: {listing or 'none'}.")
    yield parts.Paragraph(
        "The checks train nothing. They test single steps at fixed values of p, and their "
        "bounds come from the number of draws. Run dropout-lab verify to check every variant. "
        "Add --plugin to check your own variant too."
    )
    yield parts.Check(
        "correct layers pass all", none_of(false_alarms, "checks fail for a correct layer")
    )
    for mistake in mistakes:
        result = "found" if mistake.layer.check in mistake.failed_checks else "missed"
        outcome = must_be(
            "found", result, f"the check '{mistake.layer.check}' does not find the mistake"
        )
        yield parts.Check(mistake.layer.title, outcome)


def _format_means(scores: LayerScores) -> tuple[str, str]:
    n = len(scores.loss)
    return f"{100 * sum(scores.accuracy) / n:.1f}", f"{sum(scores.loss) / n:.3f}"


def _format_difference(difference: Difference, factor: float = 1.0) -> str:
    digits = 1 if factor > 1 else 3
    margin = factor * ERRORS * difference.standard_error
    return f"{factor * difference.mean:+.{digits}f} ± {margin:.{digits}f}"
