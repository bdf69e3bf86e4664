"""Lesson ``bugs``: eight real mistakes, the damage each does, and the check that catches it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.checks import CHECKS, verify
from dropout_lab.checks.outcome import at_least, must_be, none_of
from dropout_lab.data import Splits
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.bugs.mistakes import (
    MISTAKES,
    DividedByTheRate,
    NoiseInEvaluation,
    ScalingForgotten,
)
from dropout_lab.lessons.bugs.mistakes import Mistake as WrongLayer
from dropout_lab.lessons.paired_differences import Difference, last, seeds_of
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Look,
    Mistake,
    Part,
    Picture,
    Rows,
    Say,
    Step,
    Working,
)
from dropout_lab.lessons.training import settings, splits, train_fleet
from dropout_lab.plugins import joined

_RIGHT = ("inverted", "gaussian")
_IMAGES, _BATCH, _UNITS, _LEARNING_RATE = 1_000, 50, 100, 0.02


@dataclass(frozen=True)
class _Runs:
    """What came out of a layer, seed by seed: test accuracy, and test NLL in nats."""

    accuracy: list[float]
    loss: list[float]


@dataclass(frozen=True)
class _Exhibit:
    """A mistake and what was measured of it.

    Args:
        kind: The layer.
        runs: With it.
        accuracy: Its accuracy less that of the right layer.
        loss: Its NLL less that of the right layer, in nats.
        broken: The checks it fails, in their order.
    """

    kind: type[WrongLayer]
    runs: _Runs
    accuracy: Difference
    loss: Difference
    broken: list[str]


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    seeds = seeds_of(asked, 8)  # with 5, the NLL is not sure at every seed
    epochs = 6 if asked.quick else 8
    yield Step("Eight mistakes")
    yield Formula("right:           x mask / (1 - p),  mask = (rand(x.shape) >= p)")
    yield Rows(
        "each as it was found in published code",
        ("mistake", "in one line"),
        [(kind.title, kind.code) for kind in MISTAKES],
    )
    yield Say(
        f"Each is trained beside the right layer: 784-{_UNITS}-10 with ReLU, dropout at p = {p:g} "
        f"on the hidden units, {_IMAGES:,} images, {epochs} epochs of SGD, evaluated after "
        f"{epochs // 2} and {epochs}. Seed by seed the weights and the order of the images are the "
        "same, and the draws wherever the layers draw alike."
    )
    yield Working(f"training {len(_RIGHT) + len(MISTAKES)} times {len(seeds)} networks")
    names = list(dict.fromkeys(kind.check for kind in MISTAKES)) if asked.quick else list(CHECKS)
    right, museum, faults = _measured(p, seeds, epochs, splits(asked, train_size=_IMAGES), names)
    yield from _damage(right, museum, len(seeds))
    yield from _what_hides(museum, p)
    yield Picture(lambda: _draw(museum, p, len(seeds)), "the damage of each mistake")
    yield from _caught(museum, faults, names)


def _measured(
    p: float, seeds: Sequence[int], epochs: int, images: Splits, names: Sequence[str]
) -> tuple[dict[str, _Runs], list[_Exhibit], int]:
    """Return the right layers' runs, the mistakes, and how often a right layer fails a check."""
    kinds = {f"mistake_{at}": kind for at, kind in enumerate(MISTAKES)}
    with joined(kinds):
        runs = {name: _trained(name, p, seeds, epochs, images) for name in (*_RIGHT, *kinds)}
        checks = list(verify([*_RIGHT, *kinds], names))
    broken = [(check.variant, check.check) for check in checks if check.passed is False]
    museum = []
    for name, kind in kinds.items():
        ours, theirs = runs[name], runs["gaussian" if kind.gaussian else "inverted"]
        museum.append(
            _Exhibit(
                kind,
                ours,
                Difference.of(ours.accuracy, theirs.accuracy),
                Difference.of(ours.loss, theirs.loss),
                [check for variant, check in broken if variant == name],
            )
        )
    faults = sum(variant in _RIGHT for variant, _ in broken)
    return {name: runs[name] for name in _RIGHT}, museum, faults


def _trained(name: str, p: float, seeds: Sequence[int], epochs: int, images: Splits) -> _Runs:
    values = {
        "model.hidden": [_UNITS],
        "dropout.variant": name,
        "dropout.p": p,
        "training.epochs": epochs,
        "training.batch_size": _BATCH,
        "training.learning_rate": _LEARNING_RATE,
        "evaluation.every": epochs // 2,
        "evaluation.train_examples": 1,
    }
    records = train_fleet([settings(values)], seeds, images).records
    return _Runs(last(records, "test_accuracy"), last(records, "test_loss"))


def _damage(right: dict[str, _Runs], museum: Sequence[_Exhibit], seeds: int) -> Iterator[Part]:
    yield Step("The damage to a trained network")
    rows = [(f"right: {name}", *_means(runs), "", "") for name, runs in right.items()]
    rows += [
        (each.kind.title, *_means(each.runs), _told(each.accuracy, 100), _told(each.loss))
        for each in museum
    ]
    yield Rows(
        f"1,000 test images, mean over n = {seeds} seeds; differences to the right layer, paired, "
        f"± {ERRORS:g} standard errors",
        ("layer", "accuracy %", "NLL", "points", "NLL more"),
        rows,
    )
    yield Look(
        "A difference larger than what stands behind its ± is seen; one that is not may be there "
        "and small. Guessing gets 10 % and 2.303 nats."
    )


