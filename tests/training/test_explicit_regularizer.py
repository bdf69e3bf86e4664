"""The explicit regularizer by hand, against all masks, and in training; and dropout_k."""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

from dropout_lab.data import Splits
from dropout_lab.errors import ConfigError
from dropout_lab.training import Fleet, train
from dropout_lab.training.explicit_regularizer import explicit_regularizer
from dropout_lab.training.objective import Objective
from tests.conftest import assert_same_bits, make_config, make_runs, make_sweep
from tests.conftest import resumed_after_an_epoch as resumed
from tests.training.test_objective import batch

CPU = torch.device("cpu")


def test_two_classes_and_one_unit_by_hand() -> None:
    """Logits (3 h, h) at h = ln 2 / 2: probabilities 2/3 and 1/3, slopes 3 and 1.

    The variance of the slope is (9 * 2 + 1) / 3 - (7 / 3)^2 = 8/9; p = 1/3 is half of 1/2.
    """
    h = (torch.ones(1, 1, 1).double() * 2).log().div(2).requires_grad_()
    logits = torch.cat([3 * h, h], dim=-1)
    found = explicit_regularizer(logits, [h], [torch.tensor([0.5])])
    assert float(found.detach()) == pytest.approx(0.25 * float(h.detach()) ** 2 * 8 / 9)


def test_it_is_what_small_noise_adds_to_the_mean_over_all_masks(float64: None) -> None:
    """A linear map of 4 units to 3 classes, over all 16 masks: the rest is of third order.

    With weights a hundredth as large, the noise of the logits is, and so is the rest over the term.
    """
    weight, label, p = torch.randn(4, 3), torch.tensor([1]), 0.3
    h = torch.rand(1, 1, 4).requires_grad_()
    rests = []
    for scale in (0.5, 0.005):
        w = scale * weight
        term = explicit_regularizer(h @ w, [h], [torch.tensor([p / (1 - p)])]).detach()
        mean = -cross_entropy((h @ w)[0], label).detach()
        for mask in itertools.product((0.0, 1.0), repeat=4):
            chance = (1 - p) ** sum(mask) * p ** (4 - sum(mask))
            noisy = h.detach() * torch.tensor(mask) / (1 - p)
            mean = mean + chance * cross_entropy((noisy @ w)[0], label)
        rests.append(abs(float(mean / term) - 1))
    assert rests[0] < 0.3
    assert rests[1] < 0.02 * rests[0]


def test_places_and_runs_add_up_as_in_the_formula(float64: None) -> None:
    """Written out with the Jacobian of each example, for two runs with their own p."""
    settings = ["dropout.loss=explicit", "dropout.placement=[0,2]", "dropout.p=0.2,0.4"]
    fleet = Fleet(make_sweep(*settings), CPU)
    model, (x, labels) = fleet.model, batch()
    x, labels = x.expand(2, -1, -1), labels.expand(2, -1)
    objective = Objective(model, fleet.settings.dropout, 500, fleet.regularizers)
    step = objective(x, labels, 0.0)
    assert all(layer.training for layer in model.dropouts)
    for run in range(2):
        p = float(model.dropouts[0].p[run])
        w = [weight[run].detach() for weight in model.weights]
        b = [bias[run].detach() for bias in model.biases]

        def from_hidden(h: torch.Tensor, w=w, b=b) -> torch.Tensor:
            logits: torch.Tensor = h @ w[2] + b[2][0]
            return logits

        def hidden_of(x: torch.Tensor, w=w, b=b) -> torch.Tensor:
            h: torch.Tensor = ((x @ w[0] + b[0][0]).relu() @ w[1] + b[1][0]).relu()
            return h

        total = torch.zeros(())
        for example in x[run]:
            h = hidden_of(example)
            pi = from_hidden(h).softmax(dim=-1)
            hessian = pi.diag() - torch.outer(pi, pi)
            for units, function in (
                (example, lambda x: from_hidden(hidden_of(x))),
                (h, from_hidden),
            ):
                jacobian = torch.autograd.functional.jacobian(function, units)
                trace = (jacobian.T @ hessian @ jacobian).diag() @ units**2
                total = total + p / (2 * (1 - p)) * trace / len(x[run])
        torch.testing.assert_close(step.dropout_loss[run].detach(), total)
        mean = cross_entropy(from_hidden(hidden_of(x[run])), labels[run])
        torch.testing.assert_close(step.cross_entropy[run].detach(), mean)


