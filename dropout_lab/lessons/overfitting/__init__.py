"""Lesson ``overfitting``: networks with and without dropout on few and on many images."""

import itertools
from collections.abc import Iterator, Sequence

from torch import Tensor

from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.overfitting.experiment import (
    FULL_PLAN,
    QUICK_PLAN,
    LearningCurves,
    train_networks,
)
from dropout_lab.lessons.overfitting.picture import draw_figure
from dropout_lab.lessons.paired_differences import Difference


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    yield parts.Section("The same network, with and without dropout")
    yield parts.Paragraph(
        f"A network 784-{plan.units}-{plan.units}-10 with ReLU is trained for {plan.epochs} "
        "epochs by SGD. SGD uses momentum 0.9, batches of 100 and a learning rate that falls "
        f"from 0.05 to 0. One half of the networks has no dropout; the other half has p = {p:g} "
        f"in both hidden layers. There are {plan.seeds} seeds. Each seed gives both networks the "
        "same initial weights and order of images. The number of epochs is the same for every "
        "number of images, so more images also mean more updates."
    )
    yield parts.Formula(
        "loss gap     = test loss - training loss\naccuracy gap = training accuracy - test accuracy"
    )
    if plan.gains_from is None:
        yield parts.Paragraph(
            "After so few and small steps, the network with dropout is not fully trained. The "
            "tables show its test loss, and --quick does not check it. Run the lesson without "
            "--quick to train fully."
        )
    curves = []
    for size in plan.sizes:
        yield parts.Progress(f"training {2 * plan.seeds} networks on {size:,} images")
        curves.append(train_networks(size, plan, options))
    yield from _show_final_values(curves, p)
    yield from _show_differences(curves)
    yield from _show_noisy_loss(curves[-1], p)
    yield parts.Plot(
        lambda: draw_figure(curves, p),
        "losses over the epochs, and the gap for each number of images",
    )
    yield from check_claims(curves, plan.gains_from)


def _show_final_values(curves: Sequence[LearningCurves], p: float) -> Iterator[parts.Part]:
    rows: list[tuple[parts.Cell, ...]] = [
        (
            f"{size_curves.images:,}, " + (f"p = {p:g}" if index else "no dropout"),
            *(
                float(size_curves.final_values(column)[index].mean())
                for column in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
            ),
        )
        for size_curves in curves
        for index in (0, 1)
    ]
    yield parts.Table(
        f"after the last epoch, dropout off: mean of {curves[0].seeds} seeds (losses in nats)",
        ("images, dropout", "training loss", "test loss", "training accuracy", "test accuracy"),
        rows,
        digits=3,
    )
    yield parts.Observation(
        "Overfitting is the gap between training and test, in loss and in accuracy. Compare the "
        "gap without and with dropout, and for few and many images."
    )


def _show_differences(curves: Sequence[LearningCurves]) -> Iterator[parts.Part]:
    yield parts.Section("The difference, seed by seed")
    yield parts.Paragraph(
        "Each seed gives a pair. The mean difference of the pairs is compared with its standard "
        "error. This error contains the randomness of weights, order and masks, but not the "
        "choice of these images."
    )
    rows = []
    for size_curves in curves:
        gap, test_loss = (
            Difference.between_pairs(size_curves.difference(name))
            for name in ("loss_gap", "test_loss")
        )
        accuracy = Difference.between_pairs(100 * size_curves.difference("test_accuracy"))
        rows.append(
            (f"{size_curves.images:,}", gap.format(), test_loss.format(), accuracy.format(2))
        )
    yield parts.Table(
        f"with dropout minus without: mean ± standard error of {curves[0].seeds} pairs",
        ("images", "loss gap (nats)", "test loss (nats)", "test accuracy (pp)"),
        rows,
    )
    smallest, largest = curves[0], curves[-1]
    dropout_gap = float(smallest.final_values("loss_gap")[1].mean())
    baseline_gap = float(largest.final_values("loss_gap")[0].mean())
    yield parts.Observation(
        f"At {smallest.images:,} images with dropout, the loss gap is {dropout_gap:.2f} nats. At "
        f"{largest.images:,} images without dropout, it is {baseline_gap:.2f} nats. "
        + (
            f"{largest.images // smallest.images} times as many images reduce overfitting more "
            "than dropout does."
            if baseline_gap < dropout_gap
            else "Here dropout reduces overfitting at least as much as the additional images do."
        )
    )
    z_scores = {
        size_curves.images: Difference.between_pairs(
            size_curves.difference("test_accuracy")
        ).z_score
        for size_curves in curves
    }
    significant = [
        f"at {images:,} images dropout {'raises' if z_score > 0 else 'lowers'} it by more than "
        f"{ERRORS:g} standard errors"
        for images, z_score in z_scores.items()
        if abs(z_score) > ERRORS
    ]
    no_change = f"no change of more than {ERRORS:g} standard errors at any number of images"
    yield parts.Observation(f"Test accuracy: {'; '.join(significant) or no_change}.")
    yield from _show_harmed_sizes(curves)
    yield parts.Misconception(
        "'Dropout prevents overfitting.' Dropout makes the gap smaller and does not close it. A "
        "network memorizes very few images despite the noise: Srivastava et al. found no gain "
        "in accuracy at 100 and 500 images (section 7.4)."
    )


