"""The catalogue of dropout variants: formula, meaning and range of p, options, claimed properties.

``dropout-lab variants`` prints the catalogue, the config is checked against it, each layer takes
its range of p from it, and ``dropout-lab verify`` tests its claims. This module does not use torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_INFINITE = "the variance p / (1 - p) of its noise is infinite there"
_NOTHING_LEFT = "nothing would be kept to be divided by 1 - p"
_AT_MOST_ONE = "alpha = p / (1 - p) is at most 1, the range of the KL's approximation"
_ALPHA_OPTIONS = {"alpha_per": "layer", "kl_weight": 1.0, "kl_warmup": (0.0, 0.0)}
_ALPHA = "alpha = p / (1 - p) at the start"


@dataclass(frozen=True)
class Variant:
    """A dropout variant.

    Args:
        formula: The effect on the units x of a place, or on its outgoing weights W.
        summary: What it does, in a sentence of at most 60 characters.
        p: The meaning of p.
        paper: The publication.
        cost: Time of a training step, relative to ``none``; see ``COST_MEASURED``.
        learned: The learned parameters, except weights and biases.
        highest_p: The largest allowed p; below 1 if the formula has no value at 1.
        beyond: Why a larger p is not allowed.
        options: Keys of the section ``dropout`` that only some variants read, with their defaults.
        needed: The options without a default.
        between: Whether it acts between the activation and the outgoing weights. Such a variant
            cannot have a position before the activation.
        hidden_only: Whether it needs incoming weights or pre-activations, which the input does not
            have.
        reads_mask: Whether it distinguishes masks per example and masks per batch.
        activations: The allowed activations; empty if all are allowed.
        noisy: Whether it uses random numbers.
        one_p: Whether all runs of a fleet need the same p, since p determines the shapes.
        moments: Whether mean and variance of the pre-activations are known in closed form.
        biased: Why evaluation is not the mean of training; empty if it is the mean.
        keep_rate: Whether a unit or a weight is 0 with probability exactly p, and otherwise kept.
        matched: Whether its noise, relative to evaluation, has variance p / (1 - p); for learned
            noise, at the start.
        surrogate: The tensors, ``x`` or ``weight``, whose gradient intentionally differs from the
            derivative of the output.
        source: SHA-256 of the plugin; empty for built-in variants.
        remark: What to know before comparing it with other variants.
    """

    formula: str
    summary: str = ""
    p: str = "chance of dropping a unit"
    paper: str = ""
    cost: float = 1.0
    learned: str = ""
    highest_p: float = 1.0
    beyond: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    between: bool = False
    hidden_only: bool = False
    reads_mask: bool = True
    activations: tuple[str, ...] = ()
    noisy: bool = True
    one_p: bool = False
    moments: bool = False
    biased: str = ""
    keep_rate: bool = False
    matched: bool = False
    surrogate: tuple[str, ...] = ()
    source: str = ""
    remark: str = ""


COST_MEASURED = (
    "time of a training step over one of none: 784-512-512-10, batch 128, 4 runs, SGD, p = 0.5 "
    "after both hidden layers, float32; median of n = 15 pairs on 2 cores of an AMD EPYC, torch "
    "2.15; `python benchmarks/dropout_cost.py 15` measures it here"
)

_BELOW_ONE = 1 - 2.0**-53
_DROP = "chance of dropping a unit"
_VARIANCE = "the noise has variance p / (1 - p)"
_TO_BE_PRUNED = (
    "made to be pruned: pruned_test_accuracy is its measure; for a pruned net without dropout "
    "write a p near 0"
)
_EVERY_MOMENT = ("relu", "logistic", "tanh", "linear")
_ONE_PRE_ACTIVATION = ("relu", "logistic", "tanh", "selu", "linear")
_JMLR = "Srivastava et al. 2014, JMLR 15"
_KINGMA = "Kingma, Salimans, Welling 2015, NIPS"

_TYPE_A = Variant(
    summary="Gaussian noise on units; learns its variance.",
    cost=1.43,
    formula="x r, r ~ N(1, alpha); loss + KL/N",
    p=_ALPHA,
    paper=_KINGMA,
    learned="alpha <= 1, of each place or unit",
    highest_p=0.5,
    beyond=_AT_MOST_ONE,
    options=_ALPHA_OPTIONS,
    matched=True,
)

# Default weight of the term that each loss adds.
LOSS_WEIGHTS = {"r_drop": 1.0, "expectation_linear": 1.0, "fraternal": 0.1}

CATALOGUE: dict[str, Variant] = {
    "none": Variant(
        summary="No dropout: the baseline.", formula="x", p="no part", paper="", noisy=False
    ),
    "inverted": Variant(
        summary="Drops units; scales the kept ones during training.",
        cost=1.12,
        formula="x k / (1-p), k ~ Bernoulli(1-p)",
        p=_DROP,
        paper=_JMLR,
        keep_rate=True,
        matched=True,
    ),
    "standard": Variant(
        summary="Drops units; scales all units in evaluation.",
        cost=1.09,
        formula="x k, k ~ Bernoulli(1-p); in evaluation (1-p) x",
        p=_DROP,
        paper=_JMLR,
        keep_rate=True,
        matched=True,
    ),
    "unscaled": Variant(
        summary="Drops units without scaling: a mistake, on purpose.",
        cost=1.10,
        formula="x k, k ~ Bernoulli(1-p); in evaluation x",
        p=_DROP,
        paper="",
        remark="a mistake, on purpose: the scaling is forgotten",
        keep_rate=True,
        biased="scaling forgotten, on purpose",
    ),
    "gaussian": Variant(
        summary="Multiplies units by Gaussian noise.",
        cost=1.34,
        formula="x r, r ~ N(1, p/(1-p))",
        p=_VARIANCE,
        paper=_JMLR,
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        matched=True,
    ),
    "uniform": Variant(
        summary="Multiplies units by uniform noise.",
        cost=1.08,
        formula="x r, r ~ U(1-w, 1+w), w^2 = 3 p/(1-p)",
        p=_VARIANCE,
        paper="Shen et al. 2018, IEEE TNNLS (continuous dropout)",
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        matched=True,
    ),
    "alpha": Variant(
        summary="Drops SELU units; keeps mean 0 and variance 1.",
        cost=1.26,
        formula="a (x k + alpha' (1-k)) + b, keeping mean 0 and variance 1",
        p=_DROP,
        paper="Klambauer et al. 2017, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no affine map restores the variance of a constant",
        remark="made for activation: selu with init: lecun; with relu it is 1.5 points behind "
        "inverted on mnist_5k at p = 0.25 (25 epochs of Adam, n = 3)",
        biased="mean 0 and variance 1 over units",
    ),
    "standout": Variant(
        summary="Drops a unit more often the less it is activated.",
        cost=1.16,
        formula="x k, k ~ Bernoulli(sigmoid(slope z + beta)); in evaluation the mean",
        p="chance of dropping a unit whose pre-activation z is 0: beta = log((1-p)/p)",
        paper="Ba & Frey 2013, NIPS",
        options={"slope": 1.0},
        hidden_only=True,
        activations=_ONE_PRE_ACTIVATION,
    ),
    "concrete": Variant(
        summary="Learns p, with a smooth form of the mask.",
        cost=1.32,
        formula="x (1-z) / (1-p), z = sigmoid((logit p + logit u) / 0.1), u ~ U(0,1)",
        p="chance of dropping at the start",
        paper="Gal, Hron, Kendall 2017, NIPS",
        learned="p of each place",
        highest_p=_BELOW_ONE,
        beyond="logit p is infinite there",
        options={"length_scale": 1e-4},
        biased="E[1 - z] is only close to 1 - p",
    ),
    "variational_a": _TYPE_A,
    "variational_a2": replace(
        _TYPE_A,
        summary="variational_a with a third of the KL term.",
        cost=1.53,
        formula="x r, r ~ N(1, alpha); loss + KL/(3N)",
    ),
    "variational_b": Variant(
        summary="Gaussian noise on weights; learns its variance.",
        cost=1.87,
        formula="z ~ N(x W + b, x^2 (alpha W^2)); loss + KL/N",
        p=_ALPHA,
        paper=_KINGMA,
        learned="alpha <= 1, of each place, unit or weight",
        highest_p=0.5,
        beyond=_AT_MOST_ONE,
        options=_ALPHA_OPTIONS,
        between=True,
        matched=True,
    ),
    "sparse_variational": Variant(
        summary="Learns the noise of each weight; prunes noisy ones.",
        cost=2.96,
        formula="z ~ N(x W + b, x^2 s^2); loss + KL/N; in evaluation W where s^2/W^2 < e^3",
        p="s^2 at the start is p / (1 - p) of the weights' mean square",
        paper="Molchanov, Ashukha, Vetrov 2017, ICML",
        learned="s of each weight",
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        options={"kl_weight": 1.0, "kl_warmup": (0.025, 0.1)},
        between=True,
        remark="made for optimizer: adam; it gives accuracy away for zeros where N is small",
        biased="drowned weights are 0 there",
    ),
    "multinomial": Variant(
        summary="Draws a fixed number of units, with replacement.",
        cost=1.36,
        formula="x m / (k/d), m ~ Multinomial(k; 1/d, ..., 1/d)",
        p="1 - k/d: k draws among the d units",
        paper="Li, Gong, Yang 2016, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no draw would be left",
        remark="its noise has variance (1 - 1/d) / (1 - p), against p / (1 - p) of inverted, so it "
        "learns more slowly at the same p",
    ),
    "evolutional": Variant(
        summary="multinomial that draws active units more often.",
        cost=2.40,
        formula="x m / (k q), m ~ Multinomial(k; q), q_i ~ sqrt(mean of x_i^2 over the batch)",
        p="1 - k/d: k draws among the d units",
        paper="Li, Gong, Yang 2016, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no draw would be left",
        remark="units that are active in the batch share most of the draws; it learns more slowly "
        "at the same p",
        surrogate=("x",),
    ),
    "shakeout": Variant(
        summary="Flips or enlarges all weights of a unit at once.",
        cost=1.85,
        formula="W -> -c sign(W) or (W + c p sign(W)) / (1-p), by the unit's coin",
        p="chance of a unit's weights going to -c sign(W)",
        paper="Kang, Li, Tao 2016, AAAI",
        highest_p=_BELOW_ONE,
        beyond=_NOTHING_LEFT,
        options={"strength": 0.1},
        between=True,
        remark="the authors' strength 0.1 learns slowly beside He's initial weights; "
        "configs/variants.yaml takes 0.01",
        surrogate=("weight",),
    ),
    "targeted_unit": Variant(
        summary="Drops only units with small incoming weights.",
        cost=1.39,
        formula="x k where a unit's incoming norm is among the share's lowest, else x",
        p="chance of dropping a unit that is a candidate",
        paper="Gomez et al. 2019, arXiv:1905.13678",
        options={"share": None},
        needed=("share",),
        between=True,
        hidden_only=True,
        activations=_ONE_PRE_ACTIVATION,
        remark=_TO_BE_PRUNED,
        biased="nothing is rescaled",
    ),
    "targeted_weight": Variant(
        summary="Drops only small weights.",
        cost=2.08,
        formula="W k where |W| is among the share's smallest of its output unit, else W",
        p="chance of dropping a weight that is a candidate; one mask for a batch",
        paper="Gomez et al. 2019, arXiv:1905.13678",
        options={"share": None},
        needed=("share",),
        between=True,
        remark=_TO_BE_PRUNED,
        reads_mask=False,
        biased="nothing is rescaled",
    ),
    "fast": Variant(
        summary="Computes the mean effect of Gaussian noise.",
        cost=1.75,
        formula="the mean of the next activation under z ~ N(x W + b, p/(1-p) x^2 W^2)",
        p=_VARIANCE,
        paper="Wang & Manning 2013, ICML",
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        between=True,
        activations=_EVERY_MOMENT,
        noisy=False,
        reads_mask=False,
    ),
    "batchwise": Variant(
        summary="Drops the same units for a whole batch.",
        cost=0.75,
        formula="exactly k of d units, the same for a batch, times d/k; the rest not computed",
        p="1 - k/d",
        paper="Graham, Reizenstein, Robinson 2015",
        highest_p=_BELOW_ONE,
        beyond="no unit would be left",
        one_p=True,
        reads_mask=False,
        keep_rate=True,
        matched=True,
    ),
    "dropconnect": Variant(
        summary="Drops weights instead of units.",
        cost=29.3,
        formula="W M / (1-p), M ~ Bernoulli(1-p)",
        p="chance of dropping a weight",
        paper="Wan et al. 2013, ICML",
        between=True,
        moments=True,
        keep_rate=True,
        matched=True,
        remark="mask: batch draws one weight mask for a batch, at a cost of 1.21",
    ),
    "gaussian_dropconnect": Variant(
        summary="Multiplies weights by Gaussian noise.",
        cost=1.79,
        formula="W r, r ~ N(1, p/(1-p))",
        p=_VARIANCE,
        paper="McClure & Kriegeskorte 2016; Kingma et al. 2015, type B",
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        between=True,
        matched=True,
        moments=True,
    ),
}

# Plugins add their variants to the catalogue at run time.
BUILT_IN = frozenset(CATALOGUE)
