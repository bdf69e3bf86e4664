"""Lesson ``conventions``: p that drops, p that keeps, and the two mixed up."""

import math
import textwrap
from collections.abc import Iterable, Iterator

import torch

from dropout_lab.checks.outcome import at_most, must_be, within
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.errors import ConfigError
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.conventions.mixed import Unit, draw, mixed_up
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.reference_layers import NumpyDropout, torch_dropout

_P = (0.1, 0.25, 0.5, 0.75, 0.9)
_REFUSED = "p is the chance of dropping"
_PAPERS = (
    ("Hinton et al. 2012", "0.5, omitted", False),
    ("Srivastava et al. 2014", "p, retained", True),
    ("Wan et al. 2013", "p", True),
    ("Wang, Manning 2013", "p", True),
    ("Kingma et al. 2015", "p", False),
    ("McClure, Kriegesk. 2016", "p", True),
    ("Gal et al. 2017", "p", False),
    ("Klambauer et al. 2017", "q", True),
)
_PROGRAMS = (
    ("this program", "p", False),
    ("PyTorch nn.Dropout", "p", False),
    ("Keras Dropout", "rate", False),
    ("TensorFlow 1 tf.nn.dropout", "keep_prob", True),
    ("TensorFlow 2 tf.nn.dropout", "rate", False),
    ("Flax, Haiku", "rate", False),
    ("Equinox, MXNet", "p", False),
    ("Caffe", "dropout_ratio", False),
    ("MATLAB dropoutLayer", "probability", False),
    ("MindSpore 1.8 nn.Dropout", "keep_prob", True),
)


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    draws = 20_000 if asked.quick else 200_000
    yield from _who_says_what(p)
    yield from _measured(p, draws, asked.seed)
    yield from _mixed_up(p, draws, asked.seed)
    yield from _sentences(p, draws, asked.seed)
    yield from _answers()


def _who_says_what(p: float) -> Iterator[Part]:
    yield Step("Two conventions")
    yield Say("Some give the chance of dropping a unit, some that of keeping it: 1 less the other.")
    for title, rows in (("papers", _PAPERS), ("programs", _PROGRAMS)):
        yield Rows(
            f"{title}; last: the number for one drop in {1 / p:.3g}",
            ("", "name", "chance of", "number"),
            [
                (where, name, "keeping" if keeps else "dropping", f"{1 - p if keeps else p:g}")
                for where, name, keeps in rows
            ],
        )
    yield Look(
        "From version 1 to 2 of TensorFlow the second argument of tf.nn.dropout went from keeping "
        "to dropping: a number given by place, not by name, changed its meaning with the update."
    )


def _measured(p: float, draws: int, seed: int) -> Iterator[Part]:
    layer = InvertedDropout(p, noise=noise(seed, 1))
    realized = float(layer.p)
    ones = torch.ones(draws, dtype=torch.float64)
    keep = NumpyDropout(realized, noise(seed, 2).generator)
    outs = {
        "this program's": (layer(ones), realized),
        "nn.Dropout": (torch_dropout(realized, ones, seed), realized),
        "NumPy's, prob keeps": (torch.from_numpy(keep.forward(ones.numpy())), 1 - realized),
    }
    yield Step("Asked of the layers themselves")
    yield Rows(
        f"each layer is given {p:g}, and n = {draws:,} ones",
        ("layer", "share that is 0", "the rest become"),
        [
            (name, float((out == 0).double().mean()), float(out.max()))
            for name, (out, _) in outs.items()
        ],
    )
    yield Look(
        "The third is the layer of many a tutorial, whose prob is the chance of keeping. Other "
        "tutorials, whether they write p or rate, mean dropping throughout. "
        "At 0.5 the three would agree: a test at 0.5 tells nothing of the convention."
    )
    error = math.sqrt(realized * (1 - realized) / draws)
    names = ("p drops here", "nn.Dropout: p drops", "NumPy's prob keeps")
    for name, (out, should) in zip(names, outs.values(), strict=True):
        share = float((out == 0).double().mean())
        yield Check(name, within(share, should, error, f"is the share of zeros of {draws:,} ones"))


