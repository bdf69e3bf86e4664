"""Check features and labels of the user's arrays; collect the mistakes."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dropout_lab.datasets.own import Problems, Reading

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_CLASSES = 1_000


def check_features(name: str, x: Array, reading: "Reading", problems: "Problems") -> Array:
    """Return features as uint8 (pixels) or float32."""
    if x.ndim < 2 or not x.size:
        problems.add(f"{name} has shape {x.shape}; expected (examples, features).")
        return x
    if x.dtype.kind not in "buif":
        problems.add(f"{name} has entries of type {x.dtype}; expected numbers.")
        return x
    if x.dtype == np.uint8:
        if x.max() <= 1 and name != "x_test":
            problems.add(
                f"{name} has only 0 and 1, but entries of type uint8 are pixels from 0 to 255. "
                f"Save {name}.astype(bool), or 255 * {name} to need less memory."
            )
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = x.astype(np.float32, copy=False)
    missing, infinite = np.isnan(x), np.isinf(numbers)
    for where, what, advice in (
        (infinite, "is infinite or beyond the range of float32", ""),
        (missing & (reading.missing is None), "is missing",
         " Add it, or write dataset.missing: mean, which uses the mean of the training set."),
    ):  # fmt: skip
        if where.any():
            place = np.argwhere(where)[0]
            at = "".join(f"[{index}]" for index in place)
            problems.add(f"{name}{at} {what} ({where.sum():,} in all).{advice}")
    empty = missing.all(axis=0)
    if reading.missing is not None and empty.any():
        problems.add(f"feature {np.argwhere(empty)[0].tolist()} of {name} is always missing.")
    return numbers


def check_labels(name: str, y: Array, problems: "Problems") -> Array:
    """Return labels as int64 or text."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        hint = f" For one-hot labels, save {name}.argmax(axis=1)." if y.ndim == 2 else ""
        problems.add(f"{name} has shape {y.shape}; expected (examples,).{hint}")
        return y
    if y.dtype.kind == "S":
        y = np.char.decode(y, "latin-1")
    if y.dtype.kind == "U":
        if (blank := np.flatnonzero(np.char.strip(y) == "")).size:
            problems.add(f"{name}[{blank[0]}] is empty; give each example a label.")
        return y
    if y.dtype.kind == "f":
        wrong = np.flatnonzero(~is_whole(y))
        if wrong.size:
            problems.add(
                f"{name}[{wrong[0]}] is {y[wrong[0]]}, but labels are whole numbers or text: "
                "dropout-lab trains classifiers. Bin a continuous target into classes first."
            )
            return y
    elif y.dtype.kind not in "bui":
        problems.add(f"{name} has entries of type {y.dtype}; expected whole numbers or text.")
        return y
    if y.dtype.kind == "u" and y.size and y.max() > np.iinfo(np.int64).max:
        problems.add(f"{name} has the label {y.max()}; labels are below 2**63.")
        return y
    return y.astype(np.int64)


def is_whole(numbers: Array) -> Array:
    """Return which numbers are whole and fit into int64."""
    whole: Array = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**63)  # not inf, nan
    return whole


def check_classes(classes: Array, labels: list[Array], problems: "Problems") -> None:
    """Check the number of classes, and that the test set has no others."""
    if len(classes) < 2:
        problems.add(f"all labels are {classes[0]!s}; at least two classes are needed.")
    if len(classes) > LARGEST_CLASSES:
        problems.add(
            f"there are {len(classes):,} different labels; at most {LARGEST_CLASSES:,} classes. "
            "Is the target a number to predict, or a name of each row?"
        )
    if len(labels) > 1:
        unknown = [str(each) for each in np.setdiff1d(labels[1], classes)]
        if {each.dtype.kind for each in labels} == {"U", "i"}:
            problems.add("y_train and y_test differ in type: one has text, the other numbers.")
        elif unknown:
            problems.add(f"y_test has labels that y_train lacks: {', '.join(unknown[:10])}.")


def check_test_size(
    reading: "Reading", labels: list[Array], classes: int, problems: "Problems"
) -> int:
    """Return the number of test examples."""
    if len(labels) > 1:
        if reading.test_size is not None:
            problems.add(
                f"the file has a test set of {len(labels[1]):,}: remove dataset.test_size."
            )
        return len(labels[1])
    examples = len(labels[0])
    most = examples - classes
    if most < classes:
        problems.add(
            f"{examples:,} examples in {classes} classes are too few: each class needs at least "
            "one for training and one for the test set."
        )
    elif reading.test_size is None:
        problems.add(
            f"there is no test set: write dataset.test_size, e.g. {max(classes, examples // 5)}; "
            "so many examples are then drawn class by class."
        )
    elif not classes <= reading.test_size <= most:
        problems.add(
            f"dataset.test_size is {reading.test_size}; with {examples:,} examples in {classes} "
            f"classes, give {classes} to {most}."
        )
    return reading.test_size or 0
