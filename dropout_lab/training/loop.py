"""The training loop, top to bottom."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import length, steps_of_epoch
from dropout_lab.data import Examples, Splits, stratified
from dropout_lab.lr_schedules import Rates
from dropout_lab.p_schedules import Schedule
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.diagnostics import Diagnostics
from dropout_lab.training.evaluation import evaluate, evaluate_pruned
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.objective import Noisy, Objective
from dropout_lab.training.record import Measured, Record


@dataclass(frozen=True)
class Epoch:
    """What came out of one epoch of a fleet.

    Args:
        number: Epochs done.
        of: Epochs in all.
        records: A record for each run that is still going, by its index; empty where the epoch is
            not evaluated.
    """

    number: int
    of: int
    records: dict[int, Record]


def train(fleet: Fleet, splits: Splits) -> Iterator[Epoch]:
    """Train a fleet to the end of its last epoch, from wherever it stands; yield each epoch.

    A run whose loss is no longer finite is noted in ``fleet.diverged``, one that early stopping
    ends in ``fleet.stopped``; it has no records from then on, and the others go on, unharmed. When
    none is left, training ends. With early stopping each run ends with its best epoch's weights.
    Where weights are averaged, the average is what is measured and what a run ends with.
    """
    model, optimizer = fleet.model, fleet.optimizer
    batch_size = fleet.settings.training.batch_size
    last_epoch, last_update = length(fleet.settings, len(splits.train))
    steps = steps_of_epoch(fleet.settings, len(splits.train))
    schedule = Schedule(fleet.settings.dropout, fleet.p, steps, last_update)
    rates = Rates(fleet.settings.training, steps, last_update)
    objective = Objective(model, fleet.settings.dropout, len(splits.train), fleet.regularizers)
    measured_train = splits.train[train_examples(splits, fleet.settings).to(fleet.device)]
    diagnostics = Diagnostics(fleet, splits, measured_train)

    while fleet.epoch < last_epoch and fleet.going:
        began, offset = time.perf_counter(), fleet.seconds
        fleet.epoch += 1
        model.train()
        objective.open_epoch(fleet.epoch)
        order = data_order(fleet.seeds, fleet.epoch, len(splits.train)).to(fleet.device)
        order = order[:, : (last_update - fleet.updates) * batch_size]  # (runs, examples)
        noisy = Noisy(model.runs, fleet.device)

        for indices in order.split(batch_size, dim=1):  # (runs, batch)
            model.set_p(schedule.at(fleet.updates))
            batch = splits.train[indices]
            pixels = splits.pixels(batch.images)  # (runs, batch, inputs)
            step = objective(pixels, batch.labels, fleet.updates / last_update)
            optimizer.step(step.total, rates.at(fleet.updates))
            model.constrain()
            noisy.add(step, batch.labels)
            fleet.updates += 1
            fleet.averages.after_update(fleet.updates)
        fleet.averages.after_epoch(fleet.epoch, last_epoch)

        with fleet.averages.swapped_in():
            measured = None
            if due(fleet.epoch, last_epoch, fleet.settings):
                measured = _measure(fleet, measured_train, splits, diagnostics)
            noisy.bring()
            fleet.seconds = offset + time.perf_counter() - began
            going = fleet.going
            for run in going:
                if not finite(noisy, measured, run):
                    fleet.diverged[run] = fleet.epoch
            records = {run: _record(fleet, noisy, measured, run) for run in going if measured}
            if measured is not None:
                fleet.look(measured.validation.accuracy)
        yield Epoch(fleet.epoch, last_epoch, records)

    fleet.finish(schedule)


def due(epoch: int, last_epoch: int, settings: Settings) -> bool:
    """Whether an epoch is measured; the last always is."""
    return epoch % settings.evaluation.every == 0 or epoch == last_epoch


def data_order(seeds: list[int], epoch: int, examples: int) -> Tensor:
    """Return in which order each run sees the training examples in an epoch: (runs, examples)."""
    orders = [stream(Purpose.DATA_ORDER, seed, epoch).permutation(examples) for seed in seeds]
    return torch.stack([torch.from_numpy(order) for order in orders])


def train_examples(splits: Splits, settings: Settings) -> Tensor:
    """Return the indices of the training examples that are measured, the same for every run."""
    size = min(settings.evaluation.train_examples, len(splits.train))
    generator = stream(Purpose.TRAIN_EXAMPLES, settings.dataset.split_seed)
    return torch.from_numpy(stratified(splits.train.labels.cpu().numpy(), size, generator))


def finite(noisy: Noisy, measured: Measured | None, run: int) -> bool:
    """Whether a run's losses are numbers still, those of its training steps and the clean ones."""
    total = noisy.loss[run].double() + noisy.added[run]
    if measured is not None:
        total = total + measured.train.loss[run] + measured.test.loss[run]
    return bool(total.isfinite())


def _measure(
    fleet: Fleet, measured_train: Examples, splits: Splits, diagnostics: Diagnostics
) -> Measured:
    return Measured(
        train=evaluate(fleet.model, measured_train, splits),
        validation=evaluate(fleet.model, splits.validation, splits),
        test=evaluate(fleet.model, splits.test, splits),
        pruned=evaluate_pruned(fleet.model, splits.test, splits),
        diagnostics=diagnostics(),
    )


def _record(fleet: Fleet, noisy: Noisy, measured: Measured, run: int) -> Record:
    return Record(
        epoch=fleet.epoch,
        updates=fleet.updates,
        seconds=fleet.seconds / len(fleet.runs),
        learning_rate=fleet.optimizer.learning_rates[run],
        p=fleet.p_in_force(run),
        noisy_train_loss=noisy.loss[run].item(),
        noisy_train_accuracy=noisy.accuracy[run].item(),
        dropout_loss=noisy.added[run].item(),
        sparsity=fleet.sparsity(run),
        **measured.columns(run),
    )
