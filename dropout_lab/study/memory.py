"""Estimate the memory that a fleet needs.

A fleet of R runs needs, beside the process itself and the data,

    R (held + order + 1.2 max(step, evaluation, gradients, checkpoint)) + once

bytes, each term that of one run. With P the parameters of a run (weights, biases and what its
dropout layers learn), W_l the weights that leave place l, u_l the units of place l (pixels, or
principal components, at the input; under maxout the pieces of all units), B the batch and s the
values that the optimizer remembers of each parameter (0 for SGD, 1 with momentum or RMSprop, 2
for Adam):

* held: ``4 P (2 + s)``, parameters, gradients and optimizer state; ``4 P`` more with early
  stopping, for the weights of the best epoch, and with averaged weights, for the average.
* order: ``16 N``, the order of the N training examples as it is drawn.
* step: ``B sum_l a_l u_l + sum_l w_l W_l``, what autograd keeps of a batch, masks and draws. a and
  w are the bytes of the variant per unit and example and per weight, which the catalogue has, as
  measured; at places without dropout a is that of none. Dropconnect with a mask per example keeps
  a byte for each weight *and example*, and the allocator up to two more in the gaps between them:
  ``w = 3 B + 8``. Two more bytes for the copies of bfloat16, 8 per weight of the
  largest matrix for l1 and for RMSprop, and twice the whole for a loss of two passes.
* evaluation: the same for one layer, from its units to what its weights make of them (of maxout
  the pieces), and 1,000 examples, with a = 15 (34 for fast) and without w's
  byte per example unless networks are sampled (Monte Carlo); with the probabilities kept, and
  the pool of a curve.
* gradients: with that diagnostic, three gradients more and what autograd keeps of 1,000 examples.
  Likewise co_adaptation with its matrices in double precision.
* checkpoint: ``4 P (1 + s)``, and ``4 P`` with averaged weights, if there is more than one epoch:
  those of all runs are made at once.
* once: 32 MB for the buffers of the libraries, the pixels that all runs share in an evaluation,
  the checkpoint of one run in the making, three times over, and the curve of one run.

1.2 is for the allocator, which does not fill every gap. The formula is meant to be a little high;
``python benchmarks/memory.py`` holds it to what is measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dropout_lab.catalogue import BUILT_IN
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import p_of_places
from dropout_lab.config.sections.evaluation import (
    SAMPLES,
    diagnostics,
    inferences,
    keeps_predictions,
)
from dropout_lab.config.sizes import count_inputs, layer_sizes, training_examples, training_length
from dropout_lab.datasets import DATASETS
from dropout_lab.training.evaluation import CHUNK

_FLOAT, _DOUBLE = 4, 8
_SLACK = 1.2
_LIBRARIES = 32 * 2**20
_WITHOUT_DROPOUT = BUILT_IN["none"].bytes_per_unit
_ALPHA_PER_WEIGHT = 105  # bytes per weight of variational_b with an alpha for each weight
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
    """Return the need of a fleet, as if all runs had the largest of these settings.

    Args:
        settings: Those of the runs of a fleet, each of them once.
    """
    kinds = {  # in nothing else that counts do the runs of a fleet differ
        (
            tuple(p_of_places(each)),
            each.regularization.l1 > 0,
            each.regularization.input_noise > 0,
        ): each
        for each in settings
    }
    needs = [_need(each) for each in kinds.values()]
    return Need(max(n.each for n in needs), max(n.once for n in needs))


def _need(settings: Settings) -> Need:
    parameters = _parameters(settings)
    state = _state(settings)
    training = settings.training
    best = training.patience is not None
    average = training.average != "none"
    held = _FLOAT * parameters * (2 + state + best + average)
    examples = training_examples(settings)
    epochs, _ = training_length(settings, examples)
    checkpoint = _FLOAT * parameters * (1 + state + average) if epochs > 1 else 0
    moving = max(_step(settings), _evaluation(settings), _diagnosed(settings), checkpoint)
    file = 3 * _FLOAT * parameters * (1 + state + best + average) if epochs > 1 else 0
    pixels = 2 * _FLOAT * CHUNK * count_inputs(settings)
    each = held + 2 * _DOUBLE * examples + _SLACK * moving
    return Need(round(each), _LIBRARIES + file + pixels + _curve_of_one(settings))


def _columns(settings: Settings) -> tuple[int, ...]:
    """Return the columns of each place, then the classes; under maxout all pieces count."""
    pieces = settings.model.pieces or 1
    inputs, *hidden, classes = layer_sizes(settings)
    return (inputs, *(units * pieces for units in hidden), classes)


def matrices(settings: Settings) -> list[int]:
    """Return the number of weights that leave each place."""
    before = layer_sizes(settings)[:-1]
    return [a * b for a, b in zip(before, _columns(settings)[1:], strict=True)]


def _parameters(settings: Settings) -> int:
    """Return the number of parameters of one run, those of dropout layers included."""
    of_place, dropout = matrices(settings), settings.dropout
    learned = 0
    if dropout.variant == "sparse_variational" or dropout.alpha_per == "weight":
        learned = sum(of_place[place] for place in p_of_places(settings))
    return sum(of_place) + sum(_columns(settings)[1:]) + learned


def _state(settings: Settings) -> int:
    """Return the number of values in the optimizer's state per parameter."""
    training = settings.training
    if training.optimizer == "rmsprop":
        return 1
    if training.optimizer != "sgd":
        return 2
    return int(training.momentum > 0 or training.momentum_schedule != "constant")


