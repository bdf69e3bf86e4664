"""Norm, direction variance and direction error of gradients: by hand and by the long way."""

import itertools

import pytest
import torch
from torch import Tensor

from dropout_lab.data import Splits
from dropout_lab.model import MLP, fleet_p
from dropout_lab.rng import Purpose
from dropout_lab.training import gradients as gradients_module
from dropout_lab.training.gradients import compare_gradients, full_gradient
from tests.conftest import make_runs

CPU = torch.device("cpu")


def network(*settings: str, seeds: tuple[int, ...] = (0, 1)) -> MLP:
    runs = [run.settings for run in make_runs(*settings, seeds=seeds)]
    return MLP(runs[0], fleet_p(runs), seeds, CPU)


def flat(model: MLP, run: int, x: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of one run's mean cross-entropy as one vector."""
    loss = torch.nn.functional.cross_entropy(model(x)[run], labels)
    parts = torch.autograd.grad(loss, [*model.weights, *model.biases])
    return torch.cat([part[run].flatten() for part in parts])


def some_batches(splits: Splits, count: int) -> list[tuple[Tensor, Tensor]]:
    indices = torch.arange(count * 32).view(count, 1, 32).expand(-1, 2, -1)
    part = splits.train
    return [(splits.pixels(part.images[i]), part.labels[i]) for i in indices]


def test_every_pair_of_batches_the_long_way(small_splits: Splits, float64: None) -> None:
    model = network("dropout.p=0.5", "dropout.placement=all")
    whole = full_gradient(model.eval(), small_splits.train, small_splits)
    batches = some_batches(small_splits, 5)
    model.train()
    with model.noise_for(Purpose.DIAGNOSTICS, 1):
        measured = compare_gradients(model, batches, whole)
    pixels = small_splits.pixels(small_splits.train.images).unsqueeze(0)
    for run in (0, 1):
        with model.noise_for(Purpose.DIAGNOSTICS, 1):  # the same masks again
            gradients = [flat(model, run, x, labels[run]) for x, labels in batches]
        reference = flat(model.eval(), run, pixels, small_splits.train.labels)
        model.train()
        cosine = torch.nn.functional.cosine_similarity
        pairs = [(1 - cosine(a, b, dim=0)) / 2 for a, b in itertools.combinations(gradients, 2)]
        errors = [(1 - cosine(g, reference, dim=0)) / 2 for g in gradients]
        norms = [g.norm() for g in gradients]
        expected = {
            "gradient_norm": torch.stack(norms).mean(),
            "gradient_direction_variance": torch.stack(pairs).mean(),
            "gradient_direction_error": torch.stack(errors).mean(),
        }
        for name, value in expected.items():
            assert measured[name][run].item() == pytest.approx(value.item(), rel=1e-9), name


def test_the_same_batch_without_noise_has_one_direction(
    small_splits: Splits, float64: None
) -> None:
    """Batches that are the whole: no variance, no error."""
    model = network("dropout.variant=none")
    part = small_splits.train
    batch = (small_splits.pixels(part.images).expand(2, -1, -1), part.labels.expand(2, -1))
    whole = full_gradient(model.eval(), part, small_splits)
    measured = compare_gradients(model.train(), [batch, batch, batch], whole)
    for name in ("gradient_direction_variance", "gradient_direction_error"):
        assert measured[name].abs().max() < 1e-12
    length = sum(part.square().sum(dim=(1, 2)) for part in whole)
    torch.testing.assert_close(measured["gradient_norm"], length.sqrt())


def test_opposite_and_orthogonal_directions_by_hand() -> None:
    """Gradients that are given: cosines 0, -1 and 0 make a variance of (1/2 + 1 + 1/2) / 3."""

    class Given:
        runs = 1
        directions = iter([(1.0, 0.0), (0.0, 2.0), (-3.0, 0.0)])

        def __init__(self) -> None:
            self.weights = [torch.zeros(1, 2, 1, requires_grad=True)]
            self.biases = [torch.zeros(1, 1, 1, requires_grad=True)]

        def __call__(self, x: Tensor) -> Tensor:
            slope = torch.tensor(next(self.directions)).view(1, 2, 1)
            self.z = (self.weights[0] * slope).sum() + 0 * self.biases[0].sum()
            # Two classes: d(cross-entropy)/dz of logits (-2z, 0), label 0, is 2 (1 - p_0) = 1 at 0.
            return torch.stack([-2 * self.z, torch.zeros(())]).view(1, 1, 2)

    batches = [(torch.zeros(1, 1, 1), torch.zeros(1, 1, dtype=torch.int64))] * 3
    whole = [torch.tensor([1.0, 0.0]).view(1, 2, 1), torch.zeros(1, 1, 1)]
    measured = compare_gradients(Given(), batches, whole)
    assert measured["gradient_norm"].item() == pytest.approx(2)
    assert measured["gradient_direction_variance"].item() == pytest.approx(2 / 3)
    assert measured["gradient_direction_error"].item() == pytest.approx((0 + 0.5 + 1) / 3)


def test_the_whole_is_the_same_in_chunks_of_any_size(
    small_splits: Splits, float64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 examples at once, and as 150, 150, 150 and 50."""
    model = network().eval()
    whole = full_gradient(model, small_splits.train, small_splits)
    monkeypatch.setattr(gradients_module, "CHUNK", 150)
    parts = full_gradient(model, small_splits.train, small_splits)
    torch.testing.assert_close(list(parts), list(whole), rtol=1e-10, atol=1e-14)
