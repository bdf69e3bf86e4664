"""The catalogue of dropout variants: formula, meaning and range of p, options, claimed properties.

``dropout-lab variants`` prints the catalogue, the config is checked against it, each layer takes
its range of p from it, and ``dropout-lab verify`` tests its claims. For built-in variants it also
has the memory that they need and their look in plots. This module does not use torch.
"""

from dataclasses import replace

from dropout_lab.variant import BuiltInVariant, Variant

_INFINITE = "the variance p / (1 - p) of its noise is infinite there"
_DIVISION_BY_0 = "kept weights are divided by 1 - p, which would be 0"
_AT_MOST_ONE = "alpha = p / (1 - p) must be at most 1, where the approximation of the KL is valid"
_ALPHA_OPTIONS = {"alpha_per": "layer", "kl_weight": 1.0, "kl_warmup": (0.0, 0.0)}
_ALPHA = "alpha = p / (1 - p) at the start"

COST_MEASURED = (
    "time of a training step over one of none: 784-512-512-10, batch 128, 4 runs, SGD, p = 0.5 "
    "after both hidden layers, float32; median of n = 15 pairs on 2 cores of an AMD EPYC, torch "
    "2.15; `python benchmarks/dropout_cost.py 15` measures it here"
)

_BELOW_ONE = 1 - 2.0**-53
_DROP = "probability of dropping a unit"
_VARIANCE = "the noise has variance p / (1 - p)"
_TO_BE_PRUNED = (
    "designed for pruning: compare pruned_test_accuracy; for a pruned network without dropout, "
    "use a p near 0"
)
_EVERY_MOMENT = ("relu", "logistic", "tanh", "linear")
_ONE_PRE_ACTIVATION = ("relu", "logistic", "tanh", "selu", "linear")
# Paul Tol's bright scheme and two more of his colours, distinct with any colour vision.
BLUE, CYAN, RED, GREEN, YELLOW = "#4477AA", "#66CCEE", "#EE6677", "#228833", "#CCBB44"
PURPLE, TEAL, ORANGE, BLACK = "#AA3377", "#44AA99", "#EE7733", "#000000"
_JMLR = "Srivastava et al. 2014, JMLR 15"
_KINGMA = "Kingma, Salimans, Welling 2015, NIPS"

_TYPE_A = BuiltInVariant(
    summary="Gaussian noise on units; learns its variance.",
    cost=1.43,
    formula="x r, r ~ N(1, alpha); loss + KL/N",
    p=_ALPHA,
    paper=_KINGMA,
    learned="alpha <= 1 of each place or unit",
    highest_p=0.5,
    beyond=_AT_MOST_ONE,
    options=_ALPHA_OPTIONS,
    matched=True,
    bytes_per_unit=36,
    colour=YELLOW,
    marker="^",
)

# Default weight of the term that each loss adds.
LOSS_WEIGHTS = {"r_drop": 1.0, "expectation_linear": 1.0, "fraternal": 0.1}