def _show_harmed_sizes(curves: Sequence[LearningCurves]) -> Iterator[parts.Part]:
    """Name the numbers of images for which the gap shrank and the test loss rose, if any."""
    differences = {
        size_curves.images: Difference.between_pairs(size_curves.difference("test_loss"))
        for size_curves in curves
    }
    harmed = [
        f"{images:,}"
        for images, difference in differences.items()
        if difference.is_significant and difference.mean > 0
    ]
    if harmed:
        yield parts.Paragraph(
            f"A smaller gap is not always a gain. At {' and '.join(harmed)} images the test loss "
            "is higher with dropout: the training loss rose by more than the gap fell."
        )


def _show_noisy_loss(curves: LearningCurves, p: float) -> Iterator[parts.Part]:
    noisy_loss, clean_loss, test_loss = (
        curves.mean(column)[1] for column in ("noisy_train_loss", "train_loss", "test_loss")
    )
    yield parts.Section("A trap: test loss below training loss")
    yield parts.Table(
        f"p = {p:g}, {curves.images:,} images: mean loss of {curves.seeds} seeds (nats)",
        ("epoch", "training, dropout on", "training, dropout off", "test"),
        [
            (epoch, float(noisy_loss[index]), float(clean_loss[index]), float(test_loss[index]))
            for index, epoch in enumerate(curves.epochs)
            if index < 5 or index == len(curves.epochs) - 1
        ],
        digits=3,
    )
    epochs_below = [int((loss > test_loss).sum()) for loss in (noisy_loss, clean_loss)]
    yield parts.Observation(
        f"The test loss is below the training loss with dropout on in {epochs_below[0]} of "
        f"{len(test_loss)} measured epochs. It is below the training loss with dropout off in "
        f"{epochs_below[1]}."
    )
    yield parts.Misconception(
        "'A test curve below the training curve shows that dropout works, or that p is too "
        "high.' The training curve is measured with dropout on and before each update. The test "
        "curve is measured with dropout off and after the updates. To see the gap, measure both "
        "with dropout off."
    )


def check_claims(curves: Sequence[LearningCurves], gains_from: int | None) -> Iterator[parts.Check]:
    """Yield the checks of networks trained on rising numbers of images.

    Args:
        curves: The learning curves for each number of images.
        gains_from: The number of images from which dropout must lower the test loss; None: no
            check.
    """
    smaller_gaps = [-size_curves.difference("loss_gap") for size_curves in curves]
    yield _check_above_zero("loss gap is smaller", smaller_gaps)
    if gains_from is not None:
        large_sizes = [size_curves for size_curves in curves if size_curves.images >= gains_from]
        lower_losses = [-size_curves.difference("test_loss") for size_curves in large_sizes]
        yield _check_above_zero(f"test loss, {gains_from:,}+ images", lower_losses)
    gaps = [size_curves.final_values("loss_gap")[0] for size_curves in curves]
    shrinkages = [larger_gap - smaller_gap for larger_gap, smaller_gap in itertools.pairwise(gaps)]
    yield _check_above_zero("gap shrinks with images", shrinkages)
    noise_gaps = [
        (size_curves.final_values("noisy_train_loss") - size_curves.final_values("train_loss"))[1]
        for size_curves in curves
    ]
    yield _check_above_zero("dropout on: higher loss", noise_gaps)


def _check_above_zero(name: str, differences: Sequence[Tensor]) -> parts.Check:
    """Check that the mean of each group of differences is significantly above 0."""
    smallest = min(Difference.between_pairs(group).z_score for group in differences)
    description = (
        f"is the smallest of {len(differences)} mean differences over {len(differences[0])} seeds"
    )
    return parts.Check.beyond_chance(name, smallest, description)
