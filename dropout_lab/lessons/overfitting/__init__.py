"""Lesson ``overfitting``: networks with and without dropout on few images, and on more."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from dropout_lab.checks.outcome import Outcome, at_least
from dropout_lab.config.grid import with_values
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.overfitting.learning_curves import Learned, draw
from dropout_lab.lessons.paired_differences import Difference
from dropout_lab.lessons.parts import (
    Cell,
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


@dataclass(frozen=True)
class _Plan:
    """How much is trained.

    Args:
        sizes: Training images, rising.
        units: Of each of the two hidden layers.
        epochs: Passes over the images, the same for every size.
        every: Epochs between measurements.
        seeds: Networks of each kind.
        gains_from: Images from which dropout lowers the test loss beyond doubt: of fewer it is
            still learning, or the difference is small. None where that is not checked.
    """

    sizes: tuple[int, ...]
    units: int
    epochs: int
    every: int
    seeds: int
    gains_from: int | None


_WHOLE = _Plan((500, 1000, 4000), units=512, epochs=20, every=2, seeds=6, gains_from=1000)
_QUICK = _Plan((250, 1000), units=128, epochs=20, every=4, seeds=6, gains_from=None)


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    plan = _QUICK if asked.quick else _WHOLE
    yield Step("The same network, with and without dropout")
    yield Say(
        f"A network 784-{plan.units}-{plan.units}-10 with ReLU, trained for {plan.epochs} epochs "
        "by SGD with momentum 0.9, batches of 100 and a learning rate that falls from 0.05 to 0. "
        f"Without dropout, and with p = {p:g} in both hidden layers; {plan.seeds} seeds, each with "
        "the same initial weights and order of images for both. Epochs are equal, not updates: "
        "more images are also more updates."
    )
    yield Formula(
        "loss gap     = test loss - train loss\naccuracy gap = train accuracy - test accuracy"
    )
    if plan.gains_from is None:
        yield Say(
            "So few and small steps leave the network with dropout short of its end: its test loss "
            "is shown and not checked. The lesson without --quick trains to the end."
        )
    learned = []
    for size in plan.sizes:
        yield Working(f"training {2 * plan.seeds} networks on {size:,} images")
        learned.append(_learned(size, plan, asked))
    yield from _ends(learned, p)
    yield from _gaps(learned)
    yield from _noisy(learned[-1], p)
    yield Picture(lambda: draw(learned, p), "losses over the epochs, and the gap over the images")
    yield from checks(learned, plan.gains_from)


def _learned(size: int, plan: _Plan, asked: Asked) -> Learned:
    """Train networks on so many images, without dropout and with it, all in one fleet."""
    (p,) = asked.p
    dropped = settings(
        {
            "model.hidden": (plan.units, plan.units),
            "dropout.p": p,
            "training.epochs": plan.epochs,
            "training.batch_size": 100,
            "training.learning_rate": 0.05,
            "training.learning_rate_schedule": "linear",
            "evaluation.every": plan.every,
            "evaluation.train_examples": 1000,
        }
    )
    # At p = 0 the layer passes every bit on; the variant none would be another program.
    without = with_values(dropped, {"dropout.p": 0.0})
    first = asked.seed * plan.seeds
    images = splits(asked, train_size=size)
    trained = train_fleet([without, dropped], range(first, first + plan.seeds), images)
    return Learned.of(trained.records, images=size)


def _ends(learned: Sequence[Learned], p: float) -> Iterator[Part]:
    rows: list[tuple[Cell, ...]] = [
        (
            f"{each.images:,}, " + (f"p = {p:g}" if dropped else "without"),
            *(
                float(each.last(column)[dropped].mean())
                for column in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
            ),
        )
        for each in learned
        for dropped in (0, 1)
    ]
    yield Rows(
        f"after the last epoch, dropout off: mean of {learned[0].seeds} seeds (losses in nats)",
        ("images, dropout", "train loss", "test loss", "train accuracy", "test accuracy"),
        rows,
        digits=3,
    )
    yield Look(
        "Overfitting is the distance between training and test, in loss and in accuracy. Compare "
        "it without dropout and with it, and from few images to many."
    )


def _gaps(learned: Sequence[Learned]) -> Iterator[Part]:
    yield Step("The difference, seed by seed")
    yield Say(
        "Each seed gives a pair. The mean difference of the pairs is set against its standard "
        "error, which holds the luck of weights, order and masks, not that of these images."
    )
    rows = []
    for each in learned:
        gap, test = (Difference.of(each.difference(name)) for name in ("loss_gap", "test_loss"))
        accuracy = Difference.of(100 * each.difference("test_accuracy"))
        rows.append((f"{each.images:,}", gap.told(), test.told(), accuracy.told(2)))
    yield Rows(
        f"with dropout less without: mean ± standard error of {learned[0].seeds} pairs",
        ("images", "loss gap (nats)", "test loss (nats)", "test accuracy (points)"),
        rows,
    )
    few, many = learned[0], learned[-1]
    with_few = float(few.last("loss_gap")[1].mean())
    without_many = float(many.last("loss_gap")[0].mean())
    yield Look(
        f"The loss gap with dropout at {few.images:,} images is {with_few:.2f} nats; without "
        f"dropout at {many.images:,} it is {without_many:.2f}. "
        + (
            f"{many.images // few.images} times the images do more against overfitting than "
            "dropout does."
            if without_many < with_few
            else "Dropout does here what more images would."
        )
    )
    off = {each.images: Difference.of(each.difference("test_accuracy")).off for each in learned}
    seen = [
        f"at {images:,} images dropout {'raises' if in_errors > 0 else 'lowers'} it, by more than "
        f"{ERRORS:g} standard errors"
        for images, in_errors in off.items()
        if abs(in_errors) > ERRORS
    ]
    unseen = f"no change of {ERRORS:g} standard errors at any number of images"
    yield Look(f"The test accuracy: {'; '.join(seen) or unseen}.")
    yield from _no_gain(learned)
    yield Mistake(
        "Dropout is said to prevent overfitting. It makes the gap smaller and does not close it. "
        "Very few images a network learns by heart through all the noise: Srivastava et al. "
        "found no gain in accuracy at 100 and 500 (section 7.4)."
    )


def _no_gain(learned: Sequence[Learned]) -> Iterator[Part]:
    """Say where the gap shrank and the test loss rose, if anywhere."""
    tests = {each.images: Difference.of(each.difference("test_loss")) for each in learned}
    worse = [f"{images:,}" for images, test in tests.items() if test.seen and test.mean > 0]
    if worse:
        yield Say(
            f"A smaller gap is not yet a gain: at {' and '.join(worse)} images the test loss is "
            "higher with dropout. The training loss rose by more than the gap fell."
        )


def _noisy(many: Learned, p: float) -> Iterator[Part]:
    noisy, clean, test = (
        many.mean(column)[1] for column in ("noisy_train_loss", "train_loss", "test_loss")
    )
    yield Step("The trap: a test that looks better than training")
    yield Rows(
        f"p = {p:g}, {many.images:,} images: mean loss of {many.seeds} seeds (nats)",
        ("epoch", "training, noisy", "training, clean", "test"),
        [
            (epoch, float(noisy[at]), float(clean[at]), float(test[at]))
            for at, epoch in enumerate(many.epochs)
            if at < 5 or at == len(many.epochs) - 1
        ],
        digits=3,
    )
    better = [int((loss > test).sum()) for loss in (noisy, clean)]
    yield Look(
        f"The test loss is below the noisy training loss in {better[0]} of {len(test)} measured "
        f"epochs, below the clean one in {better[1]}."
    )
    yield Mistake(
        "A test curve below the training curve is taken for a sign that dropout works, or that "
        "there is too much of it. It compares a network with dropout on (and before each update) "
        "to one with dropout off (and after them). To see the gap, measure both with dropout off."
    )


def checks(learned: Sequence[Learned], gains_from: int | None) -> Iterator[Check]:
    """Yield what is claimed of networks trained on rising numbers of images.

    Args:
        learned: What they became.
        gains_from: Images from which the test loss must be lower with dropout; none: nowhere.
    """
    yield Check("loss gap is smaller", _sure([-each.difference("loss_gap") for each in learned]))
    if gains_from is not None:
        enough = [each for each in learned if each.images >= gains_from]
        lower = _sure([-each.difference("test_loss") for each in enough])
        yield Check(f"test loss, from {gains_from:,} on", lower)
    gaps = [each.last("loss_gap")[0] for each in learned]
    shrunk = [fewer - more for fewer, more in itertools.pairwise(gaps)]
    yield Check("gap shrinks with images", _sure(shrunk))
    hidden = [(each.last("noisy_train_loss") - each.last("train_loss"))[1] for each in learned]
    yield Check("noisy loss is above clean", _sure(hidden))


def _sure(differences: Sequence[Tensor]) -> Outcome:
    """Return whether the mean of each group of differences is above 0, and surely."""
    least = min(Difference.of(each).off for each in differences)
    what = f"is the least of {len(differences)} mean differences of {len(differences[0])} seeds"
    return at_least(least, ERRORS, what, unit=" s.e.")
