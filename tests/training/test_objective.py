"""The losses built on dropout: by hand, at weight 0, and that they do what they say in training."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from dropout_lab.data import Splits
from dropout_lab.model import MLP
from dropout_lab.training import Epoch, Fleet, train
from dropout_lab.training.objective import (
    Objective,
    StepLoss,
    TrainingStepMetrics,
    expectation_linear,
    fraternal,
    r_drop,
)
from tests.conftest import (
    assert_same_bits,
    make_runs,
    make_sweep,
    resumed_after_an_epoch,
    with_variant,
)

CPU = torch.device("cpu")
LOSSES = ("r_drop", "expectation_linear", "fraternal")


def test_r_drop_of_two_classes_by_hand() -> None:
    """P = (3/4, 1/4), Q = (1/2, 1/2): both KLs by their definition, then half their sum."""
    p = torch.tensor([0.75, 0.25]).log().view(1, 1, 2)
    q = torch.zeros(1, 1, 2)
    kl_pq = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    kl_qp = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert float(r_drop(p, q)) == pytest.approx((kl_pq + kl_qp) / 2)
    assert float(r_drop(p, p)) == 0


def test_r_drop_against_torchs_kl_div(float64: None) -> None:
    """Summed over classes, averaged over the batch, apart for each run."""
    first, second = torch.randn(2, 5, 10), torch.randn(2, 5, 10)
    log_p, log_q = log_softmax(first, -1), log_softmax(second, -1)
    for run in range(2):
        both = [
            kl_div(a[run], b[run], reduction="batchmean", log_target=True)
            for a, b in ((log_q, log_p), (log_p, log_q))
        ]
        assert float(r_drop(first, second)[run]) == pytest.approx(float(sum(both)) / 2)


def test_squared_distances_by_hand() -> None:
    """Differences (1, 2) and (0, -2): squares sum to 5 and 4; means over batch and classes.

    Probabilities (3/4, 1/4) and (1/2, 1/2): 2 / 16; equal ones in the second example; mean 1 / 16.
    """
    first = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]])
    second = torch.tensor([[[0.0, 1.0], [0.0, 2.0]]])
    assert float(fraternal(first, second)) == (5 + 4) / 4
    noisy = torch.tensor([[[math.log(3), 0.0], [2.0, 1.0]]])
    clean = torch.tensor([[[0.0, 0.0], [2.0, 1.0]]])
    assert float(expectation_linear(noisy, clean)) == pytest.approx(1 / 16)


def made(*settings: str) -> tuple[MLP, Objective]:
    fleet = Fleet(make_runs(*settings), CPU)
    fleet.model.open_epoch(1)
    return fleet.model, Objective(fleet.model, fleet.settings.dropout, 500, fleet.regularizers)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 6, 784, generator=generator)
    return x, torch.randint(10, (1, 6), generator=generator)


@pytest.mark.parametrize("loss", LOSSES)
def test_at_weight_zero_it_is_the_mean_cross_entropy_of_its_noisy_passes(
    loss: str, float64: None
) -> None:
    x, labels = batch()
    model, objective = made(f"dropout.loss={loss}", "dropout.loss_weight=0")
    step = objective(x, labels, 0.0)
    model.open_epoch(1)
    passes = [model(x)] if loss == "expectation_linear" else [model(x), model(x)]
    mean = sum(cross_entropy(logits[0], labels[0]) for logits in passes) / len(passes)
    torch.testing.assert_close(step.cross_entropy[0], mean)
    torch.testing.assert_close(step.total, step.cross_entropy)
    torch.testing.assert_close(step.logits, passes[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_term_is_its_function_of_the_passes_times_its_weight(loss: str, float64: None) -> None:
    x, labels = batch()
    model, objective = made(f"dropout.loss={loss}", "dropout.loss_weight=3")
    step = objective(x, labels, 0.0)
    assert model.training
    model.open_epoch(1)
    first, second = model(x), model(x)
    if loss == "expectation_linear":
        model.eval()
        expected = expectation_linear(first, model(x))
    else:
        expected = (r_drop if loss == "r_drop" else fraternal)(first, second)
    assert float(expected.detach()) > 0
    torch.testing.assert_close(step.dropout_loss, 3 * expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_passes_carry_the_gradient(loss: str, float64: None) -> None:
    """Against finite differences of the loss written out, the draws the same in every call."""
    x, labels = batch()
    model, objective = made(f"dropout.loss={loss}", "model.activation=tanh")
    parameter = model.biases[0]

    def total(bias: torch.Tensor) -> float:
        with torch.no_grad():
            parameter.copy_(bias)
            model.open_epoch(1)
            return float(objective(x, labels, 0.0).total)

    start = parameter.detach().clone()
    model.open_epoch(1)
    objective(x, labels, 0.0).total.sum().backward()
    assert parameter.grad is not None
    for unit in range(3):
        nudge = torch.zeros_like(start)
        nudge[0, 0, unit] = 1e-6
        slope = (total(start + nudge) - total(start - nudge)) / 2e-6
        assert slope == pytest.approx(float(parameter.grad[0, 0, unit]), rel=1e-5, abs=1e-9)


def test_the_penalty_is_divided_by_the_number_of_training_examples(float64: None) -> None:
    x, labels = batch()
    model, objective = made(*with_variant("concrete"))
    penalty = model.penalty(0.0)
    assert penalty is not None
    torch.testing.assert_close(objective(x, labels, 0.0).dropout_loss, penalty / 500)
    dropout = make_runs(*with_variant("concrete"))[0].settings.dropout
    doubled = Objective(model, dropout, 1000, objective.regularizers)
    torch.testing.assert_close(2 * doubled(x, labels, 0.0).dropout_loss, penalty / 500)


def test_a_learned_variant_and_a_loss_add_up(float64: None) -> None:
    x, labels = batch()
    model, objective = made(*with_variant("variational_a"), "dropout.loss=fraternal")
    step = objective(x, labels, 0.0)
    model.open_epoch(1)
    expected = 0.1 * fraternal(model(x), model(x)) + model.penalty(0.0) / 500
    torch.testing.assert_close(step.dropout_loss, expected)


def test_noisy_averages_over_examples_not_batches() -> None:
    noisy = TrainingStepMetrics(1, CPU)
    logits = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    noisy.add(StepLoss(logits, torch.tensor([1.0]), torch.tensor([6.0])), torch.tensor([[0, 0, 1]]))
    noisy.add(StepLoss(logits[:, :1], torch.tensor([5.0]), None), torch.tensor([[0]]))
    assert (float(noisy.loss), float(noisy.accuracy), float(noisy.dropout_loss)) == (2.0, 0.75, 4.5)


def last(splits: Splits, *settings: str) -> Epoch:
    fleet = Fleet(make_runs("training.epochs=8", *settings), CPU)
    return list(train(fleet, splits))[-1]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_large_weight_draws_the_passes_together(loss: str, small_splits: Splits) -> None:
    """What the term measures falls when its weight rises; its record is weight times measure."""
    weights = (0.01, 0.3)
    measures = [
        last(small_splits, f"dropout.loss={loss}", f"dropout.loss_weight={w}")
        .records[0]
        .dropout_loss
        / w
        for w in weights
    ]
    assert 0 < measures[1] < 0.8 * measures[0]


def test_without_anything_added_the_record_says_zero(small_splits: Splits) -> None:
    record = last(small_splits).records[0]
    assert (record.dropout_loss, record.sparsity, record.pruned_test_accuracy) == (0.0, None, None)


LEARNED = ["concrete", "variational_a", "variational_a2", "variational_b", "sparse_variational"]


@pytest.mark.parametrize("variant", LEARNED)
def test_what_is_learned_moves_and_resumes_to_the_same_bits(
    variant: str, small_splits: Splits
) -> None:
    settings = [*with_variant(variant), "training.optimizer=adam", "training.learning_rate=0.01"]
    runs = make_sweep("training.epochs=3", *settings, "dropout.p=0.1,0.3", seeds=(0, 1))
    undisturbed, resumed = resumed_after_an_epoch(runs, small_splits)
    assert_same_bits(undisturbed, resumed)
    fresh = Fleet(runs, CPU)
    for before, after in zip(fresh.model.learned, undisturbed.model.learned, strict=True):
        assert all(not torch.equal(before[run], after[run]) for run in range(4))
    records = list(train(fresh, small_splits))[-1].records
    assert all(record.dropout_loss != 0 for record in records.values())


def test_the_learned_p_is_recorded(small_splits: Splits) -> None:
    settings = [*with_variant("concrete"), "training.optimizer=adam", "dropout.placement=[1]"]
    fleet = Fleet(make_runs("training.epochs=2", *settings, "dropout.p=0.1"), CPU)
    recorded = [epoch.records[0].p for epoch in train(fleet, small_splits)]
    assert recorded[-1] == pytest.approx(float(fleet.model.dropouts[1].logit.detach().sigmoid()))
    assert recorded[-1] != pytest.approx(0.1, abs=1e-4)


def test_pruning_is_measured_beside_the_whole_network(small_splits: Splits) -> None:
    """Targeted dropout's second measure: what it may drop is left out for good."""
    fleet = Fleet(make_runs("training.epochs=2", *with_variant("targeted_unit")), CPU)
    record = list(train(fleet, small_splits))[-1].records[0]
    assert record.sparsity == 0.5
    with torch.no_grad():
        norms = [weight[0].norm(dim=0) for weight in fleet.model.weights[:2]]
        for place in (1, 2):
            cut = norms[place - 1].argsort()[: len(norms[place - 1]) // 2]
            fleet.model.weights[place][0, cut] = 0
        fleet.model.eval()
        logits = fleet.model(small_splits.pixels(small_splits.test.images)[None])[0]
    accuracy = float((logits.argmax(1) == small_splits.test.labels).double().mean())
    assert record.pruned_test_accuracy == accuracy
    assert not fleet.model.dropouts[1].pruned  # the next evaluation is of the whole network


@pytest.mark.parametrize("variant", ["targeted_weight", "sparse_variational"])
def test_a_place_without_dropout_is_not_pruned_in_any_company(
    variant: str, small_splits: Splits, float64: None
) -> None:
    """One run drops from the input and one does not: alone, it has no layer there at all."""
    settings = [f"dropout.variant={variant}", "training.optimizer=adam", "dropout.p=0.3"]
    settings += ["dropout.share=0.5"] if variant == "targeted_weight" else []
    runs = make_sweep("training.epochs=2", *settings, "dropout.input_p=0,0.2")
    together = list(train(Fleet(runs, CPU), small_splits))[-1].records
    for index, run in enumerate(runs):
        alone = list(train(Fleet([run], CPU), small_splits))[-1].records[0]
        assert together[index].test_errors == alone.test_errors
        assert together[index].pruned_test_accuracy == alone.pruned_test_accuracy
        assert together[index].sparsity == alone.sparsity


def test_what_a_schedule_has_released_is_pruned_still(small_splits: Splits) -> None:
    settings = [*with_variant("targeted_weight"), "dropout.stop_last=1"]
    record = list(train(Fleet(make_runs("training.epochs=2", *settings), CPU), small_splits))[-1]
    assert record.records[0].p == 0
    assert "0.5" in str(record.records[0].sparsity)


def test_sparse_variational_dropout_prunes_most_of_an_easy_net(small_splits: Splits) -> None:
    settings = [*with_variant("sparse_variational"), "training.optimizer=adam", "dropout.p=0.1"]
    fleet = Fleet(make_runs("training.epochs=40", "evaluation.every=40", *settings), CPU)
    record = list(train(fleet, small_splits))[-1].records[0]
    import json

    first, *_ = json.loads(str(record.sparsity))
    assert first > 0.5
    assert record.test_accuracy > 0.6
