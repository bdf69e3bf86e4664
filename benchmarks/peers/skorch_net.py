"""skorch: a NeuralNetClassifier on arrays, with a validation set and a callback that measures."""

import time
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from task import CHUNK, MEASURED, MOMENTUM, RATE, VALIDATION, Answer, Task, run
from tensors import network, tensors
from torch import nn


class Measure(Callback):
    """Scores the training examples and the test part; the validation set skorch does itself."""

    def __init__(self, answer: Answer, parts: dict[str, Any]) -> None:
        self.answer, self.parts = answer, parts
        self.began = 0.0

    def on_epoch_begin(self, net: NeuralNetClassifier, **_: object) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, net: NeuralNetClassifier, **_: object) -> None:
        for name, (pixels, labels) in self.parts.items():
            chances = net.predict_proba(pixels)
            loss = -np.log(chances[np.arange(len(labels)), labels]).mean()
            net.history.record(f"{name}_loss", float(loss))
            self.answer.test_accuracy = float((chances.argmax(axis=1) == labels).mean())
        self.answer.epoch(self.began)


def train(task: Task, answer: Answer) -> None:
    torch.manual_seed(task.seed)
    (pixels, labels), test = (
        (each.numpy(), theirs.numpy()) for each, theirs in tensors(task.data_dir)
    )
    order = np.random.default_rng(task.seed).permutation(len(labels))
    held_out, kept = order[:VALIDATION], order[VALIDATION:]
    validation = Dataset(pixels[held_out], labels[held_out])
    pixels, labels = pixels[kept], labels[kept]
    parts = {"train": (pixels[:MEASURED], labels[:MEASURED]), "test": test}
    net = NeuralNetClassifier(
        network(task),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=MOMENTUM,
        lr=RATE,
        max_epochs=task.epochs,
        batch_size=task.batch_size,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=CHUNK,
        train_split=predefined_split(validation),
        callbacks=[("measure", Measure(answer, parts))],
        verbose=0,
    )
    net.fit(pixels, labels)


if __name__ == "__main__":
    run(train)