def _mixed_up(p: float, draws: int, seed: int) -> Iterator[Part]:
    ps = sorted({*_P, p})
    table = mixed_up(ps, draws, seed)
    yield Step("Mixed up: what becomes of a unit of value 1")
    yield Formula(
        "drops with p, divides by p:         mean (1 - p) / p and not 1\n"
        "drops with p, evaluation times p:   p / (1 - p) of the mean and not 1\n"
        "keeps with p where p should drop:   variance (1 - p) / p and not p / (1 - p)"
    )
    right, over_p, keeps, standard, times_p = table.values()
    odds = [each.dropped / (1 - each.dropped) for each in right]
    yield Rows(
        f"mean in training, n = {draws:,}; what is kept is divided by",
        ("p", "1 - p: right", "p", "(1 - p) / p"),
        [
            (f"{at:g}", a.mean, b.mean, 1 / c)
            for at, a, b, c in zip(ps, right, over_p, odds, strict=True)
        ],
    )
    yield Rows(
        f"evaluation over the mean of training, n = {draws:,}; evaluation is multiplied by",
        ("p", "1 - p: right", "p", "p / (1 - p)"),
        [
            (f"{at:g}", a.rest / a.mean, b.rest / b.mean, c)
            for at, a, b, c in zip(ps, standard, times_p, odds, strict=True)
        ],
    )
    yield Rows(
        f"mean and variance of the noise in training, n = {draws:,}",
        ("p", "drops: mean", "variance", "keeps: mean", "variance"),
        [
            (f"{at:g}", a.mean, a.variance, b.mean, b.variance)
            for at, a, b in zip(ps, right, keeps, strict=True)
        ],
    )
    yield Look(
        "Mixed up, all are right at 0.5 and nowhere else. At p = 0.1 the next layer gets 9 times "
        "as much in training as in evaluation, be the mistake in the one or in the other."
    )
    yield Mistake(
        "Published code drops where a uniform number is below the rate, divides by the rate, and "
        "explains it by p = 0.8 being the chance of keeping. Shown at 0.5, it is right."
    )
    yield Mistake(
        "'The mean is right, so the layer is.' To keep with p where p should drop leaves the mean "
        "at 1, since the division is by the chance that keeps. Count the zeros, or measure the "
        "variance."
    )
    yield Picture(
        lambda: draw(ps, table, draws),
        "mean, evaluation and variance of a unit over p, with the conventions kept and mixed up",
    )
    yield from _checks(table)


def _checks(table: dict[str, list[Unit]]) -> Iterator[Check]:
    what = "is how far one is from its formula, at any p"

    def check(name: str, off: Iterable[float]) -> Check:
        return Check(name, at_most(max(off), ERRORS, what, unit=" s.e."))

    right, over_p, keeps, standard, times_p = table.values()
    yield check("right: 1 and p / (1 - p)", (each.worst for each in right))
    yield check("over p: (1 - p) / p", (each.worst for each in over_p))
    yield check("keeps: 1 and (1 - p) / p", (each.worst for each in keeps))
    # The mean of training, from what evaluation says of it.
    yield check("standard: times 1 - p", (each.mean_off(each.rest) for each in standard))
    odds = [each.dropped / (1 - each.dropped) for each in times_p]
    off = [each.mean_off(each.rest / by) for each, by in zip(times_p, odds, strict=True)]
    yield check("times p: p / (1 - p)", off)


def _sentences(p: float, draws: int, seed: int) -> Iterator[Part]:
    drops, keeps = (StandardDropout(each, noise=noise(seed, 7)) for each in (p, 1 - p))
    shares = [float((each(torch.ones(draws)) == 0).double().mean()) for each in (drops, keeps)]
    bound = ERRORS * math.sqrt(p * (1 - p) / draws) + 2.0**-17  # the p of coins is rounded

    def true(share_of: str) -> list[str]:
        found = [share if share_of == "dropped" else 1 - share for share in shares]
        return ["yes" if abs(each - p) <= bound else "no" for each in found]

    yield Step("One p in two senses")
    yield Rows(
        f"does it hold, measured at p = {p:g}, n = {draws:,}?",
        ("what is said of p", "if p drops", "if p keeps"),
        [
            ("a unit is deleted with probability p", *true("dropped")),
            ("of n units, n p stay active", *true("kept")),
            ("evaluation multiplies the output by p", *true("kept")),
            ("a unit is kept with probability p", *true("kept")),
            ("p is the dropout rate", *true("dropped")),
        ],
    )
    yield Look("Each column has its no, except at 0.5 or next to it.")
    yield Mistake(
        "'Units are deleted with probability p; n p of them are active, and evaluation scales the "
        "output by p.' 'Each unit is kept with probability p (the dropout rate).' The sense of p "
        "changes on the way, and whoever takes that p to nn.Dropout gets the other network."
    )


def _answers() -> Iterator[Part]:
    yield Step("What this program says to it")
    for written in ("dropout.keep_prob=0.8", "dropout.rate=0.2", "dropout.p=80"):
        lines = textwrap.wrap(_answer(written), 72)
        yield Formula("\n".join([f"dropout-lab train --set {written}", *lines]))
    yield Look(
        "A word of the other convention is an error, not a guess; in the catalogue, the config and "
        "the tables p is the chance of dropping throughout."
    )
    answer = _answer("dropout.keep_prob=0.8")
    found = "refused" if _REFUSED in answer else "taken"
    yield Check("keep_prob is refused", must_be("refused", found, "a config may say keep_prob"))


def _answer(written: str) -> str:
    """Return what the program says to a changed setting."""
    try:
        load(None, Changes(settings=(written,)))
    except ConfigError as error:
        return error.mistakes[0]
    return "(nothing)"
