"""What is measured of predicted class probabilities: NLL, Brier score, calibration, uncertainty."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.config.sizes import BINS


@dataclass(frozen=True)
class ProbabilityScores:
    """The measures of one part of the data; but for the bins, of shape ``(runs,)``; float64.

    Args:
        accuracy: Share of the examples whose most probable class is the label.
        errors: How many are not.
        loss: Negative log-likelihood (NLL): mean of -log of the label's probability, in nats.
        brier: Brier score: mean over the examples of the sum over the classes of the squared
            distance between probability and label (1 for it, 0 for the others); in [0, 2].
        ece: Expected calibration error: mean over the examples of |accuracy - confidence| of their
            bin, with 15 bins of equal width, each closed on the right, so that a confidence of 1
            lies in the last; the confidence is the highest probability.
        entropy: Mean entropy of the predicted probabilities, in nats.
        mutual_information: That entropy less the mean entropy of the networks that were averaged,
            in nats: what they disagree about. None where a single prediction was made.
        bins: Of the ECE, ``(3, runs, 15)``: how many examples each holds, how many of them are
            right, and the sum of their confidences.

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
    """Adds up batches of predicted probabilities, and scores them.

    Args:
        runs: The length of the run axis.
        device: Where the predictions lie.
    """

    def __init__(self, runs: int, device: torch.device) -> None:
        self.examples = 0
        self._sums = torch.zeros(5, runs, dtype=torch.float64, device=device)
        self._bins = torch.zeros(3, runs, BINS, dtype=torch.float64, device=device)
        self._averaged = False

    def add(self, log_p: Tensor, labels: Tensor, entropy_of_each: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            log_p: Logarithms of the probabilities, ``(runs, batch, classes)``.
            labels: ``(runs, batch)`` or ``(batch,)``.
            entropy_of_each: Mean entropy of the predictions that were averaged, ``(runs, batch)``;
                none where nothing was.
        """
        log_p = log_p.double()
        labels = labels.expand(log_p.shape[:-1])
        p = log_p.exp()
        of_label = log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        confidence, predicted = p.max(dim=-1)
        right = (predicted == labels).double()
        entropy = entropy_of(log_p)
        within = entropy if entropy_of_each is None else entropy_of_each.double()
        # sum_k (p_k - [k = label])^2 = sum_k p_k^2 - 2 p_label + 1
        brier = p.square().sum(dim=-1) - 2 * of_label.exp() + 1
        self.examples += labels.shape[-1]
        self._averaged |= entropy_of_each is not None
        each = (right, -of_label, brier, entropy, entropy - within)
        self._sums += torch.stack([values.sum(dim=-1) for values in each])
        bins = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)
        for total, values in zip(
            self._bins, (torch.ones_like(right), right, confidence), strict=True
        ):
            total.scatter_add_(-1, bins, values)

    def scores(self) -> ProbabilityScores:
        """Return the measures of everything counted; nan where nothing was."""
        right, loss, brier, entropy, information = self._sums
        _, of_right, of_confidence = self._bins
        n = self.examples or float("nan")
        return ProbabilityScores(
            accuracy=right / n,
            errors=self.examples - right,
            loss=loss / n,
            brier=brier / n,
            ece=(of_right - of_confidence).abs().sum(dim=-1) / n,
            entropy=entropy / n,
            mutual_information=(information / n).clamp_min(0) if self._averaged else None,
            bins=self._bins.clone(),
        )


def entropy_of(log_p: Tensor) -> Tensor:
    """Return the entropy of each prediction, in nats; 0 log 0 is 0.

    Shape:
        ``log_p``: ``(..., classes)``. Output: ``(...)``.
    """
    return -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(dim=-1)
