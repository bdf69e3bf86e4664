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
        paper: The paper that states the claim first, or best.
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
            "Kept units are divided by 1 - p in training, so that the mean of every unit is the "
            "same with dropout on and off."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.6,),
        seconds=(4.1, 4.8),
    ),
    "randomness": Lesson(
        claim=(
            "The mask of a unit has the entropy H(p), highest at p = 0.5, where a batch sees the "
            "most sub-networks; the number of dropped units is binomial."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 7.3; entropy: Shannon 1948",
        p=(0.1, 0.5, 0.9),
        most=6,
        seconds=(4.4, 4.4),
    ),
    "gradients": Lesson(
        claim=(
            "The gradient of a batch is the mean of the gradients of its examples, each with its "
            "own mask; weights of inputs dropped in every example get exactly 0."
        ),
        paper="Srivastava et al. 2014, JMLR 15, section 5.1",
        p=(0.9,),
        seconds=(5.1, 4.9),
    ),
    "masks": Lesson(
        claim=(
            "Units dropped for every example get no gradient: plain SGD leaves their weights where "
            "they are; momentum, weight decay and Adam do not."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 5.1",
        p=(0.5,),
        seconds=(5.1, 4.8),
    ),
    "derivative": Lesson(
        claim=(
            "dL/dW1 by the matrix formula, with the mask over 1 - p in it, by autograd and by "
            "finite differences with the mask held fixed are equal."
        ),
        paper="Rumelhart, Hinton & Williams 1986; Srivastava et al. 2014, JMLR 15, section 5.1",
        p=(0.5,),
        highest=0.9,
        seconds=(5.1, 5.9),
    ),
    "inverted": Lesson(
        claim=(
            "Inverted dropout is one layer by anybody's hand; and it is standard dropout with the "
            "weights behind it times 1 - p and their learning rate times (1 - p)^2."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.4,),
        seconds=(5.9, 5.8),
    ),
    "units-and-weights": Lesson(
        claim=(
            "Dropout takes whole units, DropConnect single weights: more sub-networks and the same "
            "noise of each output, but noise that the outputs do not share."
        ),
        paper="Wan, Zeiler, Zhang, LeCun, Fergus 2013, DropConnect, ICML",
        p=(0.5,),
        seconds=(4.6, 5.4),
    ),
    "from-scratch": Lesson(
        claim=(
            "A dropout layer written from scratch reaches the macro F1 of nn.Dropout, if it scales "
            "and draws a mask for each example; what is often published does neither."
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
            "p is the chance of dropping in some texts and programs and that of keeping in others; "
            "mixed up, they are right at 0.5 and wrong by (1 - p) / p elsewhere."
        ),
        paper="Srivastava et al. 2014, JMLR 15 (p keeps); Hinton et al. 2012 (dropping)",
        p=(0.2,),
        seconds=(4.3, 5.7),
    ),
    "bugs": Lesson(
        claim=(
            "Dropout that is wrong still trains, and the accuracy may hide it; each of eight "
            "mistakes breaks a check that dropout-lab verify checks."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 4 and 10",
        p=(0.7,),
        lowest=0.5,
        highest=0.8,
        images=True,
        seconds=(7.6, 8.1),
    ),
    "co-adaptation": Lesson(
        claim=(
            "A network trained with dropout relies less on any of its units: it loses less when "
            "units are removed."
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
            "Evaluation by weight scaling is the geometric mean of all sub-networks, exactly "
            "behind a softmax layer, roughly elsewhere; Monte Carlo comes to the arithmetic mean "
            "with 1 / sqrt(T)."
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
            "Dropout on a linear model equals an L2 penalty scaled by the data; on a logistic one "
            "approximately, on a deep one not."
        ),
        paper=("Srivastava et al. 2014, JMLR 15, section 9.1; Wager, Wang & Liang 2013, NIPS 26"),
        p=(0.5,),
        lowest=0.05,
        highest=0.9,
        seconds=(8.1, 8.1),
    ),
    "overfitting": Lesson(
        claim=(
            "Dropout makes the gap between training and test loss smaller; so do more images, and "
            "neither closes it."
        ),
        paper="Srivastava et al. 2014, JMLR 15, sections 6 and 7.4",
        p=(0.5,),
        lowest=0.3,
        highest=0.6,
        images=True,
        seconds=(7.4, 57.0),
    ),
}


def default_options(name: str, *, quick: bool = False) -> LessonOptions:
    """Return the options of a lesson that is started without any."""
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