BUILT_IN: dict[str, BuiltInVariant] = {
    "none": BuiltInVariant(
        summary="No dropout: the baseline.",
        formula="x",
        p="ignored",
        noisy=False,
        bytes_per_unit=10,
        colour=BLACK,
        marker="o",
    ),
    "inverted": BuiltInVariant(
        summary="Drops units; scales the kept ones during training.",
        cost=1.12,
        formula="x k / (1-p), k ~ Bernoulli(1-p)",
        p=_DROP,
        paper=_JMLR,
        keep_rate=True,
        matched=True,
        bytes_per_unit=18,
        colour=BLUE,
        marker="o",
    ),
    "standard": BuiltInVariant(
        summary="Drops units; scales all units in evaluation.",
        cost=1.09,
        formula="x k, k ~ Bernoulli(1-p); in evaluation (1-p) x",
        p=_DROP,
        paper=_JMLR,
        keep_rate=True,
        matched=True,
        bytes_per_unit=18,
        colour=CYAN,
        marker="s",
    ),
    "unscaled": BuiltInVariant(
        summary="Drops units without scaling: an intentional mistake.",
        cost=1.10,
        formula="x k, k ~ Bernoulli(1-p); in evaluation x",
        p=_DROP,
        remark="an intentional mistake: there is no scaling",
        keep_rate=True,
        biased="no scaling, an intentional mistake",
        bytes_per_unit=18,
        colour=RED,
        marker="X",
    ),
    "gaussian": BuiltInVariant(
        summary="Multiplies units by Gaussian noise.",
        cost=1.34,
        formula="x r, r ~ N(1, p/(1-p))",
        p=_VARIANCE,
        paper=_JMLR,
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        matched=True,
        bytes_per_unit=30,
        colour=GREEN,
        marker="^",
    ),
    "uniform": BuiltInVariant(
        summary="Multiplies units by uniform noise.",
        cost=1.08,
        formula="x r, r ~ U(1-w, 1+w), w^2 = 3 p/(1-p)",
        p=_VARIANCE,
        paper="Shen et al. 2018, IEEE TNNLS (continuous dropout)",
        highest_p=_BELOW_ONE,
        beyond=_INFINITE,
        matched=True,
        bytes_per_unit=38,
        colour=GREEN,
        marker="v",
    ),
    "alpha": BuiltInVariant(
        summary="Drops SELU units; keeps mean 0 and variance 1.",
        cost=1.26,
        formula="a (x k + alpha' (1-k)) + b, keeping mean 0 and variance 1",
        p=_DROP,
        paper="Klambauer et al. 2017, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no affine map restores the variance of a constant",
        remark="designed for activation: selu with init: lecun; with relu it scores 1.5 pp below "
        "inverted on mnist_5k at p = 0.25 (25 epochs of Adam, n = 3)",
        biased="mean 0 and variance 1 over units",
        bytes_per_unit=30,
        colour=RED,
        marker="P",
    ),
    "standout": BuiltInVariant(
        summary="Drops a unit more often the less it is activated.",
        cost=1.16,
        formula="x k, k ~ Bernoulli(sigmoid(slope z + beta)); in evaluation the mean",
        p="probability of dropping a unit whose pre-activation z is 0: beta = log((1-p)/p)",
        paper="Ba & Frey 2013, NIPS",
        options={"slope": 1.0},
        hidden_only=True,
        activations=_ONE_PRE_ACTIVATION,
        bytes_per_unit=18,
        colour=CYAN,
        marker="*",
    ),
    "concrete": BuiltInVariant(
        summary="Learns p, with a smooth form of the mask.",
        cost=1.32,
        formula="x (1-z) / (1-p), z = sigmoid((logit p + logit u) / 0.1), u ~ U(0,1)",
        p="initial probability of dropping a unit",
        paper="Gal, Hron, Kendall 2017, NIPS",
        learned="p of each place",
        highest_p=_BELOW_ONE,
        beyond="logit p is infinite there",
        options={"length_scale": 1e-4},
        biased="E[1 - z] is only close to 1 - p",
        bytes_per_unit=40,
        bytes_per_weight=4,
        colour=YELLOW,
        marker="o",
    ),
    "variational_a": _TYPE_A,
    "variational_a2": replace(
        _TYPE_A,
        summary="variational_a with a third of the KL term.",
        cost=1.53,
        formula="x r, r ~ N(1, alpha); loss + KL/(3N)",
        marker="v",
    ),
    "variational_b": BuiltInVariant(
        summary="Gaussian noise on weights; learns its variance.",
        cost=1.87,
        formula="z ~ N(x W + b, x^2 (alpha W^2)); loss + KL/N",
        p=_ALPHA,
        paper=_KINGMA,
        learned="alpha <= 1 of each place, unit or weight",
        highest_p=0.5,
        beyond=_AT_MOST_ONE,
        options=_ALPHA_OPTIONS,
        between=True,
        matched=True,
        bytes_per_unit=20,
        bytes_per_weight=13,
        colour=YELLOW,
        marker="D",
    ),
    "sparse_variational": BuiltInVariant(
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
        remark="designed for optimizer: adam; with few examples N, it loses accuracy by pruning",
        biased="pruned weights are 0 in evaluation",
        bytes_per_unit=20,
        bytes_per_weight=130,
        colour=YELLOW,
        marker="X",
    ),
    "multinomial": BuiltInVariant(
        summary="Draws a fixed number of units, with replacement.",
        cost=1.36,
        formula="x m / (k/d), m ~ Multinomial(k; 1/d, ..., 1/d)",
        p="1 - k/d: k draws among the d units",
        paper="Li, Gong, Yang 2016, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no draw would be left",
        remark="its noise has variance (1 - 1/d) / (1 - p), more than p / (1 - p) of inverted, so "
        "it learns more slowly at the same p",
        bytes_per_unit=42,
        colour=TEAL,
        marker="h",
    ),
    "evolutional": BuiltInVariant(
        summary="multinomial that draws active units more often.",
        cost=2.40,
        formula="x m / (k q), m ~ Multinomial(k; q), q_i ~ sqrt(mean of x_i^2 over the batch)",
        p="1 - k/d: k draws among the d units",
        paper="Li, Gong, Yang 2016, NIPS",
        highest_p=_BELOW_ONE,
        beyond="no draw would be left",
        remark="active units get most of the draws; it learns more slowly at the same p",
        surrogate=("x",),
        bytes_per_unit=42,
        colour=TEAL,
        marker="p",
    ),
    "shakeout": BuiltInVariant(
        summary="Flips or enlarges all weights of a unit at once.",
        cost=1.85,
        formula="W -> -c sign(W) or (W + c p sign(W)) / (1-p), one draw for each unit",
        p="chance of setting the weights of a unit to -c sign(W)",
        paper="Kang, Li, Tao 2016, AAAI",
        highest_p=_BELOW_ONE,
        beyond=_DIVISION_BY_0,
        options={"strength": 0.1},
        between=True,
        remark="with He initialization, the authors' strength 0.1 learns slowly; "
        "configs/variants.yaml uses 0.01",
        surrogate=("weight",),
        bytes_per_unit=26,
        bytes_per_weight=6,
        colour=PURPLE,
        marker="P",
    ),
    "targeted_unit": BuiltInVariant(
        summary="Drops only units with small incoming weights.",
        cost=1.39,
        formula="x k for the share of units with the lowest incoming norms, else x",
        p="probability of dropping a candidate unit",
        paper="Gomez et al. 2019, arXiv:1905.13678",
        options={"share": None},
        needed=("share",),
        between=True,
        hidden_only=True,
        activations=_ONE_PRE_ACTIVATION,
        remark=_TO_BE_PRUNED,
        biased="no scaling",
        bytes_per_unit=18,
        colour=ORANGE,
        marker="s",
    ),
    "targeted_weight": BuiltInVariant(
        summary="Drops only small weights.",
        cost=2.08,
        formula="W k for the share of weights with the smallest |W| of each output unit, else W",
        p="probability of dropping a candidate weight; one mask for a batch",
        paper="Gomez et al. 2019, arXiv:1905.13678",
        options={"share": None},
        needed=("share",),
        between=True,
        remark=_TO_BE_PRUNED,
        reads_mask=False,
        biased="no scaling",
        bytes_per_unit=10,
        bytes_per_weight=13,
        colour=ORANGE,
        marker="D",
    ),
    "fast": BuiltInVariant(
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
        bytes_per_unit=34,
        bytes_per_weight=4,
        colour=GREEN,
        marker="<",
    ),
    "batchwise": BuiltInVariant(
        summary="Drops the same units for a whole batch.",
        cost=0.75,
        formula="x d/k for exactly k of d units, the same for a batch; the others are not computed",
        p="1 - k/d",
        paper="Graham, Reizenstein, Robinson 2015",
        highest_p=_BELOW_ONE,
        beyond="no unit would be left",
        one_p=True,
        reads_mask=False,
        keep_rate=True,
        matched=True,
        bytes_per_unit=16,
        bytes_per_weight=4,
        colour=BLUE,
        marker="p",
    ),
    "dropconnect": BuiltInVariant(
        summary="Drops weights instead of units.",
        cost=29.3,
        formula="W M / (1-p), M ~ Bernoulli(1-p)",
        p="probability of dropping a weight",
        paper="Wan et al. 2013, ICML",
        between=True,
        moments=True,
        keep_rate=True,
        matched=True,
        remark="mask: batch draws one weight mask for a batch; its cost is 1.21",
        bytes_per_unit=14,
        bytes_per_weight=8,
        colour=PURPLE,
        marker="D",
    ),
    "gaussian_dropconnect": BuiltInVariant(
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
        bytes_per_unit=20,
        bytes_per_weight=13,
        colour=PURPLE,
        marker="d",
    ),
}

# The built-in variants, and the variants of plugins, which are added at run time.
CATALOGUE: dict[str, Variant] = dict(BUILT_IN)
