"""How the noisy network is used once it is trained: its predictions on the test part, scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.config.evaluation import EvaluationSettings
from dropout_lab.config.inference_rules import SAMPLES, inferences, keeps_predictions
from dropout_lab.data import Splits
from dropout_lab.layers import Dropout
from dropout_lab.model import MLP
from dropout_lab.probabilities import ProbabilityScores, ProbabilityTally, entropy_of
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.evaluation import CHUNK

REPEATS = 100  # of each average in a curve, as in JMLR 2014, Fig. 11
_SAMPLED = ("monte_carlo", "geometric")

INFERENCE_COLUMNS = (
    "inference",
    "samples",
    "test_accuracy",
    "test_errors",
    "test_loss",
    "test_brier",
    "test_ece",
    "test_entropy",
    "test_mutual_information",
)
RELIABILITY_COLUMNS = ("inference", "bin", "examples", "confidence", "accuracy")
CURVE_COLUMNS = (
    "samples",
    "repeats",
    "test_accuracy_mean",
    "test_accuracy_sd",
    "test_loss_mean",
    "test_loss_sd",
)


@dataclass(frozen=True)
class Curve:
    """Averages of k sampled networks: tensors of shape ``(runs, k)``, over the repeats."""

    accuracy_mean: Tensor
    accuracy_sd: Tensor
    loss_mean: Tensor
    loss_sd: Tensor


@dataclass(frozen=True)
class Inferred:
    """What came of each inference.

    Args:
        scores: On the test part, by the name of the inference.
        samples: Networks, or draws per unit, that each took; 1 for ``mean``.
        curve: Accuracy and loss against the number of networks averaged, if asked for.
        log_probabilities: Those of ``mean``, ``(runs, examples, classes)``, float32, if the
            settings ask to keep them.
    """

    scores: dict[str, ProbabilityScores]
    samples: dict[str, int]
    curve: Curve | None = None
    log_probabilities: Tensor | None = None


def infer(
    model: MLP, splits: Splits, settings: EvaluationSettings, seeds: Sequence[int]
) -> Inferred:
    """Predict the test part in every way the settings name.

    Draws come from streams of their own, modes and streams are afterwards what they were: no
    weight that is trained on from here feels it.

    Args:
        model: The networks.
        splits: Where the test part is.
        settings: The section evaluation, in canonical form.
        seeds: The seed of each run.
    """
    wanted, samples = inferences(settings), settings.samples or SAMPLES
    test, device = splits.test, splits.test.labels.device
    tallies = {name: ProbabilityTally(model.runs, device) for name in wanted if name != "ensemble"}
    curve = _CurveTally(settings.curve, samples, seeds, device) if settings.curve else None
    kept = []
    was_training = model.training
    try:
        with torch.inference_mode():
            chunks = zip(test.images.split(CHUNK), test.labels.split(CHUNK), strict=True)
            for chunk, (images, labels) in enumerate(chunks):
                x = splits.pixels(images).unsqueeze(0)  # (1, chunk, inputs)
                log_p = log_softmax(model.eval()(x), dim=-1)
                tallies["mean"].add(log_p, labels)
                if keeps_predictions(settings):
                    kept.append(log_p)
                if set(_SAMPLED) & set(wanted):
                    predicted = _Sampled(samples, curve)
                    with model.drawing(Purpose.INFERENCE, chunk):
                        for each in sampled(model, x, samples):
                            predicted.add(each)
                    predicted.tally(tallies, labels)
                if "moment_matching" in wanted:
                    with model.drawing(Purpose.MOMENT_MATCHING, chunk):
                        log_p = moment_matching(model.eval(), x, samples)
                    tallies["moment_matching"].add(log_p, labels)
    finally:
        model.train(was_training)
    return Inferred(
        scores={name: tally.scores() for name, tally in tallies.items()},
        samples={name: 1 if name == "mean" else samples for name in tallies},
        curve=None if curve is None else curve.curve(),
        log_probabilities=torch.cat(kept, dim=1) if kept else None,
    )


def sampled(model: MLP, x: Tensor, samples: int) -> Iterator[Tensor]:
    """Yield the log-probabilities of networks with noise drawn anew: ``(runs, batch, classes)``."""
    model.train()
    for _ in range(samples):
        yield log_softmax(model(x).double(), dim=-1)


class _Sampled:
    r"""What sampled networks predict together, of one batch.

    Monte Carlo averages their probabilities, :math:`\frac1T \sum_t p_t`; the normalized geometric
    mean is :math:`\prod_t p_t^{1/T}`, divided by its sum over the classes.
    """

    def __init__(self, samples: int, curve: "_CurveTally | None") -> None:
        self.count, self.samples = 0, samples
        self.curve = curve
        self.pool: Tensor | None = None  # (samples, runs, batch, classes)

    def add(self, log_p: Tensor) -> None:
        """Take in the prediction of one more network."""
        if not self.count:
            self.log_total, self.total_log = log_p, log_p
            self.entropies = entropy_of(log_p)
        else:
            self.log_total = torch.logaddexp(self.log_total, log_p)
            self.total_log = self.total_log + log_p
            self.entropies = self.entropies + entropy_of(log_p)
        if self.curve is not None:
            if self.pool is None:
                self.pool = torch.empty(self.samples, *log_p.shape, device=log_p.device)
            self.pool[self.count] = log_p
        self.count += 1

    def tally(self, tallies: dict[str, ProbabilityTally], labels: Tensor) -> None:
        """Score the batch, and go on to the curve."""
        if "monte_carlo" in tallies:
            arithmetic = log_softmax(self.log_total, dim=-1)
            tallies["monte_carlo"].add(arithmetic, labels, self.entropies / self.count)
        if "geometric" in tallies:
            tallies["geometric"].add(log_softmax(self.total_log / self.count, dim=-1), labels)
        if self.curve is not None and self.pool is not None:
            self.curve.add(self.pool, labels)


class _CurveTally:
    """Accuracy and loss of the average of k sampled networks, for k = 1, 2, ...

    Each repeat picks networks from the pool at random, with replacement, one after the other; its
    average of k is that of its first k.

    Args:
        longest: The largest k.
        pool: How many networks are there to pick from.
        seeds: The seed of each run, which names what is picked.
        device: Where the predictions lie.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 11, and its author's script: a pool of
        1,000, k up to 200, 100 repeats.
    """

    def __init__(self, longest: int, pool: int, seeds: Sequence[int], device: torch.device) -> None:
        generators = [stream(Purpose.INFERENCE, seed) for seed in seeds]
        draws = [generator.integers(pool, size=(REPEATS, longest)) for generator in generators]
        self.picks = [torch.from_numpy(draw).to(device) for draw in draws]
        self.k = torch.arange(1, longest + 1, device=device).view(-1, 1, 1)
        self.right = torch.zeros(len(seeds), REPEATS, longest, dtype=torch.float64, device=device)
        self.loss = torch.zeros_like(self.right)
        self.examples = 0

    def add(self, pool: Tensor, labels: Tensor) -> None:
        """Count a batch; ``pool``: log-probabilities, (samples, runs, batch, classes)."""
        self.examples += len(labels)
        for run, picks in enumerate(self.picks):
            own = pool[:, run].double().exp()  # in float32 a small one would be 0, its log infinite
            for repeat, picked in enumerate(picks):
                mean = own[picked].cumsum(dim=0) / self.k  # (k, batch, classes)
                of_label = mean[..., torch.arange(len(labels)), labels]
                self.right[run, repeat] += (mean.argmax(dim=-1) == labels).sum(dim=-1)
                self.loss[run, repeat] -= of_label.log().sum(dim=-1)

    def curve(self) -> Curve:
        """Return mean and standard deviation (n - 1) over the repeats."""
        accuracy, loss = self.right / self.examples, self.loss / self.examples
        return Curve(accuracy.mean(dim=1), accuracy.std(dim=1), loss.mean(dim=1), loss.std(dim=1))


def moment_matching(model: MLP, x: Tensor, samples: int) -> Tensor:
    """Return the log-probabilities of Gaussian moment matching: ``(runs, batch, classes)``.

    Where the weights that lead on from a place are dropped, the pre-activation of each unit is
    taken for normal with the mean and variance that the masks give it; ``samples`` draws of it go
    through the activation, or the softmax of the output layer, and are averaged. The average goes
    on to the next layer.

    Paper:
        Wan, Zeiler, Zhang, LeCun, Fergus (2013), Regularization of Neural Networks using
        DropConnect, ICML. Their output layer is not dropped; where it is, its softmax is averaged,
        as in Wang & Manning (2013), Fast dropout training, ICML.
    """
    log_p = (log_softmax(logits.double(), -1) for logits in logits_of_moments(model, x, samples))
    return log_softmax(reduce(torch.logaddexp, log_p), dim=-1)


def logits_of_moments(model: MLP, x: Tensor, samples: int) -> Iterator[Tensor]:
    """Yield draws of the logits; one alone where the weights before them stay whole."""
    h = x.expand(model.runs, -1, -1)
    places = model.places()
    for dropout, weight, bias in places[:-1]:
        total, count = (
            torch.zeros((), device=x.device),
            0,
        )  # one draw after the other: all at once are too many
        for z in _normal(dropout, h, weight, bias, samples):
            total, count = total + model.activation(z), count + 1
        h = total / count  # (runs, batch, out)
    dropout, weight, bias = places[-1]
    yield from _normal(dropout, h, weight, bias, samples)


def _normal(
    dropout: Dropout, x: Tensor, weight: Tensor, bias: Tensor, samples: int
) -> Iterator[Tensor]:
    """Yield draws of normal pre-activations; their mean alone where nothing varies."""
    mean, variance = dropout.moments(x, weight, bias)
    if variance is None:
        yield mean
        return
    spread = variance.clamp_min(0).sqrt()
    for _ in range(samples):
        yield mean + spread * dropout.noise.normal(mean.shape, mean.device)


def inference_rows(inferred: Inferred, run: int) -> list[dict[str, Any]]:
    """Return a run's rows of inference.csv, by column."""
    return [
        {"inference": name, "samples": inferred.samples[name], **score_columns(scores, run)}
        for name, scores in inferred.scores.items()
    ]


