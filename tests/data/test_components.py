"""Principal components: by hand, against the SVD, of the training images alone, trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dropout_lab import data
from dropout_lab.analysis.tables import read_study
from dropout_lab.data import Splits
from dropout_lab.data.components import principal_components
from dropout_lab.report.provenance import overview
from dropout_lab.training import Fleet, train
from tests.conftest import assert_same_bits, make_runs, make_sweep, resumed_after_an_epoch
from tests.study.test_run import go, study

CPU = torch.device("cpu")
# Around (100, 100): 50 or -50 along (0.8, 0.6), 10 or -10 along (-0.6, 0.8); a third pixel is 7.
FOUR = torch.tensor([[134, 138, 7], [146, 122, 7], [54, 78, 7], [66, 62, 7]], dtype=torch.uint8)
ALONG = [[50.0, 10.0], [50.0, -10.0], [-50.0, 10.0], [-50.0, -10.0]]


def loaded(**changes: object) -> Splits:
    settings = {"train_size": 500, "validation_size": 200, "normalize": "unit", **changes}
    return data.load(
        "mnist_5k", Path(), lambda line: None, label_noise=0.0, split_seed=0, **settings
    )


@pytest.fixture(scope="module")
def seven() -> Splits:
    """The small splits in their first seven components."""
    return loaded(pca=7)


@pytest.mark.parametrize("normalize", ["unit", "standard"])
def test_four_images_by_hand(normalize: str) -> None:
    components = principal_components(FOUR, 3, normalize)
    scale = [1 / 255, 1 / 255] if normalize == "unit" else [1 / 50, 1 / 10]
    expected = torch.tensor(ALONG) * torch.tensor(scale)
    found = components(FOUR)
    torch.testing.assert_close(found[:, :2], expected, rtol=1e-6, atol=1e-7)
    assert found[:, 2].tolist() == [0.0] * 4  # the training images do not vary along it
    other = components(torch.tensor([[100, 100, 9]], dtype=torch.uint8))
    torch.testing.assert_close(other, torch.zeros(1, 3), atol=1e-7, rtol=0)


def test_images_of_one_grey_have_components_of_0() -> None:
    flat = torch.full((20, 784), 7, dtype=torch.uint8)
    assert not principal_components(flat, 2, "standard")(flat).any()


def test_they_are_those_of_the_svd_of_the_centred_images(seven: Splits) -> None:
    raw = loaded()
    pixels = raw.train.images.numpy() / 255
    left, values, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(
        np.abs(seven.train.images.numpy()), np.abs(left[:, :7] * values[:7]), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(seven.train.labels, raw.train.labels)
    assert seven.test.images.shape == (1000, 7)
    assert seven.validation.images.shape == (200, 7)


def test_all_components_keep_all_distances_and_standard_has_variance_1() -> None:
    training, _ = data.load_packaged("mnist_5k")
    images = training.images[::4]
    turned = principal_components(images, 784, "unit")(images).double()
    pixels = images.double() / 255
    torch.testing.assert_close(
        torch.cdist(turned, turned[:9]), torch.cdist(pixels, pixels[:9]), atol=1e-4, rtol=1e-5
    )
    white = principal_components(images, 50, "standard")(images).double()
    torch.testing.assert_close(white.T.cov(correction=0), torch.eye(50).double(), atol=1e-4, rtol=0)


def test_they_come_from_the_examples_that_are_trained_on_alone() -> None:
    raw, few = loaded(train_size=100), loaded(train_size=100, pca=7)
    own = principal_components(raw.train.images, 7, "unit")
    assert torch.equal(few.train.images, own(raw.train.images))
    assert torch.equal(few.test.images, own(raw.test.images))
    assert torch.equal(few.validation.images, own(raw.validation.images))


def test_the_digest_is_of_the_images_and_damage_is_seen(seven: Splits) -> None:
    raw = loaded()
    assert seven.digest == raw.digest == raw.checksum
    assert seven.checksum not in (raw.digest, loaded(pca=6).checksum)
    assert seven.intact()
    damaged = seven.train.images.clone()
    damaged[3, 2] += 1e-6
    assert not replace(seven, train=replace(seven.train, images=damaged)).intact()


def test_components_of_a_fleet_are_those_alone(seven: Splits, float64: None) -> None:
    settings = ("dataset.pca=7", "training.epochs=2", "dropout.placement=all", "dropout.p=0.2,0.5")
    runs = make_sweep(*settings, "regularization.input_noise=0,0.5", seeds=(0, 1))
    together = Fleet(runs, CPU)
    assert together.model.weights[0].shape == (8, 7, 16)
    list(train(together, seven))
    for index in (0, 5):
        alone = Fleet([runs[index]], CPU)
        list(train(alone, seven))
        for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-9, atol=1e-11)


def test_resuming_gives_the_same_bits_and_the_data_stay_as_they_are(seven: Splits) -> None:
    runs = make_runs("dataset.pca=7", "training.epochs=2", "regularization.input_noise=0.5")
    assert_same_bits(*resumed_after_an_epoch(runs, seven))
    assert seven.intact()


def test_a_network_of_components_is_measured_in_every_way(tmp_path: Path) -> None:
    settings = (
        "dataset.pca=5", "training.epochs=1", "dropout.placement=all",
        "evaluation.inference=[monte_carlo,ensemble]", "evaluation.samples=2",
        "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
        "evaluation.at_end=[histograms,reliability,predictions]",
    )  # fmt: skip
    go(study(tmp_path / "s", *settings, p="0.5", seeds="1", save_models=True))
    runs = pd.read_csv(tmp_path / "s" / "runs.csv")
    assert set(runs["status"]) == {"completed"}
    weights = torch.load(tmp_path / "s" / "runs" / runs["run_id"][0] / "weights.pt")
    assert weights["0.weight"].shape == (16, 5)
    assert overview(read_study(tmp_path / "s"))["Network"] == "5-16-12-10"
