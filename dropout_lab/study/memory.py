"""Bound the memory that a fleet needs.

A fleet of R runs needs, besides the process, at most the bytes of the data and R times

    4 P (3 + 2 s) + 16 N + 1.2 passes (a E + w W) + tables

bytes. The data are the training, validation and test set, and the training examples of an
evaluation: a byte for each pixel, 4 for each other feature, 8 for each label. For one run, P is the
number of parameters, N of training examples and W of weights. E is the number of values in all
layers: of a training batch with its inputs, or of the 1,000 examples of an evaluation, whose inputs
all runs share, whichever is more.

* s counts the copies of the parameters that are kept and saved: 1, plus the optimizer's values per
  parameter (momentum and RMSprop 1, Adam 2), plus 1 each for early stopping and averaged weights.
  They are there twice while a checkpoint is made. Gradients and temporary copies are the other 3.
* a and w are the bytes per unit and example, and per weight, of the variant. The catalogue has
  them, as measured. DropConnect with a mask per example takes 3 bytes per weight *and example*.
* Normalization takes 16 bytes per unit and example more, and 4 parameters per unit.
* Losses of several passes count several times; ``explicit`` has a backward pass for each class that
  is differentiated again. The tables are probabilities and, with diagnostics, gradients
  and matrices of the widest layer.

``python benchmarks/memory.py`` compares the bound with what fleets take.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dropout_lab.catalogue import BUILT_IN, DROPOUT_K_PASSES
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import p_of_places
from dropout_lab.config.sections.evaluation import (
    SAMPLES,
    diagnostics,
    inferences,
    keeps_predictions,
)
from dropout_lab.config.sizes import count_inputs, layer_sizes, training_examples
from dropout_lab.training.evaluation import CHUNK

_FLOAT, _DOUBLE = 4, 8
_SLACK = 1.2  # the allocator does not fill every gap
_LIBRARIES = 32 * 2**20
_ALPHA_PER_WEIGHT = 105  # bytes per weight of variational_b with an alpha for each weight
_NORMALIZED_VALUES = 4  # per unit and example: the copy, its order by unit, output, gradient
_PLUGIN_BYTES = (42, 130)  # per unit and per weight of a plugin, the highest of all variants


@dataclass(frozen=True)
class Need:
    """The memory of a fleet in bytes: for each run, and once."""

    each: int
    once: int

    def of(self, runs: int) -> int:
        """Return the bytes that a fleet of ``runs`` runs takes."""
        return runs * self.each + self.once

    def most(self, memory: int) -> int:
        """Return how many runs fit into ``memory`` bytes."""
        return max(0, (memory - self.once) // self.each)


def need(settings: Iterable[Settings]) -> Need:
    """Return the memory of a fleet, as if all runs had the largest of these settings.

    Args:
        settings: The distinct settings of the runs of one fleet.
    """
    kinds = {tuple(p_of_places(each)): each for each in settings}  # only p matters within a fleet
    needs = [_need(each) for each in kinds.values()]
    return Need(max(n.each for n in needs), max(n.once for n in needs))


def _need(settings: Settings) -> Need:
    training, evaluation = settings.training, settings.evaluation
    weights, columns = matrices(settings), _columns(settings)
    places = p_of_places(settings)
    parameters = sum(weights) + sum(columns[1:])
    kind = BUILT_IN.get(settings.dropout.variant)
    per_weight = kind is not None and kind.learns_per_weight
    if per_weight or settings.dropout.alpha_per == "weight":
        parameters += sum(weights[place] for place in places)
    normalized = sum(columns[1:-1]) if settings.model.normalization != "none" else 0
    parameters += 4 * normalized  # gain, shift and the running statistics
    saved = 1 + _optimizer_state(settings)
    saved += (training.patience is not None) + (training.average != "none")

    sampled = bool({"monte_carlo", "geometric"} & set(inferences(evaluation)))
    batch = max(training.batch_size, CHUNK * sampled)
    of_value, of_weight = _variant_bytes(settings, masks=batch)
    values = max(batch * sum(columns), CHUNK * sum(columns[1:]))
    passes = _passes(settings)
    values_normalized = _NORMALIZED_VALUES * batch * normalized * _FLOAT
    step = passes * (
        values_normalized + values * of_value + sum(weights[place] for place in places) * of_weight
    )
    each = _FLOAT * parameters * (3 + 2 * saved) + 2 * _DOUBLE * training_examples(settings)
    each += round(_SLACK * (step + _tables(settings, parameters)))

    samples, curve = evaluation.samples or SAMPLES, evaluation.curve
    averages = 0 if curve is None else CHUNK * settings.dataset.describe().classes
    averages *= 2 * _DOUBLE * (samples + 2 * (curve or 0))
    checkpoint_file = 3 * _FLOAT * parameters * saved
    inputs = 2 * _FLOAT * CHUNK * count_inputs(settings)
    once = _LIBRARIES + data_bytes(settings) + checkpoint_file + inputs + averages
    return Need(each, once)


def data_bytes(settings: Settings) -> int:
    """Return the bytes of the data that stay in memory while a fleet is trained."""
    data = settings.dataset
    dataset, training = data.describe(), training_examples(settings)
    evaluated = min(settings.evaluation.train_examples, training)
    examples = training + data.validation_size + dataset.test + evaluated
    pixel = 1 if dataset.dtype == "uint8" and data.pca is None else _FLOAT
    return examples * (pixel * count_inputs(settings) + _DOUBLE)


def _passes(settings: Settings) -> int:
    """Return how many forward passes a training step keeps in memory."""
    match settings.dropout.loss:
        case "cross_entropy":
            return 1
        case "dropout_k":
            return settings.dropout.passes or DROPOUT_K_PASSES
        case "explicit":
            return 4 + settings.dataset.describe().classes
        case _:
            return 2


def _columns(settings: Settings) -> tuple[int, ...]:
    """Return the columns of each place, then the classes; under maxout all pieces count."""
    pieces = settings.model.pieces or 1
    inputs, *hidden, classes = layer_sizes(settings)
    return (inputs, *(units * pieces for units in hidden), classes)


def matrices(settings: Settings) -> list[int]:
    """Return the number of weights that leave each place."""
    before = layer_sizes(settings)[:-1]
    return [a * b for a, b in zip(before, _columns(settings)[1:], strict=True)]


def _optimizer_state(settings: Settings) -> int:
    """Return the number of values in the optimizer's state per parameter."""
    training = settings.training
    if training.optimizer == "rmsprop":
        return 1
    if training.optimizer != "sgd":
        return 2
    return int(training.momentum > 0 or training.momentum_schedule != "constant")