def _costs(settings: Settings, examples: int) -> tuple[int, int]:
    """Return the bytes per unit and example, and per weight, at a place with dropout."""
    dropout = settings.dropout
    kind = BUILT_IN.get(dropout.variant)
    if kind is None:
        return _PLUGIN_BYTES
    weight = kind.bytes_per_weight
    if dropout.variant == "dropconnect" and dropout.mask == "element":
        weight += 3 * examples
    if dropout.variant == "variational_b" and dropout.alpha_per == "weight":
        weight = _ALPHA_PER_WEIGHT
    return kind.bytes_per_unit, weight


def _step(settings: Settings, examples: int | None = None) -> int:
    """Return the bytes of a training step, without parameters, gradients and optimizer state."""
    size = min(examples or settings.training.batch_size, max(training_examples(settings), 1))
    noisy = p_of_places(settings)
    of_unit, of_weight = _costs(settings, size)
    copies = 2 * (settings.training.precision == "bfloat16")
    units = sum(
        columns * ((of_unit if place in noisy else _WITHOUT_DROPOUT) + copies)
        for place, columns in enumerate(_columns(settings))
    )
    if settings.regularization.input_noise:
        units += 2 * _FLOAT * count_inputs(settings)
    of_place = matrices(settings)
    weights = copies * sum(of_place) + of_weight * sum(of_place[place] for place in noisy)
    passes = 1 if settings.dropout.loss == "cross_entropy" else 2
    copied = settings.regularization.l1 or settings.training.optimizer == "rmsprop"
    return passes * (size * units + weights) + 2 * _FLOAT * max(of_place) * bool(copied)


def _evaluation(settings: Settings) -> int:
    """Return the bytes of evaluating a chunk of examples."""
    wanted = inferences(settings.evaluation)
    sampled = bool({"monte_carlo", "geometric"} & set(wanted))
    noisy = p_of_places(settings)
    of_unit, of_weight = _costs(settings, CHUNK if sampled else 0)
    dataset = DATASETS[settings.dataset.name]
    before = [count_inputs(settings), *settings.model.hidden]
    kind = BUILT_IN.get(settings.dropout.variant)
    own = 0 in noisy and (sampled or kind is None or not kind.shares_pixels)
    if not own and settings.training.precision == "float32":
        before[0] = 0  # the runs share the pixels
    at_once = max(a + b for a, b in zip(before, _columns(settings)[1:], strict=True))
    of_place = matrices(settings)
    if not sampled and kind is not None:
        of_unit = kind.evaluation_bytes_per_unit
    if "moment_matching" in wanted:
        of_unit, of_weight = max(of_unit, 32), max(of_weight, 2 * _FLOAT)
    bytes_ = CHUNK * of_unit * at_once
    bytes_ += of_weight * max((of_place[place] for place in noisy), default=0)
    if settings.training.precision == "bfloat16":
        bytes_ += 2 * max(of_place)
    if len(wanted) > 1:
        bytes_ += 12 * _DOUBLE * CHUNK * dataset.classes
    if keeps_predictions(settings.evaluation):
        bytes_ += 2 * _FLOAT * dataset.test * dataset.classes
    if settings.evaluation.curve is not None:
        bytes_ += _FLOAT * (settings.evaluation.samples or SAMPLES) * CHUNK * dataset.classes
    return bytes_


def _diagnosed(settings: Settings) -> int:
    """Return the bytes of the diagnostics."""
    wanted = diagnostics(settings.evaluation)
    needed = 0
    if "gradients" in wanted:
        needed = 3 * _FLOAT * _parameters(settings) + _step(settings)
        needed += CHUNK * _WITHOUT_DROPOUT * sum(_columns(settings)[1:])  # the runs share pixels
    if "noise" in wanted:
        needed = max(needed, _step(settings, 100))
    if {"activations", "co_adaptation"} & set(wanted):
        widest = max(settings.model.hidden)
        units = CHUNK * (_FLOAT * sum(_columns(settings)) + 4 * _DOUBLE * widest)
        needed = max(needed, units + 4 * _DOUBLE * widest**2)
    return needed


def _curve_of_one(settings: Settings) -> int:
    """Return the bytes of averaging the samples of one run for the curve."""
    curve = settings.evaluation.curve
    if curve is None:
        return 0
    samples = settings.evaluation.samples or SAMPLES
    classes = DATASETS[settings.dataset.name].classes
    return 2 * _DOUBLE * CHUNK * classes * (samples + 2 * curve)