def score_columns(scores: ProbabilityScores, run: int) -> dict[str, Any]:
    """Return the scores of one run by their columns; None where there is no such score."""
    information = scores.mutual_information
    return {
        "test_accuracy": scores.accuracy[run].item(),
        "test_errors": int(scores.errors[run].item()),
        "test_loss": scores.loss[run].item(),
        "test_brier": scores.brier[run].item(),
        "test_ece": scores.ece[run].item(),
        "test_entropy": scores.entropy[run].item(),
        "test_mutual_information": None if information is None else information[run].item(),
    }


def reliability_rows(inferred: Inferred, run: int) -> list[dict[str, Any]]:
    """Return a run's rows of reliability.csv, by column; nan are the means over no example."""
    rows = []
    for name, scores in inferred.scores.items():
        examples, right, confidence = scores.bins[:, run]
        means = zip(
            examples.tolist(),
            (confidence / examples).tolist(),
            (right / examples).tolist(),
            strict=True,
        )
        for index, (count, mean_confidence, accuracy) in enumerate(means, start=1):
            rows.append(
                {
                    "inference": name,
                    "bin": index,
                    "examples": int(count),
                    "confidence": mean_confidence,
                    "accuracy": accuracy,
                }
            )
    return rows


def curve_rows(inferred: Inferred, run: int) -> list[dict[str, Any]]:
    """Return a run's rows of monte_carlo.csv, by column; none without a curve."""
    if inferred.curve is None:
        return []
    columns = {
        f"test_{name}": values[run].tolist() for name, values in vars(inferred.curve).items()
    }
    length = len(columns["test_accuracy_mean"])
    return [
        {"samples": k + 1, "repeats": REPEATS, **{name: each[k] for name, each in columns.items()}}
        for k in range(length)
    ]
