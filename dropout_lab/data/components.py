"""Compute principal components of the training images, which can replace the pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_AT_ONCE = 4096  # images in double precision; bounds the memory
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Components:
    r"""The map from an image x to its first N principal components, ``(x - mean) @ axes``.

    The axes are eigenvectors of the training images' covariance, those of the largest eigenvalues
    first, in double precision. An axis is turned so that its largest entry is positive. Where the
    training images do not vary along it, it is 0, and so is the component.

    Args:
        mean: That of the training images, ``(pixels,)``.
        axes: ``(pixels, N)``, each of length 1 times a scale.

    Paper:
        Hotelling (1933), Analysis of a complex of statistical variables into principal components,
        J. Educ. Psychol. 24. Before a network for MNIST: Tang (2013), Deep Learning using Linear
        Support Vector Machines, arXiv:1306.0239, with N = 70.
    """

    mean: Floats
    axes: Floats

    def __call__(self, images: Tensor) -> Tensor:
        """Return the components of images ``(examples, pixels)``, float32 ``(examples, N)``."""
        pieces = [(_to_float64(piece) - self.mean) @ self.axes for piece in images.split(_AT_ONCE)]
        return torch.from_numpy(np.concatenate(pieces).astype(np.float32))


def principal_components(
    images: Tensor, count: int, normalize: str, white: float = 255
) -> Components:
    """Compute the first principal components of images.

    Args:
        images: Those that are trained on: pixels, uint8 ``(examples, pixels)``, or float32.
        count: How many components, N.
        white: The pixel value that stands for 1.
        normalize: ``unit`` takes pixels in [0, 1], and each component has the variance that they
            have along its axis; ``standard`` gives each the variance 1 (whitening).
    """
    pixels = images.shape[1]
    total, products = np.zeros(pixels), np.zeros((pixels, pixels))
    for piece in map(_to_float64, images.split(_AT_ONCE)):
        total += piece.sum(axis=0)
        products += piece.T @ piece
    # Pixels are whole numbers below 2**53, so the covariance is exact whatever the order of sums.
    covariance = (len(images) * products - np.outer(total, total)) / len(images) ** 2
    variances, vectors = np.linalg.eigh(covariance)  # the smallest first
    variances, axes = variances[::-1][:count], vectors[:, ::-1][:, :count]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(count)]
    varies = variances > variances[0] * pixels * np.finfo(np.float64).eps
    scale = np.full(count, 1 / white)
    if normalize == "standard":
        scale = 1 / np.sqrt(np.where(varies, variances, 1.0))
    return Components(total / len(images), axes * np.sign(largest) * np.where(varies, scale, 0.0))


def _to_float64(images: Tensor) -> Floats:
    return images.numpy().astype(np.float64)
