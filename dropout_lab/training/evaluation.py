"""The clean measurement: dropout off, no gradient, no draw, the mode restored."""

import torch

from dropout_lab.data import CLASSES, Examples, Splits
from dropout_lab.metrics import Scores, Tally
from dropout_lab.model import MLP

_CHUNK = 1_000  # examples at once; bounds the memory of a measurement, not its result


def evaluate(model: MLP, examples: Examples, splits: Splits) -> Scores:
    """Return each run's scores on ``examples``, all runs seeing the same ones.

    The model is in the mode it was in before, also after an exception.
    """
    device = examples.labels.device
    tally = Tally(model.runs, CLASSES, device)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for images, labels in zip(
                examples.images.split(_CHUNK), examples.labels.split(_CHUNK), strict=True
            ):
                logits = model(splits.pixels(images).unsqueeze(0))  # (runs, chunk, classes)
                tally.add(logits, labels.expand(model.runs, -1))
    finally:
        model.train(was_training)
    return tally.scores()
