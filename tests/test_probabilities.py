"""NLL, Brier score, ECE, entropy and mutual information: by hand, by scikit-learn, by SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor

from dropout_lab.config.sizes import BINS
from dropout_lab.probabilities import ProbabilityScores, ProbabilityTally, entropy_of

CPU = torch.device("cpu")


def scored(p: Tensor, labels: Tensor, members: Tensor | None = None) -> ProbabilityScores:
    """Score probabilities of one run; ``members``: (networks, examples, classes)."""
    tally = ProbabilityTally(1, CPU)
    each = None if members is None else entropy_of(members.log()).mean(dim=0, keepdim=True)
    tally.add(p.log().unsqueeze(0), labels, each)
    return tally.scores()


def made_up(
    examples: int = 400, classes: int = 10, sharpness: float = 2.0
) -> tuple[Tensor, Tensor]:
    p = (sharpness * torch.randn(examples, classes, dtype=torch.float64)).softmax(dim=-1)
    return p, torch.randint(classes, (examples,))


def test_two_examples_by_hand() -> None:
    p = torch.tensor([[0.8, 0.2, 0.0], [0.3, 0.3, 0.4]], dtype=torch.float64)
    scores = scored(p, torch.tensor([0, 1]))
    assert scores.accuracy.item() == 0.5
    assert scores.errors.item() == 1
    assert scores.loss.item() == pytest.approx((-math.log(0.8) - math.log(0.3)) / 2)
    assert scores.brier.item() == pytest.approx((0.04 + 0.04 + 0.09 + 0.49 + 0.16) / 2)
    # Confidences 0.8 (right) and 0.4 (wrong), each alone in its bin.
    assert scores.ece.item() == pytest.approx((0.2 + 0.4) / 2)
    by_hand = (
        -(0.8 * math.log(0.8) + 0.2 * math.log(0.2)),
        -(2 * 0.3 * math.log(0.3) + 0.4 * math.log(0.4)),
    )
    assert scores.entropy.item() == pytest.approx(sum(by_hand) / 2)
    assert scores.mutual_information is None


@pytest.mark.parametrize("absent", [None, 3])
def test_against_scikit_learn_and_scipy_also_with_a_class_absent(absent: int | None) -> None:
    p, labels = made_up()
    if absent is not None:
        labels = torch.where(labels == absent, 0, labels)
    scores = scored(p, labels)
    onehot = np.eye(10)[labels]
    assert scores.loss.item() == pytest.approx(log_loss(labels, p, labels=range(10)))
    by_class = [brier_score_loss(onehot[:, k], p[:, k], pos_label=1) for k in range(10)]
    assert scores.brier.item() == pytest.approx(sum(by_class))
    assert scores.entropy.item() == pytest.approx(entropy(p.numpy(), axis=1).mean())
    assert scores.ece.item() == pytest.approx(calibration_error(p.numpy(), labels.numpy()))


def calibration_error(
    p: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    labels: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> float:
    """Return the ECE, written out bin by bin from its definition with right-closed bins."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.sum() / len(labels) * gap
    return total


def test_a_confidence_of_exactly_1_lies_in_the_last_bin() -> None:
    """Two certain predictions, one of them wrong: accuracy 0.5 against confidence 1."""
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    scores = scored(p, torch.tensor([0, 1]))
    assert scores.ece.item() == pytest.approx(0.5)
    assert scores.loss.item() == math.inf
    assert scores.entropy.item() == 0
    assert scores.brier.item() == pytest.approx(1.0)
    # With a third in the same bin, below 1, they are averaged: accuracy 2/3, confidence 2.95/3.
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05]], dtype=torch.float64)
    assert scored(p, torch.tensor([0, 1, 0])).ece.item() == pytest.approx((2.95 - 2) / 3)


def test_an_edge_between_two_bins_belongs_to_the_lower() -> None:
    """0.6 is 9/15: with 0.61 in the bin above it, each is alone."""
    p = torch.tensor([[0.6, 0.4], [0.61, 0.39]], dtype=torch.float64)
    assert scored(p, torch.tensor([0, 1])).ece.item() == pytest.approx((0.4 + 0.61) / 2)
    assert BINS == 15


def test_mutual_information_is_what_the_networks_disagree_about() -> None:
    labels = torch.tensor([0])
    opposed = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=torch.float64)
    scores = scored(opposed.mean(dim=0), labels, opposed)
    assert scores.mutual_information is not None
    assert scores.mutual_information.item() == pytest.approx(math.log(2))
    members = torch.stack([made_up(50)[0] for _ in range(7)])
    mean = members.mean(dim=0)
    information = entropy(mean.numpy(), axis=1) - entropy(members.numpy(), axis=2).mean(axis=0)
    scores = scored(mean, torch.zeros(50, dtype=torch.int64), members)
    assert scores.mutual_information is not None
    assert scores.mutual_information.item() == pytest.approx(information.mean())


def test_one_network_disagrees_with_nobody() -> None:
    p, labels = made_up(30)
    scores = scored(p, labels, p.unsqueeze(0))
    assert scores.mutual_information is not None
    assert scores.mutual_information.item() == pytest.approx(0, abs=1e-15)


def test_batches_and_runs_add_up() -> None:
    (p, labels), (other, _) = made_up(100), made_up(100)
    tally = ProbabilityTally(2, CPU)
    for part in torch.arange(100).split(33):
        tally.add(torch.stack([p[part], other[part]]).log(), labels[part])
    together = tally.scores()
    for run, alone in enumerate((scored(p, labels), scored(other, labels))):
        for name in ("accuracy", "errors", "loss", "brier", "ece", "entropy"):
            torch.testing.assert_close(getattr(together, name)[run], getattr(alone, name)[0])


def test_nothing_counted_is_nan() -> None:
    scores = ProbabilityTally(1, CPU).scores()
    assert scores.loss.isnan().all()
    assert scores.ece.isnan().all()


def test_a_confidence_that_rounding_puts_above_1_lies_in_the_last_bin() -> None:
    tally = ProbabilityTally(1, CPU)
    tally.add(torch.tensor([[[1e-15, -40.0]]], dtype=torch.float64), torch.tensor([0]))
    assert tally.scores().ece.item() == pytest.approx(0, abs=1e-12)
