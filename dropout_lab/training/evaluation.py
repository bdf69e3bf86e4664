"""The clean measurement: dropout off, no gradient, no draw, the mode restored."""

import torch

from dropout_lab.data import CLASSES, Examples, Splits
from dropout_lab.metrics import Scores, Tally
from dropout_lab.model import MLP

CHUNK = 1_000  # examples at once; bounds the memory, and is part of which draw goes where


def evaluate_pruned(model: MLP, examples: Examples, splits: Splits) -> Scores | None:
    """Return the scores of the networks without what targeted dropout may drop; None for others."""
    return evaluate(model, examples, splits, pruned=True) if model.prunable else None


def evaluate(model: MLP, examples: Examples, splits: Splits, *, pruned: bool = False) -> Scores:
    """Return each run's scores on ``examples``, all runs seeing the same ones.

    The model is in the mode it was in before, also after an exception.

    Args:
        model: The networks.
        examples: What they are measured on.
        splits: Turns images into pixels.
        pruned: Whether what targeted dropout may drop is left out.
    """
    device = examples.labels.device
    tally = Tally(model.runs, CLASSES, device)
    was_training = model.training
    model.eval()
    model.prune(pruned)
    try:
        with torch.inference_mode():
            for images, labels in zip(
                examples.images.split(CHUNK), examples.labels.split(CHUNK), strict=True
            ):
                logits = model(splits.pixels(images).unsqueeze(0))  # (runs, chunk, classes)
                tally.add(logits, labels.expand(model.runs, -1))
    finally:
        model.train(was_training)
        model.prune(False)
    return tally.scores()
