"""The x axes of a paper's figure: their labels, and where a cell is on them."""

from collections.abc import Callable

from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import p_of_places
from dropout_lab.config.sizes import training_examples

AXIS_LABELS = {
    "p": "p, the probability of dropping",
    "keep": "probability of keeping a unit, 1 − p",
    "units": "units of the first hidden layer",
    "train_size": "training examples",
    "updates": "updates of the weights",
    "epoch": "epoch",
}


def highest_p(own: Settings) -> float:
    """Return the highest p of the hidden layers; 0 without dropout."""
    return max((p for place, p in p_of_places(own).items() if place > 0), default=0.0)


X_OF_SETTINGS: dict[str, Callable[[Settings], float]] = {
    "p": highest_p,
    "keep": lambda own: 1 - highest_p(own),
    "units": lambda own: float(own.model.hidden[0]),
    "train_size": lambda own: float(training_examples(own)),
}
