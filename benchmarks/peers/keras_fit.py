"""Keras 3 with JAX: Dense and Dropout, compile, fit, and a callback that measures."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from task import CHUNK, MEASURED, MOMENTUM, RATE, VALIDATION, Answer, Task, run

Part = tuple[np.ndarray, np.ndarray]


def arrays(data_dir: str, part: str) -> Part:
    """Return the pixels and labels of a part, read without torch."""
    folder = Path(data_dir) / "MNIST" / "raw"
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", dtype=np.uint8, offset=16)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", dtype=np.uint8, offset=8)
    return images.reshape(-1, 784).astype(np.float32) / 255, labels.astype(np.int32)


def train(task: Task, answer: Answer) -> None:
    # JAX has no option for the number of its threads; on one core it takes one.
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[task.slot % len(cores)]})
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    class Measure(keras.callbacks.Callback):
        """Scores the training examples and the test part; fit does the validation set."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            for part in (measured, test):
                scores = self.model.evaluate(*part, batch_size=CHUNK, verbose=0, return_dict=True)
            answer.epoch(self.began)
            answer.test_accuracy = scores["accuracy"]

    keras.utils.set_random_seed(task.seed)
    (pixels, labels), test = arrays(task.data_dir, "train"), arrays(task.data_dir, "t10k")
    order = np.random.default_rng(task.seed).permutation(len(labels))
    held_out, kept = order[:VALIDATION], order[VALIDATION:]
    validation = pixels[held_out], labels[held_out]
    pixels, labels = pixels[kept], labels[kept]
    measured = pixels[:MEASURED], labels[:MEASURED]

    layers = [keras.Input((784,))]
    for units in task.hidden:
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(task.p)]
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    model.compile(
        optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        pixels,
        labels,
        batch_size=task.batch_size,
        epochs=task.epochs,
        validation_data=validation,
        validation_batch_size=CHUNK,
        callbacks=[Measure()],
        verbose=0,
    )


if __name__ == "__main__":
    run(train)
