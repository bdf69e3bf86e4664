"""Data sets as tensors: one uint8 tensor of images, one of labels, nothing in between."""

from collections.abc import Callable
from pathlib import Path

from dropout_lab.data.mnist_5k import load_mnist_5k
from dropout_lab.data.mnist_family import FOLDERS, expanded, fetch, load_family, present
from dropout_lab.data.splits import CLASSES, Examples, Splits, split, stratified

__all__ = [
    "CLASSES",
    "FOLDERS",
    "Examples",
    "Splits",
    "expanded",
    "fetch",
    "load",
    "load_family",
    "present",
    "split",
    "stratified",
]


def load(
    name: str,
    data_dir: Path,
    say: Callable[[str], None],
    *,
    train_size: int | None,
    validation_size: int,
    label_noise: float,
    normalize: str,
    split_seed: int,
    subset: str | None = None,
    pca: int | None = None,
) -> Splits:
    """Return the parts of a data set, fetching it first if it is absent.

    Args:
        name: ``mnist_5k``, ``mnist``, ``fashion_mnist`` or ``kmnist``.
        data_dir: Where torchvision's layout begins, perhaps below ``~``; ``mnist_5k`` needs none.
        say: Takes a line that tells the user of a download.
        train_size: See :func:`dropout_lab.data.split`, as for the rest.
        validation_size: Examples held out.
        label_noise: Fraction of labels moved.
        normalize: ``unit`` or ``standard``.
        split_seed: Seed of the split.
        subset: ``stratified``, the default, or ``first``.
        pca: Number of principal components in place of pixels.

    Raises:
        DataError: The data set is absent and cannot be fetched, or is damaged.
    """
    if name == "mnist_5k":
        training, test = load_mnist_5k()
    else:
        if not present(name, data_dir):
            fetch(name, data_dir, say)
        training, test = load_family(name, data_dir)
    return split(
        training,
        test,
        validation_size=validation_size,
        train_size=train_size,
        label_noise=label_noise,
        normalize=normalize,
        split_seed=split_seed,
        subset=subset,
        pca=pca,
    )