def _variant_bytes(settings: Settings, masks: int) -> tuple[int, int]:
    """Return the bytes per unit and example, and per weight, at a place with dropout."""
    dropout = settings.dropout
    kind = BUILT_IN.get(dropout.variant)
    if kind is None:
        return _PLUGIN_BYTES
    weight = kind.bytes_per_weight
    if dropout.variant == "dropconnect" and dropout.mask == "element":
        weight += 3 * masks
    if dropout.variant == "variational_b" and dropout.alpha_per == "weight":
        weight = _ALPHA_PER_WEIGHT
    return kind.bytes_per_unit, weight


def _tables(settings: Settings, parameters: int) -> int:
    """Return the bytes of probabilities and diagnostics."""
    evaluation, dataset = settings.evaluation, settings.dataset.describe()
    wanted, tables = diagnostics(evaluation), 0
    if len(inferences(evaluation)) > 1:
        tables += 12 * _DOUBLE * CHUNK * dataset.classes
    if keeps_predictions(evaluation):
        tables += 2 * _FLOAT * dataset.test * dataset.classes
    if evaluation.curve is not None:
        tables += _FLOAT * (evaluation.samples or SAMPLES) * CHUNK * dataset.classes
    if "gradients" in wanted:
        tables += 3 * _FLOAT * parameters
    if {"activations", "co_adaptation", "variance_shift", "activation_variance"} & set(wanted):
        widest = max(settings.model.hidden)
        tables += 4 * _DOUBLE * widest * (CHUNK + widest)
    if "flatness" in wanted:
        tables += 4 * _FLOAT * parameters
    if "weight_condensation" in wanted:
        columns = max(_columns(settings)[1:-1])
        tables += 3 * _DOUBLE * (max(matrices(settings)[:-1]) + columns**2)
    return tables
