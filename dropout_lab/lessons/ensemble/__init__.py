"""Lesson ``ensemble``: all sub-networks of a tiny network, and what weight scaling has of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.checks.outcome import Outcome, at_least, at_most, none_of
from dropout_lab.data import Splits
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import Replayed, chances, every_mask
from dropout_lab.lessons.ensemble import picture
from dropout_lab.lessons.ensemble.sampling import monte_carlo
from dropout_lab.lessons.ensemble.sub_networks import SubNetworks, enumerate_sub_networks
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
from dropout_lab.model import MLP
from dropout_lab.probabilities import ProbabilityScores, ProbabilityTally

_K = 8  # units that are dropped
_IMAGES, _QUICK_IMAGES = 1_000, 400  # test images, at most
_EPS = torch.finfo(torch.float64).eps
_NETS = {  # by what lies behind the dropped units: the place of the dropout and the activation
    "softmax layer": (2, "relu"),
    "linear layers": (1, "linear"),
    "ReLU layer": (1, "relu"),
}


@dataclass(frozen=True)
class _Net:
    """A trained network 784-8-8-10 and its sub-networks on some test images.

    Args:
        model: In float64.
        place: Where units are dropped.
        all: Its sub-networks.
        x: The images, ``(1, examples, 784)``.
        labels: ``(examples,)``.
    """

    model: MLP
    place: int
    all: SubNetworks
    x: Tensor
    labels: Tensor

    def of_label(self, p: Tensor) -> Tensor:
        """Return the probability of the right class: ``(..., examples)``."""
        return p[..., torch.arange(len(self.labels)), self.labels]


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    yield from _two_units(p)
    images = splits(asked, train_size=2_000)
    yield Step(f"{_K} units, {2**_K} sub-networks, all of them")
    yield Say(
        f"Three networks 784-8-8-10 learn digits with dropout at p = {p:g} on the {_K} units of "
        "one layer. They differ in what lies behind those units: the softmax layer alone, a linear "
        "layer and the softmax, or a ReLU layer and the softmax. Then each mask is given to the "
        "dropout layer, one after the other, in float64."
    )
    yield Working(f"training three networks, and running {3 * 2**_K} sub-networks")
    nets = {name: _net(p, place, f, asked, images) for name, (place, f) in _NETS.items()}
    yield from _exact_or_not(nets)
    net = nets["ReLU layer"]
    yield from _jensen(net)
    yield from _predictions(net)
    found = monte_carlo(net.model, net.place, net.x, net.labels, net.all, asked)
    yield from found.told()
    yield Picture(
        lambda: picture.draw(
            p,
            found,
            {
                name: (each.of_label(each.all.geometric), each.of_label(each.all.weight_scaling))
                for name, each in nets.items()
            },
        ),
        "what the sub-networks say of one image, where weight scaling is exact, and the error of "
        "Monte Carlo",
    )


def _two_units(p: float) -> Iterator[Part]:
    masks = every_mask(2)
    layer = InvertedDropout(p, noise=Replayed([masks]))
    # Class A gets log(3) / 2 of unit 1 and -log(3) of unit 2; class B gets nothing.
    weight = torch.tensor([[math.log(3) / 2, 0], [-math.log(3), 0]], dtype=torch.float64)
    units = torch.ones(4, 2, dtype=torch.float64)
    chance = chances(masks, float(layer.p))
    log_p = layer.connect(units, weight, None).log_softmax(dim=1)
    arithmetic = float(chance @ log_p.exp()[:, 0])
    geometric = float((chance @ log_p).softmax(dim=0)[0])
    scaled = float(layer.eval().connect(units[:1], weight, None).softmax(dim=1)[0, 0])
    yield Step("Two units, four sub-networks")
    yield Say(
        "Two units of value 1 lead to two classes; the logit of A is log(3) / 2 from unit 1 less "
        "log(3) from unit 2, that of B is 0. Each of the units is dropped, or kept and divided by "
        "1 - p."
    )
    rows = [
        (*("yes" if kept else "no" for kept in mask), float(c), float(each[0].exp()))
        for mask, c, each in zip(masks.tolist(), chance, log_p, strict=True)
    ]
    columns = ("unit 1 kept", "unit 2 kept", "chance", "probability of A")
    yield Rows(f"the sub-networks at p = {float(layer.p):.4g}", columns, rows)
    yield Formula(
        "arithmetic     = sum_m P(m) p_m\n"
        "geometric      = prod_m p_m ^ P(m), divided by its sum over the classes\n"
        "weight scaling = the whole network, dropout off: one pass"
    )
    means = [("arithmetic", arithmetic), ("geometric", geometric), ("weight scaling", scaled)]
    yield Rows("probability of A", ("mean of the four", "probability of A"), means, digits=6)
    yield Look(
        "Weight scaling gives the geometric mean, to the last digit, and not the arithmetic one."
    )
    # Each of four logits of at most log(3) / (1 - p) is off by a few roundings of that.
    bound = 16 * _EPS * math.log(3) / (1 - p)
    what = "is how far weight scaling is from the geometric mean of four"
    yield Check("two units: geometric", at_most(abs(geometric - scaled), bound, what))


def _net(p: float, place: int, activation: str, asked: Asked, images: Splits) -> _Net:
    values = {
        "model.hidden": (8, 8),
        "model.activation": activation,
        "dropout.p": p,
        "dropout.placement": (place,),
        "training.epochs": 10 if asked.quick else 20,
        "training.learning_rate": 0.02,
        "evaluation.every": 20,
        "evaluation.train_examples": 1,
    }
    model = train_fleet([settings(values)], [asked.seed], images).fleet.model.double()
    every = torch.arange(len(images.test))
    # Evenly, since mnist_5k stands class by class.
    some = every[:: max(1, len(every) // (_QUICK_IMAGES if asked.quick else _IMAGES))]
    x = images.pixels(images.test[some].images).unsqueeze(0).double()
    labels = images.test[some].labels
    return _Net(model, place, enumerate_sub_networks(model, place, x), x, labels)


def _exact_or_not(nets: dict[str, _Net]) -> Iterator[Part]:
    far = {}
    for name, net in nets.items():
        each = net.all
        far[name] = (
            _largest(each.geometric - each.weight_scaling),
            _largest(each.arithmetic - each.weight_scaling),
            _largest(each.mean(each.logits) - each.scaled),
        )
    examples = len(nets["ReLU layer"].labels)
    yield Formula(
        "log p_m   = z_m - log(sum exp z_m)    the second term: one for all classes\n"
        "geometric = softmax(sum_m P(m) z_m)\n"
        "          = softmax(z of the whole network)    if z is linear in the mask"
    )
    yield Rows(
        f"largest distance of weight scaling from a mean of all {2**_K} ({examples:,} images, all "
        "classes)",
        ("behind the units", "geometric", "arithmetic", "mean logits"),
        [(name, *row) for name, row in far.items()],
        digits=2,
    )
    yield Look(
        "1e-13 and less is rounding. The first two rows: weight scaling is the geometric mean and "
        "the mean of the logits, exactly (Baldi & Sadowski 2013). The third: with a ReLU layer "
        "behind the dropped units it is neither. The arithmetic mean it is nowhere."
    )
    yield Mistake(
        "Evaluation without dropout is the average of all sub-networks. It is their normalized "
        "geometric mean, and that only where nothing but a softmax or linear layers lie behind the "
        "dropped units; elsewhere it is an approximation, in one pass instead of 2^k."
    )
    soft, linear, relu = nets.values()
    what = "is how far a probability of weight scaling is from the geometric mean"
    yield Check("softmax layer: geometric", at_most(far["softmax layer"][0], _rounding(soft), what))
    what = "is how far a logit of the whole network is from the mean of all"
    yield Check(
        "linear: mean of outputs", at_most(far["linear layers"][2], _rounding(linear), what)
    )
    # A million times what rounding could do.
    what = "is how far weight scaling is from the geometric mean, behind a ReLU layer"
    yield Check(
        "ReLU layer: not exact", at_least(far["ReLU layer"][0], 1e6 * _rounding(relu), what)
    )


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def _rounding(net: _Net) -> float:
    """Return what rounding can do: each of 2^k terms of a sum is off by that of the largest."""
    logits, log_p = net.all.logits, net.all.log_p
    return len(net.all.chance) * _EPS * max(_largest(logits), _largest(log_p))


def _jensen(net: _Net) -> Iterator[Part]:
    after, scaled = net.all.mean(net.all.last), net.all.scaled_last  # (examples, units)
    yield Step("Why: the mean of a ReLU is not the ReLU of the mean")
    yield Formula("E[relu(z)] >= relu(E[z])     (Jensen: relu is convex)")
    yield Rows(
        "units of the ReLU layer behind the dropped ones, mean over images",
        ("unit", "E[relu(z)], all masks", "relu(E[z]), dropout off", "difference"),
        [
            (unit + 1, *(float(each[:, unit].mean()) for each in (after, scaled, after - scaled)))
            for unit in range(after.shape[1])
        ],
    )
    yield Look(
        "The mean of z is right, and what the ReLU makes of it is too small wherever some masks "
        "bring z below 0 and others above."
    )
    below = int((after < scaled - _rounding(net)).sum())
    yield Check("E[relu] >= relu(E)", none_of(below, "units of an image are below relu(E[z])"))


def _predictions(net: _Net) -> Iterator[Part]:
    each = net.all
    log_p = {
        "arithmetic": each.arithmetic.log(),
        "geometric": each.geometric.log(),
        "weight scaling": each.scaled.log_softmax(dim=-1),
    }
    scores = {name: _scores(own.unsqueeze(0), net.labels) for name, own in log_p.items()}
    alone = _scores(each.log_p, net.labels)
    rows = [
        ("one sub-network", 100 * float(each.mean(alone.accuracy)), float(each.mean(alone.loss))),
        *((name, 100 * float(own.accuracy), float(own.loss)) for name, own in scores.items()),
    ]
    yield Step("What they are worth")
    yield Rows(
        f"on {len(net.labels):,} test images, ReLU layer behind; one: the mean over all of them",
        ("prediction", "accuracy (%)", "NLL (nats)"),
        rows,
    )
    numbers = sum(weight[0].numel() for weight in net.model.parameters())
    yield Look(
        "Each mean has a lower NLL than its members have on average; that is Jensen's inequality, "
        "true of every image. Which of the means is best, no theorem says."
    )
    yield Mistake(
        f"Dropout trains an ensemble of 2^k independent models. All {2**_K} share the same "
        f"{numbers:,} numbers; an ensemble of so many networks of their own would have "
        f"{2**_K * numbers:,}. None is trained to its end; with 512 units hardly one of the 2^512 "
        "is ever drawn twice."
    )
    yield Check("means beat their members", _beats(net, log_p["arithmetic"], log_p["geometric"]))


def _scores(log_p: Tensor, labels: Tensor) -> ProbabilityScores:
    tally = ProbabilityTally(len(log_p), log_p.device)
    tally.add(log_p, labels)
    return tally.scores()


def _beats(net: _Net, *means: Tensor) -> Outcome:
    """Count images on which a mean has a higher NLL than the sub-networks have on average."""
    members = net.all.mean(net.of_label(net.all.log_p))
    worse = sum(int((net.of_label(mean) < members - _rounding(net)).sum()) for mean in means)
    return none_of(worse, "times a mean has a higher NLL of an image than its members on average")
