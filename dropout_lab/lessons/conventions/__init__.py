"""Lesson ``conventions``: p as the probability of dropping or of keeping, and confused."""

import math
import textwrap
from collections.abc import Iterable, Iterator

import torch

from dropout_lab.checks.outcome import must_be, within
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.errors import ConfigError
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.conventions.experiment import MeasuredUnit, measure_conventions
from dropout_lab.lessons.conventions.picture import draw_figure
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.reference_layers import NumpyDropout, torch_dropout

_DROPOUT_RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
_REFUSAL = "p is the probability of dropping"
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
    ("dropout-lab", "p", False),
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


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    draws = 20_000 if options.quick else 200_000
    yield from _show_conventions(p)
    yield from _measure_layers(p, draws, options.seed)
    yield from _show_mixed_conventions(p, draws, options.seed)
    yield from _show_statements(p, draws, options.seed)
    yield from _show_config_errors()


def _show_conventions(p: float) -> Iterator[parts.Part]:
    yield parts.Section("Two conventions")
    yield parts.Paragraph(
        "Some texts and programs give the probability of dropping a unit, others the "
        "probability of keeping it. Each is 1 minus the other."
    )
    for title, rows in (("papers", _PAPERS), ("programs", _PROGRAMS)):
        yield parts.Table(
            f"{title}; last column: the number that drops one unit in {1 / p:.3g}",
            ("", "name", "probability of", "number"),
            [
                (source, name, "keeping" if keeps else "dropping", f"{1 - p if keeps else p:g}")
                for source, name, keeps in rows
            ],
        )
    yield parts.Observation(
        "In TensorFlow 1 the second argument of tf.nn.dropout was the probability of keeping. "
        "In TensorFlow 2 it is the probability of dropping. Code that passed the number by "
        "position changed its meaning with the update."
    )


def _measure_layers(p: float, draws: int, seed: int) -> Iterator[parts.Part]:
    layer = InvertedDropout(p, noise=noise_source(seed, 1))
    realized_p = float(layer.p)
    ones = torch.ones(draws, dtype=torch.float64)
    numpy_layer = NumpyDropout(realized_p, noise_source(seed, 2).generator)
    outputs_by_layer = {
        "ours": (layer(ones), realized_p),
        "nn.Dropout": (torch_dropout(realized_p, ones, seed), realized_p),
        "NumPy's, prob keeps": (
            torch.from_numpy(numpy_layer.forward(ones.numpy())),
            1 - realized_p,
        ),
    }
    yield parts.Section("Measured: what each layer does with p")
    yield parts.Table(
        f"each layer is given {p:g} and n = {draws:,} ones",
        ("layer", "share of zeros", "value of the rest"),
        [
            (name, float((outputs == 0).double().mean()), float(outputs.max()))
            for name, (outputs, _) in outputs_by_layer.items()
        ],
    )
    yield parts.Observation(
        "Many tutorials contain the third layer, whose prob is the probability of keeping. "
        "Other tutorials mean the probability of dropping, whether they write p or rate. At 0.5 "
        "the three layers agree, so a test at 0.5 does not reveal the convention."
    )
    error = math.sqrt(realized_p * (1 - realized_p) / draws)
    names = ("p drops here", "nn.Dropout: p drops", "NumPy's prob keeps")
    for name, (outputs, expected_share) in zip(names, outputs_by_layer.values(), strict=True):
        share = float((outputs == 0).double().mean())
        yield parts.Check(
            name, within(share, expected_share, error, f"is the share of zeros of {draws:,} ones")
        )


def _show_mixed_conventions(p: float, draws: int, seed: int) -> Iterator[parts.Part]:
    ps = sorted({*_DROPOUT_RATES, p})
    table = measure_conventions(ps, draws, seed)
    yield parts.Section("Confused: the effect on a unit of value 1")
    yield parts.Formula(
        "drops with p, divides by p:        mean (1 - p) / p, not 1\n"
        "drops with p, evaluation times p:  p / (1 - p) of the mean, not 1\n"
        "keeps with p, should drop with p:  variance (1 - p) / p, not p / (1 - p)"
    )
    correct, divided_by_p, kept_with_p, standard, multiplied_by_p = table.values()
    odds = [unit.drop_probability / (1 - unit.drop_probability) for unit in correct]
    yield parts.Table(
        f"mean in training, n = {draws:,}; a kept unit is divided by",
        ("p", "1 - p: correct", "p", "(1 - p) / p"),
        [
            (f"{rate:g}", a.mean, b.mean, 1 / c)
            for rate, a, b, c in zip(ps, correct, divided_by_p, odds, strict=True)
        ],
    )
    yield parts.Table(
        f"value in evaluation over the mean in training, n = {draws:,}; evaluation is multiplied "
        "by",
        ("p", "1 - p: correct", "p", "p / (1 - p)"),
        [
            (f"{rate:g}", a.eval_value / a.mean, b.eval_value / b.mean, c)
            for rate, a, b, c in zip(ps, standard, multiplied_by_p, odds, strict=True)
        ],
    )
    yield parts.Table(
        f"mean and variance of the noise in training, n = {draws:,}",
        ("p", "p drops: mean", "variance", "p keeps: mean", "variance"),
        [
            (f"{rate:g}", a.mean, a.variance, b.mean, b.variance)
            for rate, a, b in zip(ps, correct, kept_with_p, strict=True)
        ],
    )
    yield parts.Observation(
        "With the conventions confused, all results are right at 0.5 and wrong elsewhere. At p "
        "= 0.1 the next layer receives 9 times as much in training as in evaluation. It does "
        "not matter whether the mistake is in training or in evaluation."
    )
    yield parts.Misconception(
        "Some published code drops a unit where a uniform number is below the rate, and divides "
        "by the rate. Its text explains p = 0.8 as the probability of keeping. Its example uses "
        "0.5, where the code is right."
    )
    yield parts.Misconception(
        "'The mean is right, so the layer is right.' If p is used for keeping where it should "
        "drop, the mean is still 1, because the layer divides by the probability of keeping. "
        "Count the zeros or measure the variance."
    )
    yield parts.Plot(
        lambda: draw_figure(ps, table, draws),
        "mean, evaluation and variance of a unit for each p, with correct and confused conventions",
    )
    yield from _check_formulas(table)


