"""Lesson ``inverted``: numbers worked by hand, and layers that break its checks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.lessons import inverted
from dropout_lab.lessons.draws import ReplayedMasks
from dropout_lab.lessons.inverted.experiment import (
    ADAM_RULE,
    EQUIVALENT,
    SGD_RULE,
    OptimizerRule,
    PowerScaling,
    TrainingCourse,
    train_network,
)
from dropout_lab.lessons.parts import Table
from dropout_lab.lessons.reference_layers import NumpyDropout, torch_dropout
from tests.lessons.conftest import Told, failed_in


def test_numpys_layer_keeps_with_the_chance_keep() -> None:
    """Kept where the draw is below keep = 0.8, then divided by it: 4 / 0.8 = 5."""

    class Drawn:
        def random(self, shape: tuple[int, ...]) -> object:
            return np.array([0.0, 0.79, 0.8, 0.99]).reshape(shape)

    layer = NumpyDropout(0.8, Drawn())
    np.testing.assert_allclose(layer.forward(np.array([4.0, -2.0, 4.0, 8.0])), [5, -2.5, 0, 0])
    np.testing.assert_allclose(layer.backward(np.array([1.0, 2.0, 3.0, 4.0])), [1.25, 2.5, 0, 0])


@pytest.mark.parametrize("p", [2.0**-16, 0.25, 0.5, 1 - 2.0**-16])
def test_a_mask_is_replayed_at_any_p(p: float) -> None:
    kept = torch.tensor([[True, False], [False, True]])
    out = InvertedDropout(p, noise=ReplayedMasks([kept]))(torch.ones(2, 2, dtype=torch.float64))
    torch.testing.assert_close(out, kept.double() / (1 - p))


def test_a_mask_has_no_normal_draws() -> None:
    with pytest.raises(TypeError, match="gives only masks"):
        ReplayedMasks([torch.tensor([True])]).normal((1,), torch.device("cpu"))


def test_torchs_layer_draws_without_moving_the_users_random_state() -> None:
    before = torch.get_rng_state()
    first = torch_dropout(0.5, torch.ones(64), 3)
    assert torch.equal(torch_dropout(0.5, torch.ones(64), 3), first)
    assert set(first.tolist()) == {0.0, 2.0}
    assert torch.equal(torch.get_rng_state(), before)


def test_one_step_by_hand_needs_the_square() -> None:
    """One weight, q = 0.8, x = 2 kept, target 1, loss z^2 / 2 - z, rate 0.1.

    Standard, W = 1.5: z = 2 * 1.5 = 3, slope 3 - 1 = 2, gradient 4, W becomes 1.5 - 0.4 = 1.1.
    Inverted, W = 0.8 * 1.5 = 1.2: z = 2.5 * 1.2 = 3, gradient 2 * 2.5 = 5; with the rate
    0.1 * 0.64 it becomes 1.2 - 0.32 = 0.88 = 0.8 * 1.1.
    """
    kept = torch.tensor([True])
    after = {}
    for kind, start, rate in ((StandardDropout, 1.5, 0.1), (InvertedDropout, 1.2, 0.064)):
        weight = torch.tensor([start], dtype=torch.float64, requires_grad=True)
        layer = kind(0.2, noise=ReplayedMasks([kept]))
        layer._p_values = 0.2  # not rounded to a multiple of 2^-16
        z = (layer(torch.tensor([2.0], dtype=torch.float64)) * weight).sum()
        (z.square() / 2 - z).backward()
        assert weight.grad is not None
        after[kind] = float(weight.detach() - rate * weight.grad)
    assert after[StandardDropout] == pytest.approx(1.1, abs=1e-12)
    assert after[InvertedDropout] == pytest.approx(0.88, abs=1e-12)


def test_a_course_is_that_of_torchs_optimizer() -> None:
    """Its last loss, against a loop of torch.optim.SGD over the same network: another optimizer."""
    from dropout_lab.lessons.inverted import experiment

    class Loop:
        def __init__(self, rule: OptimizerRule, groups: list[dict[str, object]]) -> None:
            self.optimizer = torch.optim.SGD(groups, momentum=rule.momentum)

        def step(self) -> None:
            self.optimizer.step()

    rule = replace(SGD_RULE, momentum=0.9, l2=0.05)
    ours = train_network("inverted", 0.3, 1, rule, EQUIVALENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_make_optimizer", lambda rule, groups: Loop(rule, groups))
        theirs = train_network("inverted", 0.3, 1, rule, EQUIVALENT)
    assert max(ours.logit_differences(theirs)) < 1e-12
    assert len(ours.losses) == 20
    assert len(set(ours.losses)) == 20


def test_adam_needs_q_where_sgd_needs_its_square() -> None:
    standard = train_network("standard", 0.5, 2, ADAM_RULE)
    right = max(
        train_network(
            "inverted", 0.5, 2, ADAM_RULE, PowerScaling(weights=1, learning_rate=1)
        ).logit_differences(standard)
    )
    wrong = max(
        train_network("inverted", 0.5, 2, ADAM_RULE, EQUIVALENT).logit_differences(standard)
    )
    assert right < 1e-3 < wrong


def test_the_tables_show_what_they_say(told: Told) -> None:
    tables = [part for part in told("inverted", 0.2) if isinstance(part, Table)]
    by_hand = {row[0]: np.array(row[1:]) for row in tables[0].rows}
    mask = by_hand["mask"]
    assert {round(value, 3) for value in mask} <= {0, 1.25}
    for who in ("NumPy", "ours"):
        np.testing.assert_allclose(by_hand[f"out, {who}"], by_hand["x"] * mask, rtol=1e-12)
        np.testing.assert_allclose(by_hand[f"dx, {who}"], by_hand["dout"] * mask, rtol=1e-12)
    lengths = {row[0]: row[2] for row in tables[-1].rows}
    assert lengths["inverted"] == pytest.approx(1.25, rel=1e-4)
    assert lengths["standard, of q W"] == pytest.approx(0.8, rel=1e-4)


def test_dividing_by_p_breaks_every_comparison(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: 1 / p)
    failed = failed_in(told("inverted", 0.3))
    assert failed == [
        "NumPy's layer is ours",
        "nn.Dropout is ours",
        "one network, dropout on",
        "one network, evaluation",
        "momentum: same network",
        "L2: strength over q^2",
        "inverted: the chosen rate",
    ]


def test_a_gradient_of_the_bare_mask_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor, mask: Tensor) -> Tensor:
            ctx.save_for_backward(mask)
            return x * mask

        @staticmethod
        def backward(ctx: object, *slopes: Tensor) -> tuple[Tensor, None]:
            (mask,) = ctx.saved_tensors
            return slopes[0] * (mask != 0), None

    right = InvertedDropout.drop

    def drop(self: InvertedDropout, x: Tensor) -> Tensor:
        return Bare.apply(x, right(self, torch.ones_like(x)))  # type: ignore[no-any-return]

    monkeypatch.setattr(InvertedDropout, "drop", drop)
    failed = failed_in(told("inverted", 0.3))
    assert "NumPy's layer is ours" in failed
    assert "one network, evaluation" in failed


def test_an_evaluation_that_does_not_scale_breaks_one_check(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses in training are as they were; what evaluation sees is not."""
    monkeypatch.setattr(StandardDropout, "eval_forward", lambda self, x: x)
    failed = failed_in(told("inverted"))
    assert "one network, dropout on" not in failed
    assert failed[0] == "one network, evaluation"


def test_networks_that_are_scaled_though_they_should_not_be_are_found(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scaled(
        variant: str, p: float, seed: int, rule: OptimizerRule, scaling: PowerScaling | None = None
    ) -> TrainingCourse:
        if scaling is None:
            return train_network(variant, p, seed, rule)
        return train_network(variant, p, seed, rule, EQUIVALENT if rule is SGD_RULE else scaling)

    monkeypatch.setattr(inverted, "train_network", scaled)
    assert failed_in(told("inverted")) == ["partial scaling differs"]


def test_masks_that_differ_break_the_networks_only(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = StandardDropout.drop

    def drop(self: StandardDropout, x: Tensor) -> Tensor:
        self.noise.lanes(x.shape, x.device)  # one draw more
        return right(self, x)

    monkeypatch.setattr(StandardDropout, "drop", drop, raising=False)
    assert failed_in(told("inverted"))[:2] == ["one network, dropout on", "one network, evaluation"]
