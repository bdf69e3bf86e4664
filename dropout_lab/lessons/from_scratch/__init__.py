"""Lesson ``from-scratch``: a dropout layer of one's own against the library's, on MNIST."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from dropout_lab.analysis.statistics import spread
from dropout_lab.checks.outcome import at_least, at_most, none_of, within
from dropout_lab.data import Splits
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.from_scratch.networks import (
    CORRECTED,
    EPOCHS,
    LEARNING_RATE,
    LINEAR,
    OURS,
    PUBLISHED,
    THEIRS,
    WAYS,
    WITHOUT,
    Results,
    Scaled,
    scaled_in_evaluation,
    train_ways,
)
from dropout_lab.lessons.from_scratch.picture import draw
from dropout_lab.lessons.from_scratch.wrong_output import train_wrong_output
from dropout_lab.lessons.paired_differences import Difference, seeds_of
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
from dropout_lab.lessons.training import Trained, splits
from dropout_lab.model import MLP

# Training images (none: all), examples of a step, and seeds.
_WHOLE, _QUICK = (None, 128, 6), (1_000, 32, 5)
_LOOKED_AT = 100  # images of the comparison with one linear map
_ROUNDING = 2.0**-53  # of float64, relative, in each sum or product
_WRONG_NETS = 2


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    size, batch, count = _QUICK if asked.quick else _WHOLE
    images = splits(asked, train_size=size)
    seeds = seeds_of(asked, count)
    yield Step("The network, and six ways to write it")
    yield Formula("784 -> 512 -> 512 -> dropout -> 10")
    yield Say(
        f"ReLU after both hidden layers, dropout at p = {p:g} before the output layer, {EPOCHS} "
        f"epochs of Adam (learning rate {LEARNING_RATE:g}, batch {batch}) on {len(images.train):,}"
        f" images of MNIST. Every way begins with the same {len(seeds)} networks and sees the "
        "images in the same order."
    )
    if asked.quick:
        yield Say(
            "So few images leave the network unsure, and the wrong scale costs it little: what "
            "the scale costs is shown and not checked. The lesson without --quick does."
        )
    yield Working(f"training {len(WAYS)} times {len(seeds)} networks")
    results = train_ways(p, seeds, batch, images)
    yield from _table(results, images)
    yield from _same_as_the_library(results)
    yield from _no_scaling(results, checked=not asked.quick)
    scaled = scaled_in_evaluation(results.ways[PUBLISHED], p, images)
    yield from _upside_down(scaled)
    yield Picture(
        lambda: draw(results, scaled, p), "macro F1 and NLL of six ways; scaling after training"
    )
    yield from _one_map(results, images)
    yield from _returns_the_hidden_units(p, asked, batch, images)


def _table(results: Results, images: Splits) -> Iterator[Part]:
    yield Rows(
        f"after {EPOCHS} epochs, {len(images.test):,} test images, dropout off: mean ± s.d. over "
        f"n = {results.seeds} seeds",
        ("layer", "what it does", "macro F1", "NLL, nats"),
        [
            (name, way.words, _mean_sd(results.f1(name)), _mean_sd(results.loss(name)))
            for name, way in WAYS.items()
        ],
    )
    yield Look(
        "Macro F1 is the mean of the ten digits' F1: it sees which class is largest, and nothing "
        "of how sure the network is. The NLL, the mean of -log of the probability of the right "
        "class, sees that too."
    )
    gain = Difference.of(results.f1(OURS), results.f1(WITHOUT))
    yield Say(
        f"Ours less no dropout, in macro F1: {_apart(gain)}. After so short a training "
        + ("that says" if gain.seen else "it is not told from 0, and equal F1 says")
        + " little about dropout, which is there to keep a long training from overfitting."
    )


def _same_as_the_library(results: Results) -> Iterator[Part]:
    f1 = Difference.of_means(results.f1(OURS), results.f1(THEIRS))
    loss = Difference.of_means(results.loss(OURS), results.loss(THEIRS))
    yield Step("A layer of one's own is as good as nn.Dropout")
    yield Formula("x k / (1 - p) in training,  x in evaluation,  k = 1 with the chance 1 - p")
    title = f"ours less nn.Dropout: difference of two means over n = {results.seeds} seeds each"
    yield _differences(title, {"macro F1": f1, "NLL, nats": loss})
    yield Look(
        "The two differ by their draws alone, so the difference must be 0 within its error. That "
        "holds of a layer that is right; the next steps are about one that is not."
    )
    yield Check("F1 is that of nn.Dropout", within(f1.mean, 0.0, f1.error, "is the difference"))
    yield Check("and so is the NLL", within(loss.mean, 0.0, loss.error, "is the difference"))


def _no_scaling(results: Results, *, checked: bool) -> Iterator[Part]:
    f1 = Difference.of(results.f1(PUBLISHED), results.f1(OURS))
    loss = Difference.of(results.loss(PUBLISHED), results.loss(OURS))
    batch = Difference.of(results.loss(CORRECTED), results.loss(OURS))
    yield Step("Without scaling, and with one mask for the whole batch")
    title = f"as published less ours, paired over n = {results.seeds} seeds"
    yield _differences(title, {"macro F1": f1, "NLL, nats": loss})
    yield Mistake(
        "A layer that only multiplies by a mask, drawn once for all examples of a batch, is said "
        "to do as well as the library's. In evaluation its output layer gets, on average, "
        f"1 / (1 - p) times what it learned with: its NLL less ours is {loss.mean:+.2g} nats. With "
        f"the scaling put right and one mask per batch still, it is {batch.mean:+.2g}: examples "
        "that share a mask do not average its noise out. A layer tosses a coin for each of "
        "x.shape, not of x.shape[1]."
    )
    what = "is the NLL as published less ours, over its error"
    if checked:
        yield Check("no scaling costs NLL", at_least(loss.off, ERRORS, what, unit=" s.e."))


def _upside_down(scaled: Sequence[Scaled]) -> Iterator[Part]:
    right, left, wrong = scaled
    yield Step("The remedy in evaluation is to shrink, not to grow")
    yield Say(
        "The networks as published, trained without scaling. Now the weights that leave the "
        "dropped units are multiplied before evaluation, in three ways."
    )
    yield Rows(
        f"mean ± s.d. over n = {len(right.loss)} seeds",
        ("factor of the weights", "macro F1", "NLL, nats"),
        [(_equation(each), _mean_sd(each.f1), _mean_sd(each.loss)) for each in scaled],
    )
    yield Mistake(
        "'Scale by 1 / (1 - p) at inference' is upside down. A share 1 - p of the units was there "
        "in training and all are there in evaluation, so weights are multiplied by 1 - p in "
        "evaluation, or units divided by 1 - p in training: one of the two. Macro F1 cannot "
        "tell: but for the biases, a factor leaves the largest output the largest."
    )
    turned = Difference.of(wrong.loss, right.loss)
    harm = Difference.of(wrong.loss, left.loss)
    what = "is the NLL less that of another scale, over its error"
    yield Check("times 1 - p, not over it", at_least(turned.off, ERRORS, what, unit=" s.e."))
    yield Check("times 1 / (1 - p) harms", at_least(harm.off, ERRORS, what, unit=" s.e."))


def _one_map(results: Results, images: Splits) -> Iterator[Part]:
    x = images.pixels(images.test.images[:_LOOKED_AT]).double().unsqueeze(0)
    yield Step("Without activations, three layers are one")
    yield Formula("((x W1 + b1) W2 + b2) W3 + b3 = x (W1 W2 W3) + (b1 W2 W3 + b2 W3 + b3)")
    off = {name: _from_one_map(results.ways[name], x) for name in (LINEAR, OURS)}
    yield Rows(
        f"logits of {_LOOKED_AT} test images against those of the one linear map, in float64",
        ("network", "largest difference"),
        [("without activation", off[LINEAR][0]), ("with ReLU", off[OURS][0])],
        digits=2,
    )
    f1 = Difference.of(results.f1(LINEAR), results.f1(OURS))
    loss = Difference.of(results.loss(LINEAR), results.loss(OURS))
    title = f"without activation less ours, paired over n = {results.seeds} seeds"
    yield _differences(title, {"macro F1": f1, "NLL, nats": loss})
    yield Mistake(
        "nn.Linear layers one after the other look like a deep network. Without an activation "
        "between them they are softmax regression in more parameters, and dropout between them "
        "is dropout of a linear model. That model too is far above guessing on MNIST, so its "
        "score does not tell."
    )
    # Either order of the products errs by a rounding for each term that a sum adds up, relative to
    # the sum of the terms' sizes (Higham 2002, section 3.1).
    terms = sum(weight.shape[1] + 1 for weight in results.ways[LINEAR].fleet.model.weights)
    what = "is how far a logit is from that of one linear map, relative to its terms"
    yield Check("three layers are one map", at_most(off[LINEAR][1], 2 * terms * _ROUNDING, what))


def _from_one_map(trained: Trained, x: Tensor) -> tuple[float, float]:
    """Return how far logits are from one linear map's, and how far relative to their terms."""
    model = trained.fleet.model.double().eval()
    with torch.no_grad():
        apart = (model(x) - _through_one_map(model, x)).abs()
        terms = _through_one_map(model, x, sizes=True)
    return float(apart.max()), float((apart / terms).max())


