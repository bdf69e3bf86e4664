"""The facts of each variant that the tests use: options, inputs, masks, law of the output."""

import math
from collections.abc import Callable, Sequence

import torch
from scipy.integrate import quad
from scipy.special import expit
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.checks.subject import ExtremeNoise as Extreme
from dropout_lab.layers import VARIANTS, Dropout, UnitDropout, UnitInputs
from dropout_lab.layers.sample_inputs import LayerInputs, move_from_start
from dropout_lab.layers.sample_inputs import connect as act
from dropout_lab.rng import Noise, TorchNoise

__all__ = ["Extreme", "LayerInputs", "act"]  # handed on
CPU = torch.device("cpu")
NAMES = list(VARIANTS)
UNIT = [name for name, kind in VARIANTS.items() if issubclass(kind, UnitDropout)]
# One variant of each kind: coins or normal draws, on units, weights or a batch; fixed or learned.
KINDS = [
    "inverted", "gaussian", "dropconnect", "batchwise", "targeted_weight", "standout", "concrete",
    "learned_bernoulli", "bayes_by_backprop",
]  # fmt: skip
NOISY = [name for name in NAMES if CATALOGUE[name].noisy]
NOISY_UNIT = [name for name in UNIT if name in NOISY]
LEARNED = [name for name in NAMES if CATALOGUE[name].learned]
BY_ARM = ["learned_bernoulli"]  # by the gradient that training makes from mirrored masks
BY_GRADIENT = [name for name in LEARNED if name != "stochastic_delta"]
PENALIZED = [name for name in BY_GRADIENT if name not in ("guided", "information")]
STATEFUL = [*LEARNED, "mixout"]  # with entries in a state dict, in DropoutLinear
QUIET = ["none", "fast"]  # without noise
ONE_MASK = ["batchwise", "targeted_weight", "mixout"]  # one for a batch, whatever ``mask`` says
OWN_MASKS = [name for name in NOISY if name not in ONE_MASK]
ONE_RATE = ["jumpout"]  # drawn for a batch, whatever ``mask`` says
FEW_MASKS = [name for name in NAMES if CATALOGUE[name].few_masks]
# Variants whose evaluation leaves units and weights unchanged and is not the mean of training.
APART = ["unscaled", "alpha", "concrete", "jumpout", "targeted_unit", "targeted_weight"]
# Variants whose masks are nested: what is kept at some p is kept at every lower p.
NESTING = [
    "inverted", "standard", "unscaled", "alpha", "standout", "multinomial", "jumpout",
    "learned_bernoulli", "guided", "nested", "masksembles", "batchwise", "shakeout",
    "targeted_unit", "targeted_weight", "dropconnect",
]  # fmt: skip
# The input whose gradient intentionally differs; the variant's own test file checks it.
SURROGATE = {
    "evolutional": "x", "shakeout": "weight", "guided": "strength",
    "learned_bernoulli": "logit",
}  # fmt: skip
OPTIONS: dict[str, dict[str, float]] = {
    "targeted_unit": {"share": 0.5},
    "targeted_weight": {"share": 0.5},
}


def place(runs: int | None = None, batch: int = 3, units: int = 5, outputs: int = 4) -> LayerInputs:
    """Make up what a layer is given."""
    lead = () if runs is None else (runs,)
    weight = torch.randn(*lead, units, outputs)
    weight = weight.sign() * (0.5 + torch.rand(weight.shape))
    return LayerInputs(
        torch.randn(*lead, batch, units),
        weight,
        torch.randn(*lead, 1, outputs),
        UnitInputs(torch.randn(*lead, 4, units), torch.randn(*lead, batch, units)),
    )


def make(
    name: str, p: float | Sequence[float], at: LayerInputs | None = None, **rest: object
) -> Dropout:
    """Return a layer of the variant, which has begun at a place where one is given."""
    numbers = p if isinstance(p, float) else torch.tensor(p, dtype=torch.float64)
    layer = VARIANTS[name](numbers, **OPTIONS.get(name, {}), **rest)
    if at is not None:
        layer.setup(at.weight, "relu")
        move_from_start(layer)
    return layer


def ps_of_runs(name: str, *ps: float) -> tuple[float, ...]:
    """Return p for each run of a fleet; where a fleet has one p, the last for all."""
    return (ps[-1],) * len(ps) if CATALOGUE[name].one_p else ps


def seeded(seed: int = 3) -> TorchNoise:
    """Return a noise source at the start of its draws."""
    return TorchNoise(torch.Generator().manual_seed(seed))


