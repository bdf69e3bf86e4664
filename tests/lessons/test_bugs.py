"""Lesson ``bugs``: the mistakes by hand, and a mistake that is mended breaks its check."""

from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import GaussianDropout, InvertedDropout
from dropout_lab.lessons import bugs
from dropout_lab.lessons.bugs.experiment import (
    WRONG_LAYERS,
    DividedByTheRate,
    ExamplesDropped,
    MaskNotInTheGradient,
    NoiseInEvaluation,
    NormalForUniform,
    OneMaskForAllExamples,
    QuietAfterEvaluation,
    ScalingForgotten,
    VarianceForDeviation,
)
from dropout_lab.lessons.draws import noise_source
from tests.lessons.conftest import Told, failed_in


def out_of(kind: type, p: float = 0.75, shape: tuple[int, ...] = (40, 30)) -> Tensor:
    out: Tensor = kind(p, noise=noise_source(3))(torch.ones(shape))
    return out


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train next to nothing, where the checks are what is looked at."""
    monkeypatch.setattr(bugs, "_IMAGES", 100)


def test_kept_ones_by_hand_at_p_075() -> None:
    assert set(out_of(InvertedDropout).unique().tolist()) == {0.0, 4.0}
    assert set(out_of(ScalingForgotten).unique().tolist()) == {0.0, 1.0}
    assert sorted(out_of(DividedByTheRate).unique().tolist()) == pytest.approx([0, 4 / 3])


def test_a_mask_along_the_wrong_axis_or_for_all() -> None:
    rows, columns = out_of(ExamplesDropped), out_of(OneMaskForAllExamples)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    assert 0 < float((rows == 0).float().mean()) < 1
    assert 0 < float((columns == 0).float().mean()) < 1


def test_the_deviation_of_the_gaussian_mistake_is_3_at_p_075_not_its_root() -> None:
    """There p / (1 - p) is 3; of 1,200 draws the s.d. is known to 1 / sqrt(2,400) of itself."""
    for kind, deviation in ((VarianceForDeviation, 3.0), (GaussianDropout, 3.0**0.5)):
        found = float(out_of(kind).std())
        assert abs(found / deviation - 1) < 5 / 2400**0.5


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_normal_draws_keep_too_many_units_by_the_normal_distribution_function(p: float) -> None:
    """At p = 0.2 and 0.5 a share of 0.788 and 0.691 is kept, with means of 0.985 and 1.383."""
    out = out_of(NormalForUniform, p, (200, 100))
    kept = NormalDist().cdf(1 - p)
    error = (kept * (1 - kept) / out.numel()) ** 0.5
    assert abs(float((out > 0).float().mean()) - kept) < 5 * error
    assert abs(float(out.mean()) - kept / (1 - p)) < 5 * error / (1 - p)
    assert kept == pytest.approx({0.2: 0.788, 0.5: 0.691}[p], abs=5e-4)


def test_the_gradient_without_the_mask_is_1_everywhere() -> None:
    x = torch.ones(4, 5, requires_grad=True)
    out = MaskNotInTheGradient(0.5, noise=noise_source(1))(x)
    out.sum().backward()
    assert torch.equal(x.grad, torch.ones(4, 5))
    assert (out == 0).any()


def test_noise_stays_in_evaluation_and_goes_for_good_after_it() -> None:
    x = torch.ones(4, 50)
    assert (NoiseInEvaluation(0.5).eval()(x) == 0).any()
    layer = QuietAfterEvaluation(0.5)
    assert (layer(x) == 0).any()
    layer.eval()(x)
    assert torch.equal(layer.train()(x), x)


def test_at_p_05_two_of_them_are_right() -> None:
    for wrong, right in (
        (DividedByTheRate, InvertedDropout),
        (VarianceForDeviation, GaussianDropout),
    ):
        assert torch.equal(out_of(wrong, 0.5), out_of(right, 0.5))


def test_every_mistake_is_told_once() -> None:
    assert (
        len({kind.title for kind in WRONG_LAYERS}) == len({kind.code for kind in WRONG_LAYERS}) == 9
    )


def test_a_mended_mistake_is_no_longer_caught(
    told: Told, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScalingForgotten, "kept_scale", InvertedDropout.kept_scale)
    failed = failed_in(told("bugs"))
    assert "scaling forgotten" in failed
    assert "NLL: scaling forgotten" in failed
    assert "divided by the rate" not in failed


def test_a_right_layer_that_is_wrong_is_found(
    told: Told, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GaussianDropout, "eval_forward", lambda self, x: 2 * x)
    assert "correct layers pass all" in failed_in(told("bugs"))


def test_dividing_by_another_number_is_seen_at_p_05(
    told: Told, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DividedByTheRate, "kept_scale", lambda self, p: 1 / (p + 0.1))
    assert "p and 1 - p alike at 0.5" in failed_in(told("bugs", 0.5))
