"""What a peer is asked to do, what it reads it from, and what it answers."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

VALIDATION, MEASURED = 5_000, 10_000  # examples held out; training examples measured
RATE, MOMENTUM = 0.05, 0.9
CHUNK = 1_000  # examples at once in a measurement


@dataclass(frozen=True)
class Task:
    """One run: a network with dropout after each hidden layer, trained and measured.

    Args:
        data_dir: Folder of torchvision's MNIST.
        p: Probability of dropping a unit.
        seed: Of the run.
        hidden: Units of each hidden layer.
        batch_size: Examples in a batch.
        epochs: Passes over the 55,000 training examples.
        slot: Which of the processes at work this one is, from 0.
    """

    data_dir: str
    p: float
    seed: int
    hidden: Sequence[int]
    batch_size: int
    epochs: int
    slot: int


@dataclass
class Answer:
    """The time of each epoch, measurements included, and the last accuracy on the test part."""

    seconds: list[float] = field(default_factory=list)
    test_accuracy: float = 0.0

    def epoch(self, began: float) -> None:
        """Note an epoch that began then and ends now."""
        self.seconds.append(time.perf_counter() - began)


def run(peer: Callable[[Task, Answer], None]) -> None:
    """Let a peer do the task of the command line; print its answer as the last line."""
    answer = Answer()
    peer(Task(**json.loads(sys.argv[1])), answer)
    print(json.dumps({"seconds": answer.seconds, "test_accuracy": answer.test_accuracy}))