def _check_formulas(table: dict[str, list[MeasuredUnit]]) -> Iterator[parts.Check]:
    description = "is the largest distance from the formula, at any p"

    def check(name: str, z_scores: Iterable[float]) -> parts.Check:
        return parts.Check.within_chance(name, max(z_scores), description)

    correct, divided_by_p, kept_with_p, standard, multiplied_by_p = table.values()
    yield check("right: 1 and p / (1 - p)", (unit.largest_z_score for unit in correct))
    yield check("over p: (1 - p) / p", (unit.largest_z_score for unit in divided_by_p))
    yield check("keeps: 1 and (1 - p) / p", (unit.largest_z_score for unit in kept_with_p))
    # The mean in training, compared with the value in evaluation.
    yield check("standard: times 1 - p", (unit.mean_z_score(unit.eval_value) for unit in standard))
    odds = [unit.drop_probability / (1 - unit.drop_probability) for unit in multiplied_by_p]
    z_scores = [
        unit.mean_z_score(unit.eval_value / factor)
        for unit, factor in zip(multiplied_by_p, odds, strict=True)
    ]
    yield check("times p: p / (1 - p)", z_scores)


def _show_statements(p: float, draws: int, seed: int) -> Iterator[parts.Part]:
    drop_layer, keep_layer = (
        StandardDropout(rate, noise=noise_source(seed, 7)) for rate in (p, 1 - p)
    )
    shares = [
        float((layer(torch.ones(draws)) == 0).double().mean()) for layer in (drop_layer, keep_layer)
    ]
    bound = ERRORS * math.sqrt(p * (1 - p) / draws) + 2.0**-17  # the layer rounds p

    def answers(share_of: str) -> list[str]:
        compared_shares = [share if share_of == "dropped" else 1 - share for share in shares]
        return ["yes" if abs(share - p) <= bound else "no" for share in compared_shares]

    yield parts.Section("One p with two meanings")
    yield parts.Table(
        f"is the statement true? measured at p = {p:g}, n = {draws:,}",
        ("statement", "if p drops", "if p keeps"),
        [
            ("a unit is deleted with probability p", *answers("dropped")),
            ("of n units, n p stay active", *answers("kept")),
            ("evaluation multiplies the output by p", *answers("kept")),
            ("a unit is kept with probability p", *answers("kept")),
            ("p is the dropout rate", *answers("dropped")),
        ],
    )
    yield parts.Observation("Each column contains a no, except at or near 0.5.")
    yield parts.Misconception(
        "'Units are deleted with probability p; n p of them are active, and evaluation scales "
        "the output by p.' 'Each unit is kept with probability p (the dropout rate).' In these "
        "texts the meaning of p changes on the way. If you pass that p to nn.Dropout, you get a "
        "different network."
    )


def _show_config_errors() -> Iterator[parts.Part]:
    yield parts.Section("What dropout-lab answers")
    for assignment in ("dropout.keep_prob=0.8", "dropout.rate=0.2", "dropout.p=80"):
        lines = textwrap.wrap(_config_error(assignment), 72)
        yield parts.Formula("\n".join([f"dropout-lab train --set {assignment}", *lines]))
    yield parts.Observation(
        "dropout-lab reports a setting of the other convention as an error instead of guessing. "
        "In the catalogue, the config and the tables, p is always the probability of dropping."
    )
    answer = _config_error("dropout.keep_prob=0.8")
    result = "refused" if _REFUSAL in answer else "accepted"
    yield parts.Check(
        "keep_prob is refused", must_be("refused", result, "a config may use keep_prob")
    )


def _config_error(assignment: str) -> str:
    """Return the program's error message for a setting."""
    try:
        load(None, Changes(settings=(assignment,)))
    except ConfigError as error:
        return error.mistakes[0]
    return "(nothing)"