def _through_one_map(model: MLP, x: Tensor, *, sizes: bool = False) -> Tensor:
    """Return the logits of the product of a network's weights; or the sum of the terms' sizes."""
    w1, w2, w3 = (each.abs() if sizes else each for each in model.weights)
    b1, b2, b3 = (each.abs() if sizes else each for each in model.biases)
    slope, offset = w1 @ w2 @ w3, b1 @ w2 @ w3 + b2 @ w3 + b3
    logits: Tensor = (x.abs() if sizes else x) @ slope + offset
    return logits


def _returns_the_hidden_units(p: float, asked: Asked, batch: int, images: Splits) -> Iterator[Part]:
    yield Step("A forward pass that returns the wrong variable")
    yield Formula("x = dropout(layer_2(layer_1(x)))\noutput = layer_3(x)\nreturn x")
    nets = [
        train_wrong_output(
            p, seed, images, epochs=EPOCHS, batch_size=batch, learning_rate=LEARNING_RATE
        )
        for seed in seeds_of(asked, _WRONG_NETS)
    ]
    yield Rows(
        f"the published network, trained on its 512 outputs; n = {len(nets)} seeds",
        ("seed", "macro F1", "accuracy", "predicted beyond 9", "output weights moved"),
        [
            (
                str(seed),
                float(net.scores.macro_f1),
                float(net.scores.accuracy),
                net.outside,
                net.moved,
            )
            for seed, net in zip(seeds_of(asked, _WRONG_NETS), nets, strict=True)
        ],
    )
    yield Look(
        "Cross-entropy takes 512 outputs as readily as 10: the labels 0 to 9 name the first ten "
        "hidden units, the other 502 learn to be small, and the output layer never learns at all."
    )
    yield Mistake(
        "'It trains and the score is good' is taken for a test of the code. It passes with the "
        "output layer unused. Look at the shape of what is returned: (batch, 10)."
    )
    moved = sum(net.moved for net in nets)
    yield Check("the output layer rests", none_of(moved, "of its weights and biases moved"))
    correct = sum(float(net.scores.accuracy) for net in nets) / len(nets)
    error = math.sqrt(0.1 * 0.9 / len(images.test) / len(nets))  # of guessing one digit in ten
    what = "is the accuracy less that of guessing, over its error"
    yield Check(
        "it learns all the same", at_least((correct - 0.1) / error, ERRORS, what, unit=" s.e.")
    )


def _differences(title: str, differences: Mapping[str, Difference]) -> Rows:
    return Rows(
        title,
        ("measure", "mean difference", "standard error", "in s.e."),
        [(name, each.mean, each.error, each.off) for name, each in differences.items()],
        digits=3,
    )


def _apart(found: Difference) -> str:
    return f"{found.mean:+.2g} with a standard error of {found.error:.2g}"


def _equation(scaled: Scaled) -> str:
    value = f"{scaled.factor:.3g}"
    return value if scaled.words == value else f"{scaled.words} = {value}"


def _mean_sd(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} ± {spread(values):.3f}"