class Recording:
    """Draws with torch's generator and keeps what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[Tensor] = []
        self.source: Noise = TorchNoise()

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        self.drawn.append(self.source.lanes(shape, device))
        return self.drawn[-1]

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        self.drawn.append(self.source.normal(shape, device))
        return self.drawn[-1]


Moments = tuple[Tensor, Tensor]  # mean and variance of each pre-activation, (outputs,)
Law = Callable[[float, LayerInputs], Moments]


def _through(at: LayerInputs, mean: Tensor, covariance: Tensor) -> Moments:
    """Carry the mean and the covariance of the noisy units through the weights."""
    through = torch.einsum("ij,ik,kj->j", at.weight, covariance, at.weight)
    return mean @ at.weight + at.bias[0], through


def _noise(variance: Callable[[float], float]) -> Law:
    """Units times independent noise of mean 1."""

    def law(p: float, at: LayerInputs) -> Moments:
        x = at.x[0]
        return _through(at, x, (x * x * variance(p)).diag())

    return law


def _coin(height: Callable[[float], float]) -> Law:
    """Units times a coin that is worth so much, with probability 1 - p."""

    def law(p: float, at: LayerInputs) -> Moments:
        x = at.x[0] * height(p)
        return _through(at, x * (1 - p), (x * x * p * (1 - p)).diag())

    return law


def _alpha(p: float, at: LayerInputs) -> Moments:
    q, low = 1 - p, -1.7580993408473766
    a = (q + low**2 * q * p) ** -0.5
    x = at.x[0]
    mean = a * (q * x + p * low) - a * p * low
    return _through(at, mean, (a * a * p * q * (x - low) ** 2).diag())


def _standout(p: float, at: LayerInputs) -> Moments:
    x, q = at.x[0], torch.sigmoid(at.entering.preactivation[0] + math.log((1 - p) / p))
    return _through(at, x * q, (x * x * q * (1 - q)).diag())


def relaxed_coin(p: float, power: int) -> float:
    """Return E[r**power] of concrete noise by quadrature over v = logit u, which is logistic."""

    def integrand(v: float) -> float:
        noise = expit(-(math.log(p / (1 - p)) + v) / 0.1) / (1 - p)
        return float(noise**power * expit(v) * expit(-v))

    step = math.log((1 - p) / p)
    return float(quad(integrand, -40, 40, points=[step - 1, step, step + 1], limit=200)[0])


def _concrete(p: float, at: LayerInputs) -> Moments:
    x, mean = at.x[0], relaxed_coin(p, 1)
    return _through(at, x * mean, (x * x * (relaxed_coin(p, 2) - mean**2)).diag())


def _multinomial(p: float, at: LayerInputs, chances: Tensor | None = None) -> Moments:
    """Cov[m_i, m_j] = k (q_i [i = j] - q_i q_j), divided by k q_i and k q_j."""
    x = at.x[0]
    k, q = max(round((1 - p) * len(x)), 1), torch.full_like(x, 1 / len(x))
    q = q if chances is None else chances
    return _through(at, x, torch.outer(x, x) * ((1 / q).diag() - 1) / k)


def _evolutional(p: float, at: LayerInputs) -> Moments:
    return _multinomial(p, at, at.x[0].abs() / at.x[0].abs().sum())


def _batchwise(p: float, at: LayerInputs) -> Moments:
    """Two units are both kept with the chance k (k - 1) / (d (d - 1))."""
    x = at.x[0]
    d = len(x)
    k = round((1 - p) * d)
    both = torch.full((d, d), (k - 1) / k * d / (d - 1)).fill_diagonal_(d / k)
    return _through(at, x, torch.outer(x, x) * (both - 1))


def random_rate(p: float, power: float) -> float:
    """Return E[(1 - r)**power] of jumpout's rate r = min(|n|, 0.9), n ~ N(0, p^2), by quadrature.

    Where all units are active.
    """
    edge = 0.9 / p

    def integrand(n: float) -> float:
        return float((1 - p * n) ** power * math.sqrt(2 / math.pi) * math.exp(-n * n / 2))

    tail = float(0.1**power) * math.erfc(edge / math.sqrt(2))
    return float(quad(integrand, 0, edge)[0]) + tail


def _jumpout(p: float, at: LayerInputs) -> Moments:
    """Given the rate r, units are independent: m = (1 - r)^0.25 and E[m^2] = (1 - r)^-0.5."""
    x, mean = at.x[0], random_rate(p, 0.25)
    both = torch.full((len(x), len(x)), random_rate(p, 0.5)).fill_diagonal_(random_rate(p, -0.5))
    return _through(at, x * mean, torch.outer(x, x) * (both - mean**2))


def _nested(p: float, at: LayerInputs) -> Moments:
    """Two units are both kept if the later one is."""
    x = at.x[0]
    q = (1 - p) ** (2 * torch.arange(len(x)) / (len(x) - 1)).to(x.dtype)
    return _through(
        at, x * q, torch.outer(x, x) * (torch.minimum(q, q[:, None]) - torch.outer(q, q))
    )


def _guided(p: float, at: LayerInputs) -> Moments:
    """At the start, every unit is a candidate of strength 1."""
    return _coin(lambda p: 1 / (1 - p))(p, at)


def _masksembles(p: float, at: LayerInputs) -> Moments:
    """Over the four masks, each as likely."""
    x = at.x[0]
    kept = VARIANTS["masksembles"](p).ranks(x) < round((1 - p) * len(x))
    masks = kept.to(x.dtype)
    apart = masks - masks.mean(dim=0)
    covariance = apart.T @ apart / len(masks)
    return _through(at, x * masks.mean(dim=0), torch.outer(x, x) * covariance)


def lowest(sizes: Tensor, count: int) -> Tensor:
    """Return which so many numbers are the lowest, by sorting a list."""
    edge = sorted(sizes.tolist())[count - 1]
    return torch.tensor([size <= edge for size in sizes.tolist()])


def _targeted_unit(p: float, at: LayerInputs) -> Moments:
    norms = at.entering.weight.square().sum(dim=0)
    x, chance = at.x[0], p * lowest(norms, len(norms) // 2)
    return _through(at, x * (1 - chance), (x * x * chance * (1 - chance)).diag())


def _targeted_weight(p: float, at: LayerInputs) -> Moments:
    columns = [lowest(column.abs(), len(column) // 2) for column in at.weight.T]
    terms, chance = at.x.T * at.weight, p * torch.stack(columns, dim=1)
    mean = (terms * (1 - chance)).sum(dim=0) + at.bias[0]
    return mean, (terms**2 * chance * (1 - chance)).sum(dim=0)


def _mixout(p: float, at: LayerInputs) -> Moments:
    """The initial weights are half of the weights."""
    terms = at.x.T * at.weight
    return terms.sum(dim=0) + at.bias[0], p / (1 - p) * (terms / 2).square().sum(dim=0)


def _on_weights(p: float, at: LayerInputs) -> Moments:
    terms = at.x.T * at.weight
    return terms.sum(dim=0) + at.bias[0], p / (1 - p) * terms.square().sum(dim=0)


def _dropconnect(p: float, at: LayerInputs) -> Moments:
    mean, variance = _on_weights(p, at)
    return mean, variance + p / (1 - p) * at.bias[0] ** 2


def _same_spread(p: float, at: LayerInputs) -> Moments:
    """Every weight has the variance p / (1 - p) of the mean square."""
    mean, _ = _on_weights(p, at)
    return mean, p / (1 - p) * at.weight.square().mean() * at.x.square().sum().expand_as(mean)


def _shakeout(p: float, at: LayerInputs) -> Moments:
    """The two values of a weight, -c s and (w + c p s) / (1 - p), are (w + c s) / (1 - p) apart."""
    apart = at.x.T * (at.weight + 0.1 * at.weight.sign()) / (1 - p)
    return (at.x @ at.weight + at.bias)[0], p * (1 - p) * apart.square().sum(dim=0)


def _odds(p: float) -> float:
    return p / (1 - p)


LAWS: dict[str, Law] = {
    "inverted": _coin(lambda p: 1 / (1 - p)),
    "standard": _coin(lambda p: 1),
    "unscaled": _coin(lambda p: 1),
    "gaussian": _noise(_odds),
    "uniform": _noise(_odds),
    "alpha": _alpha,
    "standout": _standout,
    "concrete": _concrete,
    "variational_a": _noise(_odds),
    "variational_a2": _noise(_odds),
    "variational_b": _on_weights,
    "sparse_variational": _same_spread,
    "bayes_by_backprop": _same_spread,
    "stochastic_delta": _same_spread,
    "multinomial": _multinomial,
    "evolutional": _evolutional,
    "shakeout": _shakeout,
    "targeted_unit": _targeted_unit,
    "targeted_weight": _targeted_weight,
    "learned_bernoulli": _coin(lambda p: 1),
    "information": _noise(_odds),
    "guided": _guided,
    "jumpout": _jumpout,
    "nested": _nested,
    "masksembles": _masksembles,
    "batchwise": _batchwise,
    "mixout": _mixout,
    "dropconnect": _dropconnect,
    "gaussian_dropconnect": _on_weights,
}
