"""Data sets without a download: digits of scikit-learn, two moons, spirals."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from dropout_lab import data
from dropout_lab.data import Splits
from dropout_lab.data.generated import GENERATORS, SPIRAL_SD
from dropout_lab.datasets import DATASETS
from dropout_lab.errors import DataError

NOWHERE = Path("/proc/none")
# A recording: results of earlier versions were trained on these points.
RECORDED = {"two_moons": "5d879d07a1d6", "spirals": "8f628c5825ad"}


def loaded(name: str, normalize: str = "unit", **changes: object) -> Splits:
    settings = {"validation_size": 0, "train_size": None, "label_noise": 0.0, **changes}
    return data.load(name, NOWHERE, print, normalize=normalize, split_seed=0, **settings)


def test_digits_are_those_of_scikit_learn() -> None:
    """Against scikit-learn's own reader: the same images, none twice, and 500 by class."""
    from sklearn.datasets import load_digits

    training, test = data.load_packaged("digits")
    images, labels = load_digits(return_X_y=True)
    theirs = sorted(bytes(row) for row in np.column_stack([images, labels]).astype(np.uint8))
    ours = torch.cat([torch.cat([p.images, p.labels[:, None].byte()], 1) for p in (training, test)])
    assert sorted(bytes(row) for row in ours.numpy()) == theirs
    assert (len(training), len(test)) == (1_297, 500)
    shares = test.labels.bincount() / torch.from_numpy(np.bincount(labels))
    assert (shares - 500 / 1_797).abs().max() < 1 / 170  # a class has 174 to 183 images
    again = data.load_packaged("digits")[1]
    assert torch.equal(again.images, test.images)


def test_the_white_of_digits_is_16() -> None:
    parts = loaded("digits")
    assert parts.train.images.max() == 16
    x = parts.pixels(parts.train.images)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    assert torch.equal(x, parts.train.images / 16)
    standard = loaded("digits", "standard")
    x = standard.pixels(standard.train.images).double()
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-6)


def test_components_of_digits_have_the_variances_of_pixels_from_0_to_1() -> None:
    parts = loaded("digits", pca=64)
    pixels = parts.pixels(loaded("digits").train.images) / 16
    total = pixels.double().var(dim=0, correction=0).sum()
    components = parts.train.images.double().var(dim=0, correction=0)
    assert float(components.sum()) == pytest.approx(float(total), rel=1e-5)


def test_a_file_with_a_pixel_above_white_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "digits", replace(DATASETS["digits"], white=15))
    with pytest.raises(DataError, match=r"not the table of 1,797 images that scikit-learn ships"):
        data.load_packaged("digits")


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(DATASETS["digits"], path="no_such_package/digits.csv")
    monkeypatch.setitem(DATASETS, "digits", absent)
    with pytest.raises(DataError, match=r"pip install no_such_package"):
        data.load_packaged("digits")


def test_scikit_learn_is_not_imported_for_its_file() -> None:
    """Its import takes seconds."""
    code = (
        "import sys; from dropout_lab.data import load_packaged; load_packaged('digits');"
        "sys.exit('sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_generated_sets_are_always_the_same_and_their_parts_differ() -> None:
    for name in GENERATORS:
        (training, test), (again, _) = data.load_examples(name, NOWHERE), data.load_examples(
            name, NOWHERE
        )  # fmt: skip
        dataset = DATASETS[name]
        assert training.images.dtype == torch.float32
        assert training.images.shape == (dataset.train, 2)
        assert test.images.shape == (dataset.test, 2)
        assert torch.equal(training.images, again.images)
        assert not torch.equal(training.images[:9], test.images[:9])
        for part in (training, test):
            counts = part.labels.bincount(minlength=dataset.classes)
            assert int(counts.max() - counts.min()) <= 1
        rounded = training.images.double().mul(1e4)
        assert (rounded - rounded.round()).abs().max() < 0.01  # float32 has 7 digits
        whole = rounded.round().to(torch.int32).numpy().astype("<i4")
        assert sha256(whole.tobytes()).hexdigest()[:12] == RECORDED[name]


def test_two_moons_without_noise_are_half_circles() -> None:
    """By hand: z = 0 leaves circles of radius 1 around (0, 0) and (1, 0.5)."""
    labels = np.arange(1_000) % 2
    points = GENERATORS["two_moons"](labels, _NoNoise())
    upper, lower = points[labels == 0], points[labels == 1] - [1.0, 0.5]
    for half, sign in ((upper, 1), (lower, -1)):
        np.testing.assert_allclose(np.hypot(*half.T), 1)
        assert (sign * half[:, 1] >= 0).all()
        assert np.ptp(half[:, 0]) > 1.9


def test_the_noise_of_two_moons_has_the_sd_0_3() -> None:
    """Statistical: the far ends of the moons see the noise alone; a bound of 5 standard errors."""
    labels = np.arange(40_000) % 2
    noisy = GENERATORS["two_moons"](labels, np.random.default_rng(0))
    clean = GENERATORS["two_moons"](labels, _NoNoise(np.random.default_rng(0)))
    noise = (noisy - clean).ravel()
    assert abs(noise.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * len(noise))
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(len(noise))


def test_spirals_turn_by_4_radians_and_their_angle_is_noisy() -> None:
    """By hand: the angle from the y axis, less 4 (r + c), is the noise."""
    labels = np.arange(30_000) % 3
    points = GENERATORS["spirals"](labels, np.random.default_rng(0))
    radii = np.hypot(*points.T)
    assert 0 <= radii.min() < 0.001 < 0.999 < radii.max() <= 1
    angles = np.arctan2(points[:, 0], points[:, 1]) - 4 * (radii + labels)
    noise = (angles + np.pi) % (2 * np.pi) - np.pi
    assert abs(noise.std() - SPIRAL_SD) < 5 * SPIRAL_SD / np.sqrt(2 * len(noise))
    assert abs(noise.mean()) < 5 * SPIRAL_SD / np.sqrt(len(noise))


def test_the_features_are_scaled_one_by_one_as_those_of_a_table() -> None:
    for name in GENERATORS:
        x = loaded(name).train.images
        assert (x.amin(dim=0) == 0).all()
        torch.testing.assert_close(x.amax(dim=0), torch.ones(2))
        x = loaded(name, "standard").train.images.double()
        torch.testing.assert_close(x.mean(dim=0), torch.zeros(2).double(), atol=1e-6, rtol=0)


class _NoNoise:
    """A generator whose normal draws are 0."""

    def __init__(self, generator: np.random.Generator | None = None) -> None:
        self.generator = generator or np.random.default_rng(1)

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return self.generator.uniform(low, high, size)

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)
