"""Compute NLL, Brier score, calibration and uncertainty of predicted class probabilities."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.config.sizes import BINS


@dataclass(frozen=True)
class ProbabilityScores:
    """The metrics of one data set; float64 tensors of shape ``(runs,)``, except ``bins``.

    Args:
        accuracy: Fraction of the examples whose most probable class is the label.
        errors: Number of the other examples.
        loss: Negative log-likelihood (NLL): mean of -log of the label's probability, in nats.
        brier: Brier score: mean over the examples of the sum over the classes of the squared
            difference between probability and one-hot label; in [0, 2].
        ece: Expected calibration error: mean over the examples of |accuracy - confidence| of their
            bin. There are 15 bins of equal width, each including its right edge, so a confidence of
            1 is in the last bin. The confidence is the highest probability.
        entropy: Mean entropy of the predicted probabilities, in nats.
        mutual_information: The entropy minus the mean entropy of the averaged networks, in nats,
            which measures their disagreement. None if no predictions were averaged.
        bins: The bins of the ECE, ``(3, runs, 15)``: the number of examples, the number of correct
            predictions, and the sum of the confidences.

    Paper:
        Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks, ICML (bins);
        Brier (1950); Gal & Ghahramani (2016), ICML (entropy and mutual information).
    """

    accuracy: Tensor
    errors: Tensor
    loss: Tensor
    brier: Tensor
    ece: Tensor
    entropy: Tensor
    mutual_information: Tensor | None
    bins: Tensor


class ProbabilityTally:
    """Accumulate batches of predicted probabilities, and compute their scores.

    Args:
        runs: The length of the run axis.
        device: The device of the predictions.
    """

    def __init__(self, runs: int, device: torch.device) -> None:
        self.examples = 0
        self._sums = torch.zeros(5, runs, dtype=torch.float64, device=device)
        self._bins = torch.zeros(3, runs, BINS, dtype=torch.float64, device=device)
        self._averaged = False

    def add(self, log_p: Tensor, labels: Tensor, member_entropy: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            log_p: Logarithms of the probabilities, ``(runs, batch, classes)``.
            labels: ``(runs, batch)`` or ``(batch,)``.
            member_entropy: Mean entropy of the averaged predictions, ``(runs, batch)``; None if no
                predictions were averaged.
        """
        log_p = log_p.double()
        labels = labels.expand(log_p.shape[:-1])
        p = log_p.exp()
        label_log_p = log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        confidence, predicted = p.max(dim=-1)
        correct = (predicted == labels).double()
        entropy = entropy_of(log_p)
        mean_member_entropy = entropy if member_entropy is None else member_entropy.double()
        # sum_k (p_k - [k = label])^2 = sum_k p_k^2 - 2 p_label + 1
        brier = p.square().sum(dim=-1) - 2 * label_log_p.exp() + 1
        self.examples += labels.shape[-1]
        self._averaged |= member_entropy is not None
        each = (correct, -label_log_p, brier, entropy, entropy - mean_member_entropy)
        self._sums += torch.stack([values.sum(dim=-1) for values in each])
        bins = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)
        for total, values in zip(
            self._bins, (torch.ones_like(correct), correct, confidence), strict=True
        ):
            total.scatter_add_(-1, bins, values)

    def scores(self) -> ProbabilityScores:
        """Return the scores of all added batches; nan without any."""
        correct, loss, brier, entropy, information = self._sums
        _, bin_correct, bin_confidence = self._bins
        n = self.examples or float("nan")
        return ProbabilityScores(
            accuracy=correct / n,
            errors=self.examples - correct,
            loss=loss / n,
            brier=brier / n,
            ece=(bin_correct - bin_confidence).abs().sum(dim=-1) / n,
            entropy=entropy / n,
            mutual_information=(information / n).clamp_min(0) if self._averaged else None,
            bins=self._bins.clone(),
        )


def entropy_of(log_p: Tensor) -> Tensor:
    """Return the entropy of each prediction, in nats, with 0 log 0 = 0.

    Shape:
        ``log_p``: ``(..., classes)``. Output: ``(...)``.
    """
    return -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(dim=-1)
