"""Evaluate networks with dropout off, without gradients or random draws."""

import torch

from dropout_lab.data import Examples, Splits
from dropout_lab.metrics import Scores, Tally
from dropout_lab.model import MLP

CHUNK = 1_000  # examples per forward pass; results of sampled inference depend on it


def evaluate_pruned(model: MLP, examples: Examples, splits: Splits) -> Scores | None:
    """Return the scores after pruning, None for variants that do not prune."""
    return evaluate(model, examples, splits, pruned=True) if model.prunable else None


def evaluate(model: MLP, examples: Examples, splits: Splits, *, pruned: bool = False) -> Scores:
    """Return each run's scores on ``examples``, the same examples for all runs.

    Restores the training or evaluation mode of the model, also after an exception.

    Args:
        model: The networks.
        examples: The examples to evaluate on.
        splits: Converts images to pixels.
        pruned: Whether to prune the units or weights that targeted dropout may drop.
    """
    device = examples.labels.device
    tally = Tally(model.runs, splits.classes, device)
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