def _what_hides(museum: Sequence[_Exhibit], p: float) -> Iterator[Part]:
    hidden = [each.kind.title for each in museum if not _worse(each.accuracy, lower=True)]
    unharmed = [each.kind.title for each in museum if not _worse(each.loss, lower=False)]
    for harm, without in (("lower accuracy", hidden), ("higher NLL", unharmed)):
        told = f"No {harm} is seen with: {', '.join(without)}." if without else f"All show {harm}."
        yield Say(told)
    yield Mistake(
        "'The accuracy is good, so the layer is right.' A wrong scale can move the probabilities "
        "and leave the largest of them the largest, and a layer that is quiet after its first "
        "evaluation trains as well from there as a network without dropout does. What sees every "
        "mistake is a check that asks the layer itself."
    )
    for each in museum:
        if each.kind is DividedByTheRate and p == 0.5:
            off = sum(a != 0 for a in (each.accuracy.mean, each.loss.mean))
            yield Say(
                "At p = 0.5, p is 1 - p, and p / (1 - p) is its own root: divided by the rate and "
                "variance for s.d. are right here. A test at p = 0.5 alone sees neither."
            )
            yield Check("p and 1 - p alike at 0.5", none_of(off, "of two measures differ"))
        if each.kind in (NoiseInEvaluation, ScalingForgotten):
            what = "is the NLL less that of the right layer, over its error"
            outcome = at_least(each.loss.off, ERRORS, what, unit=" s.e.")
            yield Check(f"NLL: {each.kind.title}", outcome)


def _caught(museum: Sequence[_Exhibit], faults: int, names: Sequence[str]) -> Iterator[Part]:
    yield Step("The check that catches it")
    yield Rows(
        f"of the {len(names)} checks that were run",
        ("mistake", "caught by", "checks failed"),
        [(each.kind.title, each.kind.check, len(each.broken)) for each in museum],
    )
    also = {
        each.kind.title: [check for check in each.broken if check != each.kind.check]
        for each in museum
    }
    told = "; ".join(f"{title}: {', '.join(others)}" for title, others in also.items() if others)
    yield Look(f"Broken beside the one that is named: {told or 'none'}.")
    yield Say(
        "The checks train nothing. They look at single steps, at fixed values of p, with bounds "
        "from the number of draws. The command dropout-lab verify runs them for every variant, "
        "also for yours (--plugin)."
    )
    yield Check("the right layers pass all", none_of(faults, "checks are failed by a right layer"))
    for each in museum:
        found = "caught" if each.kind.check in each.broken else "missed"
        outcome = must_be("caught", found, f"the check '{each.kind.check}' does not see it")
        yield Check(each.kind.title, outcome)


def _worse(found: Difference, *, lower: bool) -> bool:
    return found.seen and (found.mean < 0) == lower


def _means(runs: _Runs) -> tuple[str, str]:
    n = len(runs.loss)
    return f"{100 * sum(runs.accuracy) / n:.1f}", f"{sum(runs.loss) / n:.3f}"


def _told(found: Difference, factor: float = 1.0) -> str:
    digits = 1 if factor > 1 else 3
    return f"{factor * found.mean:+.{digits}f} ± {factor * ERRORS * found.error:.{digits}f}"


def _draw(museum: Sequence[_Exhibit], p: float, seeds: int) -> Figure:
    figure = style.new_figure(11, 4.6)
    panels = figure.subplots(1, 2, sharey=True)
    shown = museum[::-1]
    for axes, lower, factor, label in (
        (panels[0], True, 100.0, "test accuracy less that of the right layer, points"),
        (panels[1], False, 1.0, "test NLL less that of the right layer, nats"),
    ):
        axes.axvline(0, color=style.WITHOUT, linewidth=1)
        for at, each in enumerate(shown):
            found = each.accuracy if lower else each.loss
            colour, marker = _look(found, lower=lower)
            bar = factor * ERRORS * found.error
            axes.errorbar(factor * found.mean, at, xerr=bar, fmt=marker, color=colour, markersize=8)
        axes.set_xlabel(label)
    panels[0].set_yticks(range(len(shown)), [each.kind.title for each in shown])
    panels[0].set_title("worse to the left")
    panels[1].set_title("worse to the right")
    style.heading(figure, f"Eight mistakes beside the right layer, p = {p:g}: what training shows")
    style.footnote(
        figure,
        f"mean of n = {seeds} paired seeds; bars: 5 standard errors; red X: worse, grey circle: "
        "not told from 0, blue square: better",
    )
    return figure


def _look(found: Difference, *, lower: bool) -> tuple[str, str]:
    """Return colour and marker of what is worse, better, or not told from 0."""
    if not found.seen:
        return style.PUBLISHED, "o"
    name = "unscaled" if _worse(found, lower=lower) else "inverted"
    return style.variant_colour(name), "X" if name == "unscaled" else "s"
