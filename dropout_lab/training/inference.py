"""Predict the test set with each inference method (mean, Monte Carlo, ...), and score it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.config.sections.evaluation import (
    SAMPLES,
    EvaluationSettings,
    inferences,
    keeps_predictions,
)
from dropout_lab.data import Splits
from dropout_lab.layers import Dropout
from dropout_lab.model import MLP
from dropout_lab.normalization import use_running_statistics
from dropout_lab.probabilities import ProbabilityScores, ProbabilityTally, entropy_of
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.evaluation import CHUNK

REPEATS = 100  # random choices of networks for each point of a curve, as in JMLR 2014, Fig. 11
_SAMPLING_METHODS = ("monte_carlo", "geometric")


@dataclass(frozen=True)
class Curve:
    """Accuracy and loss of averages of k sampled networks, over the repeats: ``(runs, k)`` each."""

    accuracy_mean: Tensor
    accuracy_sd: Tensor
    loss_mean: Tensor
    loss_sd: Tensor


@dataclass(frozen=True)
class InferenceResults:
    """The results of all inference methods.

    Args:
        scores: Scores on the test set, by the name of the method.
        samples: Networks, or draws per unit, by the name of the method; 1 for ``mean``.
        curve: Accuracy and loss by number of averaged networks, if requested.
        log_probabilities: Log-probabilities of ``mean``, ``(runs, examples, classes)``, float32, if
            the settings request them.
    """

    scores: dict[str, ProbabilityScores]
    samples: dict[str, int]
    curve: Curve | None = None
    log_probabilities: Tensor | None = None


def infer(
    model: MLP, splits: Splits, settings: EvaluationSettings, seeds: Sequence[int]
) -> InferenceResults:
    """Predict the test set with every inference method that the settings name.

    Restores the mode and the random streams of the model, so training can continue from here.

    Args:
        model: The networks.
        splits: The data.
        settings: The section ``evaluation``, in canonical form.
        seeds: The seed of each run.
    """
    methods, samples = inferences(settings), settings.samples or SAMPLES
    test, device = splits.test, splits.test.labels.device
    tallies = {name: ProbabilityTally(model.runs, device) for name in methods if name != "ensemble"}
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
                if set(_SAMPLING_METHODS) & set(methods):
                    predicted = _SampledPredictions(samples, curve)
                    with model.noise_for(Purpose.INFERENCE, chunk):
                        for sample in sample_predictions(model, x, samples):
                            predicted.add(sample)
                    predicted.tally(tallies, labels)
                if "moment_matching" in methods:
                    with model.noise_for(Purpose.MOMENT_MATCHING, chunk):
                        log_p = moment_matching(model.eval(), x, samples)
                    tallies["moment_matching"].add(log_p, labels)
    finally:
        model.train(was_training)
    return InferenceResults(
        scores={name: tally.scores() for name, tally in tallies.items()},
        samples={name: 1 if name == "mean" else samples for name in tallies},
        curve=None if curve is None else curve.curve(),
        log_probabilities=torch.cat(kept, dim=1) if kept else None,
    )


def sample_predictions(model: MLP, x: Tensor, samples: int) -> Iterator[Tensor]:
    """Yield log-probabilities ``(runs, batch, classes)``, each with newly drawn noise.

    Batch normalization uses its running statistics.
    """
    model.train()
    use_running_statistics(model)
    for _ in range(samples):
        yield log_softmax(model(x).double(), dim=-1)


class _SampledPredictions:
    r"""Average the predictions of sampled networks for one batch.

    Monte Carlo averages their probabilities, :math:`\frac1T \sum_t p_t`; the normalized geometric
    mean is :math:`\prod_t p_t^{1/T}`, divided by its sum over the classes.
    """

    def __init__(self, samples: int, curve: "_CurveTally | None") -> None:
        self.count, self.samples = 0, samples
        self.curve = curve
        self.pool: Tensor | None = None  # (samples, runs, batch, classes)

    def add(self, log_p: Tensor) -> None:
        """Add the prediction of one network."""
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
        """Add the averaged predictions to the scores, and the single ones to the curve."""
        if "monte_carlo" in tallies:
            arithmetic = log_softmax(self.log_total, dim=-1)
            tallies["monte_carlo"].add(arithmetic, labels, self.entropies / self.count)
        if "geometric" in tallies:
            tallies["geometric"].add(log_softmax(self.total_log / self.count, dim=-1), labels)
        if self.curve is not None and self.pool is not None:
            self.curve.add(self.pool, labels)


class _CurveTally:
    """Compute accuracy and loss of the average of k sampled networks, for k = 1, 2, ...

    Each repeat samples a sequence of networks from the pool, with replacement. Its average of k
    networks is the average of the first k in the sequence.

    Args:
        max_k: The largest k.
        pool: Number of networks in the pool.
        seeds: The seed of each run, which determines its sequences.
        device: The device of the predictions.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 11, and its author's script: a pool of
        1,000, k up to 200, 100 repeats.
    """

    def __init__(self, max_k: int, pool: int, seeds: Sequence[int], device: torch.device) -> None:
        generators = [stream(Purpose.INFERENCE, seed) for seed in seeds]
        draws = [generator.integers(pool, size=(REPEATS, max_k)) for generator in generators]
        self.sequences = [torch.from_numpy(draw).to(device) for draw in draws]
        self.k = torch.arange(1, max_k + 1, device=device).view(-1, 1, 1)
        self.right = torch.zeros(len(seeds), REPEATS, max_k, dtype=torch.float64, device=device)
        self.loss = torch.zeros_like(self.right)
        self.examples = 0

    def add(self, pool: Tensor, labels: Tensor) -> None:
        """Add a batch. ``pool``: log-probabilities, (samples, runs, batch, classes)."""
        self.examples += len(labels)
        for run, sequences in enumerate(self.sequences):
            p = pool[:, run].double().exp()  # in float32 a small p is 0 and its log infinite
            for repeat, sequence in enumerate(sequences):
                mean = p[sequence].cumsum(dim=0) / self.k  # (k, batch, classes)
                of_label = mean[..., torch.arange(len(labels)), labels]
                self.right[run, repeat] += (mean.argmax(dim=-1) == labels).sum(dim=-1)
                self.loss[run, repeat] -= of_label.log().sum(dim=-1)

    def curve(self) -> Curve:
        """Return means and standard deviations (n - 1) over the repeats."""
        accuracy, loss = self.right / self.examples, self.loss / self.examples
        return Curve(accuracy.mean(dim=1), accuracy.std(dim=1), loss.mean(dim=1), loss.std(dim=1))


def moment_matching(model: MLP, x: Tensor, samples: int) -> Tensor:
    """Return the log-probabilities of Gaussian moment matching: ``(runs, batch, classes)``.

    Where dropout acts on the outgoing weights of a place, each pre-activation of the next layer is
    approximated by a normal distribution with the mean and variance over the masks. ``samples``
    draws pass through the activation, or through the softmax of the output layer. Their average is
    the input of the next layer.

    Paper:
        Wan, Zeiler, Zhang, LeCun, Fergus (2013), Regularization of Neural Networks using
        DropConnect, ICML. Their output layer has no dropout; if ours has, its softmax is averaged,
        as in Wang & Manning (2013), Fast dropout training, ICML.
    """
    log_p = (
        log_softmax(logits.double(), -1) for logits in moment_matched_logits(model, x, samples)
    )
    return log_softmax(reduce(torch.logaddexp, log_p), dim=-1)


def moment_matched_logits(model: MLP, x: Tensor, samples: int) -> Iterator[Tensor]:
    """Yield draws of the logits; only their mean if the output weights have no dropout."""
    h = x.expand(model.runs, -1, -1)
    places = model.places()
    for dropout, weight, bias in places[:-1]:
        total, count = torch.zeros((), device=x.device), 0
        # One draw after the other, to save memory.
        for z in _sample_pre_activations(dropout, h, weight, bias, samples):
            total, count = total + model.activation(z), count + 1
        h = total / count  # (runs, batch, out)
    dropout, weight, bias = places[-1]
    yield from _sample_pre_activations(dropout, h, weight, bias, samples)


def _sample_pre_activations(
    dropout: Dropout, x: Tensor, weight: Tensor, bias: Tensor, samples: int
) -> Iterator[Tensor]:
    """Yield draws of normal pre-activations; only their mean if they have no variance."""
    mean, variance = dropout.moments(x, weight, bias)
    if variance is None:
        yield mean
        return
    deviation = variance.clamp_min(0).sqrt()
    for _ in range(samples):
        yield mean + deviation * dropout.noise.normal(mean.shape, mean.device)


def inference_rows(results: InferenceResults, run: int) -> list[dict[str, Any]]:
    """Return the rows of a run in inference.csv, by column."""
    return [
        {"inference": name, "samples": results.samples[name], **score_columns(scores, run)}
        for name, scores in results.scores.items()
    ]


def score_columns(scores: ProbabilityScores, run: int) -> dict[str, Any]:
    """Return the scores of one run by column; None for scores that do not exist."""
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


def reliability_rows(results: InferenceResults, run: int) -> list[dict[str, Any]]:
    """Return the rows of a run in reliability.csv, by column; nan for means of empty bins."""
    rows = []
    for name, scores in results.scores.items():
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


def curve_rows(results: InferenceResults, run: int) -> list[dict[str, Any]]:
    """Return the rows of a run in monte_carlo.csv, by column; empty without a curve."""
    if results.curve is None:
        return []
    columns = {f"test_{name}": values[run].tolist() for name, values in vars(results.curve).items()}
    length = len(columns["test_accuracy_mean"])
    return [
        {"samples": k + 1, "repeats": REPEATS, **{name: each[k] for name, each in columns.items()}}
        for k in range(length)
    ]