def test_the_gradient_goes_through_the_jacobian(float64: None) -> None:
    """Against finite differences of a weight that the term alone depends on twice."""
    fleet = Fleet(make_runs("dropout.loss=explicit", "model.activation=tanh"), CPU)
    objective = Objective(fleet.model, fleet.settings.dropout, 500, fleet.regularizers)
    (x, labels), weight = batch(), fleet.model.weights[1]
    objective(x, labels, 0.0).dropout_loss.sum().backward()
    start = weight.detach().clone()
    for place in ((0, 0, 0), (0, 3, 2)):
        found = []
        for side in (1, -1):
            with torch.no_grad():
                weight.copy_(start)
                weight[place] += side * 1e-6
            found.append(float(objective(x, labels, 0.0).dropout_loss.detach()))
        slope = (found[0] - found[1]) / 2e-6
        assert slope == pytest.approx(float(weight.grad[place]), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("loss", ["explicit", "dropout_k"])
def test_a_fleet_is_its_runs_and_resumes_to_the_same_bits(
    loss: str, small_splits: Splits, float64: None
) -> None:
    settings = [f"dropout.loss={loss}", "dropout.p=0.25,0.4", "dropout.placement=all"]
    runs = make_sweep("training.epochs=2", *settings, seeds=(0, 1))
    fleet, other = resumed(runs, small_splits)
    assert_same_bits(fleet, other)
    alone = Fleet(runs[2:3], CPU)
    record = list(train(alone, small_splits))[-1].records[0]
    assert (record.dropout_loss > 0) == (loss == "explicit")
    for ours, theirs in zip(fleet.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(ours[2], theirs[0], rtol=1e-9, atol=1e-11)


def test_dropout_k_is_the_mean_over_its_masks(float64: None) -> None:
    """Of three passes, as the loss and as the gradient."""
    x, labels = batch()
    fleet = Fleet(make_runs("dropout.loss=dropout_k", "dropout.passes=3"), CPU)
    model = fleet.model
    model.open_epoch(1)
    step = Objective(model, fleet.settings.dropout, 500, fleet.regularizers)(x, labels, 0.0)
    model.open_epoch(1)
    passes = [cross_entropy(model(x)[0], labels[0]) for _ in range(3)]
    assert len({float(loss.detach()) for loss in passes}) == 3
    torch.testing.assert_close(step.total[0], sum(passes) / 3)
    assert step.dropout_loss is None
    weights = [*model.weights]
    ours = torch.autograd.grad(step.total.sum(), weights)
    theirs = torch.autograd.grad(sum(passes) / 3, weights)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_more_masks_make_less_noise(float64: None) -> None:
    """The variance of the gradient over draws of the masks, k = 1 and 4: 4 within a third."""
    x, labels = batch()
    variances = []
    for passes in (1, 4):
        fleet = Fleet(make_runs("dropout.loss=dropout_k", f"dropout.passes={passes}"), CPU)
        objective = Objective(fleet.model, fleet.settings.dropout, 500, fleet.regularizers)
        fleet.model.open_epoch(1)
        gradients = [
            torch.autograd.grad(objective(x, labels, 0.0).total.sum(), fleet.model.weights[2])[0]
            for _ in range(400)
        ]
        variances.append(float(torch.stack(gradients).var(dim=0).sum()))
    assert variances[0] / variances[1] == pytest.approx(4, rel=0.33)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["dropout.variant=dropconnect"], "independent noise of variance p / (1 - p) on units"),
        (["dropout.variant=batchwise"], "but the variant is batchwise"),
        (["dropout.variant=concrete", "dropout.p=0.1"], "but the variant is concrete"),
        (["dropout.position=before"], "dropout.position is before"),
        (["dropout.p=1"], "is infinite at p = 1"),
        (["dropout.p=0"], "p is 0 everywhere"),
        (["dropout.passes=3"], "dropout.passes"),
    ],
)
def test_what_explicit_cannot_do_is_refused(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_config("dropout.loss=explicit", *settings)
    assert words in str(refusal.value)
