"""Split a data set into training, validation and test set, class by class."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dropout_lab.data.components import principal_components
from dropout_lab.data.scaling import fit_scaling
from dropout_lab.rng import Purpose, stream

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Examples:
    """Features and labels.

    Shape:
        ``images``: pixels ``(examples, pixels)``, uint8; or other features, such as the principal
        components, ``(examples, features)``, float32. ``labels``: ``(examples,)``, int64 in
        [0, classes).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> "Examples":
        rows = self.images.index_select(0, indices.flatten())  # faster than []: it copies rows
        return Examples(rows.unflatten(0, indices.shape), self.labels[indices])

    def to(self, device: torch.device) -> "Examples":
        """Return the examples on another device."""
        return Examples(self.images.to(device), self.labels.to(device))


_Three = tuple[Examples, Examples, Examples]


@dataclass(frozen=True)
class Splits:
    """The splits of a data set. Pixels are normalized by ``(pixel - shift) * scale``.

    Other features, such as principal components, are normalized already.

    Args:
        train: The training set.
        validation: The validation set, which may be empty.
        test: The test set.
        shift: In pixel values.
        scale: The factor of a pixel value.
        digest: SHA-256 of the features and labels of the three sets, before they are normalized
            and before principal components replace them: those may differ in their last bits
            between machines.
        checksum: SHA-256 of the three sets as they are stored here.
        shape: That of an example, such as rows and columns of pixels.
        classes: Number of classes.
    """

    train: Examples
    validation: Examples
    test: Examples
    shift: float
    scale: float
    digest: str
    checksum: str
    shape: tuple[int, ...]
    classes: int

    def pixels(self, images: Tensor) -> Tensor:
        """Return normalized features as input of the network, in the default dtype of torch."""
        if images.is_floating_point():
            return images.to(torch.get_default_dtype())
        pixels = images.to(torch.get_default_dtype())
        if self.shift:
            pixels.sub_(self.shift)
        return pixels.mul_(self.scale)

    def to(self, device: torch.device) -> "Splits":
        """Return the splits with their examples on another device."""
        parts = (self.train.to(device), self.validation.to(device), self.test.to(device))
        return replace(self, train=parts[0], validation=parts[1], test=parts[2])

    def intact(self) -> bool:
        """Return whether the splits match their checksum, as after a copy between machines."""
        return _compute_digest(self.train, self.validation, self.test) == self.checksum


def split(
    training: Examples,
    test: Examples,
    *,
    shape: tuple[int, ...],
    classes: int,
    validation_size: int,
    train_size: int | None,
    label_noise: float,
    normalize: str,
    split_seed: int,
    subset: str | None = None,
    pca: int | None = None,
    white: float = 255,
) -> Splits:
    """Hold out validation examples, keep ``train_size`` others, change labels, and normalize.

    Only ``split_seed`` decides the draws, each from its own stream. More label noise changes more
    labels and keeps the changes of less noise. A larger ``train_size`` includes the examples of a
    smaller size, except for the rounding of the class shares.

    Args:
        training: The training set.
        test: The test set, which stays unchanged.
        shape: That of an example, such as rows and columns of pixels.
        classes: Number of classes.
        validation_size: Number of validation examples, stratified.
        train_size: Number of training examples, of those that are left; None for all.
        label_noise: Fraction of the training labels that are changed to another class.
        normalize: ``unit`` maps pixels to [0, 1]; ``standard`` to mean 0 and SD 1 over all
            pixels of the training examples. Other features: see
            :func:`~dropout_lab.data.scaling.fit_scaling`.
        split_seed: Seed of the draws.
        subset: Which examples ``train_size`` takes: ``stratified`` (default) or the ``first`` in
            the files.
        pca: Number of principal components that replace the features. See
            :func:`~dropout_lab.data.components.principal_components`.
        white: The pixel value that ``unit`` maps to 1.
    """
    labels = training.labels.numpy()
    held_out = draw_stratified(labels, validation_size, stream(Purpose.SPLIT, split_seed))
    left = np.setdiff1d(np.arange(len(labels)), held_out)
    if subset == "first":
        left = left[:train_size]
    elif train_size is not None:
        chosen = draw_stratified(labels[left], train_size, stream(Purpose.TRAIN_SUBSET, split_seed))
        left = left[chosen]
    validation, train = training[torch.from_numpy(held_out)], training[torch.from_numpy(left)]
    train = Examples(train.images, _change_labels(train.labels, classes, label_noise, split_seed))
    digest = _compute_digest(train, validation, test)
    parts = (train, validation, test)
    if train.images.is_floating_point():
        white, parts = 1.0, _map(parts, fit_scaling(train.images, "unit" if pca else normalize))
    elif pca is None:
        shift, scale = _compute_normalization(train.images, normalize, white)
        return Splits(*parts, shift, scale, digest, digest, shape, classes)
    if pca is not None:
        parts = _map(parts, principal_components(parts[0].images, pca, normalize, white))
    return Splits(*parts, 0.0, 1.0, digest, _compute_digest(*parts), shape, classes)


def draw_test_set(whole: Examples, size: int) -> tuple[Examples, Examples]:
    """Return the other examples and ``size`` test examples, always the same stratified draw."""
    chosen = draw_stratified(whole.labels.numpy(), size, stream(Purpose.SPLIT, 0, size))
    rest = np.setdiff1d(np.arange(len(whole)), chosen)
    return whole[torch.from_numpy(rest)], whole[torch.from_numpy(chosen)]


def draw_stratified(labels: Indices, size: int, generator: np.random.Generator) -> Indices:
    """Draw ``size`` indices with each class in its share; return them in ascending order.

    Shares are rounded down, except those with the largest remainders, lower classes first.

    Raises:
        ValueError: There are fewer than ``size`` labels.
    """
    if size > len(labels):
        raise ValueError(f"{size} examples were asked for and there are {len(labels)}.")
    counts = np.bincount(labels, minlength=1)
    exact = counts * (size / max(len(labels), 1))
    shares = np.floor(exact).astype(np.int64)
    remainders = np.argsort(shares - exact, kind="stable")
    shares[remainders[: size - shares.sum()]] += 1
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in enumerate(shares)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _map(parts: _Three, change: Callable[[Tensor], Tensor]) -> _Three:
    train, validation, test = (Examples(change(part.images), part.labels) for part in parts)
    return train, validation, test


def _change_labels(labels: Tensor, classes: int, fraction: float, split_seed: int) -> Tensor:
    generator = stream(Purpose.LABEL_NOISE, split_seed)
    order = generator.permutation(len(labels))
    offsets = generator.integers(1, classes, size=len(labels))
    moved = torch.from_numpy(order[: round(fraction * len(labels))])
    noisy = labels.clone()
    noisy[moved] = (labels[moved] + torch.from_numpy(offsets)[moved]) % classes
    return noisy


def _compute_normalization(images: Tensor, normalize: str, white: float) -> tuple[float, float]:
    if normalize == "unit":
        return 0.0, 1 / white
    # In pieces, since bincount makes eight bytes of each pixel.
    counts = sum(np.bincount(piece.numpy().ravel(), minlength=256) for piece in images.split(4096))
    pixels = np.arange(256)
    mean = np.average(pixels, weights=counts)
    variance = np.average((pixels - mean) ** 2, weights=counts)
    return float(mean), float(1 / np.sqrt(variance)) if variance > 0 else 1 / white


def _compute_digest(*parts: Examples) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.images.numpy().tobytes())
        digest.update(part.labels.numpy().tobytes())
    return digest.hexdigest()
