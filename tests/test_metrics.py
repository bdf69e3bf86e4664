"""Loss, accuracy and macro F1 by hand, and against torch."""

import math

import pytest
import torch
from torch import nn

from dropout_lab.metrics import Tally, losses

CPU = torch.device("cpu")


def logits_for(predictions: list[int], classes: int) -> torch.Tensor:
    return nn.functional.one_hot(torch.tensor([predictions]), classes).float()


def test_macro_f1_by_hand() -> None:
    """Labels 0 0 0 1 1 2, predictions 0 0 1 1 2 2.

    Class 0: TP 2, FP 0, FN 1: 4/5. Class 1: TP 1, FP 1, FN 1: 2/4. Class 2: TP 1, FP 1, FN 0: 2/3.
    """
    tally = Tally(1, 3, CPU)
    tally.add(logits_for([0, 0, 1, 1, 2, 2], 3), torch.tensor([[0, 0, 0, 1, 1, 2]]))
    scores = tally.scores()
    assert float(scores.macro_f1[0]) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3, abs=1e-15)
    assert float(scores.accuracy[0]) == pytest.approx(4 / 6, abs=1e-15)
    assert float(scores.errors[0]) == 2


def test_a_class_that_never_occurs_is_left_out_of_macro_f1() -> None:
    tally = Tally(1, 10, CPU)
    tally.add(logits_for([0, 1, 1], 10), torch.tensor([[0, 1, 0]]))
    # class 0: 2 / 3; class 1: 2 / 3; the other eight do not occur
    assert float(tally.scores().macro_f1[0]) == pytest.approx(2 / 3, abs=1e-15)


def test_batches_of_different_size_add_up_to_the_whole(float64: None) -> None:
    logits, labels = torch.randn(2, 50, 10), torch.randint(0, 10, (2, 50))
    whole, parts = Tally(2, 10, CPU), Tally(2, 10, CPU)
    whole.add(logits, labels)
    for start, stop in ((0, 20), (20, 43), (43, 50)):
        parts.add(logits[:, start:stop], labels[:, start:stop])
    for name in ("loss", "accuracy", "errors", "macro_f1"):
        torch.testing.assert_close(getattr(parts.scores(), name), getattr(whole.scores(), name))
    expected = torch.stack(
        [nn.functional.cross_entropy(logits[run], labels[run]) for run in range(2)]
    )
    torch.testing.assert_close(whole.scores().loss, expected)


def test_the_loss_of_one_run_is_its_own() -> None:
    logits, labels = torch.randn(3, 8, 10), torch.randint(0, 10, (3, 8))
    before = losses(logits, labels)
    logits[1] = math.nan
    after = losses(logits, labels)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert after[1].isnan()


def test_nothing_counted_is_nan_not_an_error() -> None:
    scores = Tally(1, 10, CPU).scores()
    assert scores.accuracy.isnan().all()
    assert scores.loss.isnan().all()
