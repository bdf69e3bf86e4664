"""Lessons: textbook claims about dropout, each tested by a small experiment.

Each lesson is a package with three modules. ``__init__`` is the script: a function
``lesson(options)`` that yields the parts in order. ``experiment`` computes the numbers, and
``picture`` draws the plot. ``LESSONS`` has an entry for each lesson; reading the table does not
import torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dropout_lab.lessons.parts import Part


@dataclass(frozen=True)
class Lesson:
    """Describe a lesson without running it.

    Args:
        claim: The claim that the lesson tests, in one sentence.
        paper: The paper that states the claim first, or most clearly.
        p: The default dropout rates; empty if the lesson takes no p.
        most: The largest number of p values that the lesson accepts.
        lowest: The smallest p that the lesson accepts.
        highest: The largest p that the lesson accepts.
        images: Whether the lesson trains on MNIST: on the packaged 5,000 images, or on the full
            data set.
        seconds: The running time on 2 cores with ``quick`` and without, including the start of
            Python (n = 1).
    """

    claim: str
    paper: str
    p: tuple[float, ...] = ()
    most: int = 1
    lowest: float = 0.05
    highest: float = 0.95
    images: bool = False
    seconds: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class LessonOptions:
    """Hold the options that a user gives to a lesson.

    Args:
        p: The dropout rates, within the range of the lesson; empty if the lesson takes no p.
        seed: The seed of all random draws.
        quick: Whether to use fewer draws and smaller networks, for a class.
        data_dir: The folder of full MNIST in torchvision's layout; None selects mnist_5k.
    """

    p: tuple[float, ...]
    seed: int = 0
    quick: bool = False
    data_dir: Path | None = None


LESSONS: dict[str, Lesson] = {
    "scaling": Lesson(
        claim=(
            "In training, kept units are divided by 1 - p. The mean of every unit is then the "
            "same with dropout on and off."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.6,),
        seconds=(4.1, 4.8),
    ),
    "randomness": Lesson(
        claim=(
            "The mask of a unit has the entropy H(p), which is highest at p = 0.5. There a "
            "batch sees the most sub-networks. The number of dropped units is binomial."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 7.3; entropy: Shannon 1948",
        p=(0.1, 0.5, 0.9),
        most=6,
        seconds=(4.4, 4.4),
    ),
    "gradients": Lesson(
        claim=(
            "The gradient of a batch is the mean of its examples' gradients, and each example "
            "has its own mask. Weights of inputs that every example drops get a gradient of "
            "exactly 0."
        ),
        paper="Srivastava et al. 2014, JMLR 15, section 5.1",
        p=(0.9,),
        seconds=(5.1, 4.9),
    ),
    "masks": Lesson(
        claim=(
            "Units dropped for every example get no gradient. Plain SGD then leaves their "
            "weights unchanged; momentum, weight decay and Adam still move them."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 5.1",
        p=(0.5,),
        seconds=(5.1, 4.8),
    ),
    "derivative": Lesson(
        claim=(
            "Three methods give the same dL/dW1: the matrix formula with the mask over 1 - p, "
            "autograd, and finite differences with a fixed mask."
        ),
        paper="Rumelhart, Hinton & Williams 1986; Srivastava et al. 2014, JMLR 15, section 5.1",
        p=(0.5,),
        highest=0.9,
        seconds=(5.1, 5.9),
    ),
    "inverted": Lesson(
        claim=(
            "NumPy, PyTorch and this project implement the same inverted dropout. It equals "
            "standard dropout if the weights after it are multiplied by 1 - p and their "
            "learning rate by (1 - p)^2."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.4,),
        seconds=(5.9, 5.8),
    ),
    "units-and-weights": Lesson(
        claim=(
            "Dropout removes units; DropConnect removes single weights. DropConnect has more "
            "sub-networks and the same noise in each output, but its outputs do not share the "
            "noise."
        ),
        paper="Wan, Zeiler, Zhang, LeCun, Fergus 2013, DropConnect, ICML",
        p=(0.5,),
        seconds=(4.6, 5.4),
    ),
    "from-scratch": Lesson(
        claim=(
            "A dropout layer written from scratch reaches the macro F1 of nn.Dropout if it "
            "scales and draws a mask for each example. Published layers often do neither."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.5,),
        lowest=0.4,
        highest=0.7,
        images=True,
        seconds=(10.0, 19.0),
    ),
    "conventions": Lesson(
        claim=(
            "In some texts and programs p is the probability of dropping, in others the "
            "probability of keeping. Confusing the two is harmless at 0.5 and wrong by a factor "
            "of (1 - p) / p elsewhere."
        ),
        paper="Srivastava et al. 2014, JMLR 15 (p keeps); Hinton et al. 2012 (dropping)",
        p=(0.2,),
        seconds=(4.3, 5.7),
    ),
    "bugs": Lesson(
        claim=(
            "A wrong dropout layer still trains, and the accuracy may hide the mistake. Each of "
            "nine mistakes fails a check of dropout-lab verify."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.7,),
        lowest=0.5,
        highest=0.8,
        images=True,
        seconds=(8.9, 12.3),
    ),
    "co-adaptation": Lesson(
        claim=(
            "A network trained with dropout relies less on any single unit. Removing units "
            "costs it less accuracy."
        ),
        paper="Hinton et al. 2012, arXiv:1207.0580; Srivastava et al. 2014, JMLR 15, section 7",
        p=(0.5,),
        lowest=0.3,
        highest=0.6,
        images=True,
        seconds=(6.4, 8.8),
    ),
    "ensemble": Lesson(
        claim=(
            "Weight scaling in evaluation gives the geometric mean of all sub-networks: exactly "
            "before a softmax layer, approximately elsewhere. The average of T sampled "
            "sub-networks approaches the arithmetic mean with an error proportional to 1 / "
            "sqrt(T)."
        ),
        paper="Srivastava et al. 2014, JMLR 15, section 7.5; Baldi & Sadowski 2013, NIPS",
        p=(0.5,),
        lowest=0.1,
        highest=0.8,
        images=True,
        seconds=(6.1, 7.6),
    ),
    "l2": Lesson(
        claim=(
            "On a linear model, dropout equals an L2 penalty scaled by the data. On a logistic "
            "model this holds approximately; on a deep network it does not hold."
        ),
        paper=("Srivastava et al. 2014, JMLR 15, section 9.1; Wager, Wang & Liang 2013, NIPS 26"),
        p=(0.5,),
        lowest=0.05,
        highest=0.9,
        seconds=(8.1, 8.1),
    ),
    "overfitting": Lesson(
        claim=(
            "Dropout makes the gap between training and test loss smaller. More training images "
            "do so too. Neither closes the gap."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 6 and 7.4",
        p=(0.5,),
        lowest=0.3,
        highest=0.6,
        images=True,
        seconds=(7.4, 57.0),
    ),
    "normalization": Lesson(
        claim=(
            "Dropout before a batch normalization raises the variance that it learns in training, "
            "so its statistics are wrong in evaluation. Dropout after the last normalization has "
            "no such effect."
        ),
        paper="Li, Chen, Hu, Yang 2019, CVPR, arXiv:1801.05134; Ioffe & Szegedy 2015, ICML",
        p=(0.5,),
        lowest=0.3,
        highest=0.7,
        images=True,
        seconds=(6.8, 8.6),
    ),
}


def default_options(name: str, *, quick: bool = False) -> LessonOptions:
    """Return the default options of a lesson."""
    return LessonOptions(p=LESSONS[name].p, quick=quick)


def lesson_parts(name: str, options: LessonOptions) -> "Iterator[Part]":
    """Run a lesson and yield its parts in order. Imports torch.

    All draws come from ``options.seed``; the global random state is neither read nor changed.

    Args:
        name: A key of ``LESSONS``.
        options: The options of the lesson.

    Raises:
        DataError: The data set is missing or damaged.
    """
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    lesson = cast("Callable[[LessonOptions], Iterator[Part]]", module.lesson)
    return lesson(options)
