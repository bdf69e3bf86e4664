"""The training loop."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import is_evaluated, training_length, updates_per_epoch
from dropout_lab.data import Examples, Splits, draw_stratified
from dropout_lab.lr_schedules import OptimizerSchedule
from dropout_lab.p_schedules import PSchedule
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.diagnostics import Diagnostics
from dropout_lab.training.evaluation import evaluate, evaluate_pruned
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.objective import Objective, TrainingStepMetrics
from dropout_lab.training.record import EpochScores, Record


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch of a fleet.

    Args:
        number: Epochs completed.
        of: Epochs of the complete training.
        records: The record of each active run, by its index; empty if the epoch is not evaluated.
    """

    number: int
    of: int
    records: dict[int, Record]


def train(fleet: Fleet, splits: Splits) -> Iterator[Epoch]:
    """Train a fleet from its current epoch to its last epoch, and yield the results of each epoch.

    A run whose loss is no longer finite is added to ``fleet.diverged``; a run that stops early is
    added to ``fleet.stopped``. Such a run has no further records, and the other runs continue.
    Training ends when no run is active. With early stopping, each run ends with the weights of its
    best epoch. With averaged weights, each run is evaluated and ends with the average.
    """
    model, optimizer = fleet.model, fleet.optimizer
    batch_size = fleet.settings.training.batch_size
    last_epoch, last_update = training_length(fleet.settings, len(splits.train))
    steps = updates_per_epoch(fleet.settings, len(splits.train))
    p_schedule = PSchedule(fleet.settings.dropout, fleet.p, steps, last_update)
    optimizer_schedule = OptimizerSchedule(fleet.settings.training, steps, last_update)
    objective = Objective(model, fleet.settings.dropout, len(splits.train), fleet.regularizers)
    train_subset = splits.train[evaluated_train_indices(splits, fleet.settings).to(fleet.device)]
    diagnostics = Diagnostics(fleet, splits, train_subset)

    while fleet.epoch < last_epoch and fleet.active_runs:
        start, offset = time.perf_counter(), fleet.seconds
        fleet.epoch += 1
        model.train()
        objective.open_epoch(fleet.epoch)
        order = data_order(fleet.order_seeds, fleet.epoch, len(splits.train)).to(fleet.device)
        order = order[:, : (last_update - fleet.updates) * batch_size]  # (runs, examples)
        step_metrics = TrainingStepMetrics(model.runs, fleet.device)

        for indices in order.split(batch_size, dim=1):  # (runs, batch)
            model.set_p(p_schedule.at(fleet.updates))
            batch = splits.train[indices]
            pixels = splits.pixels(batch.images)  # (runs, batch, inputs)
            step = objective(pixels, batch.labels, fleet.updates / last_update)
            optimizer.step(step.total, optimizer_schedule.at(fleet.updates))
            model.constrain()
            step_metrics.add(step, batch.labels)
            fleet.updates += 1
            fleet.averages.after_update(fleet.updates)
        fleet.averages.after_epoch(fleet.epoch, last_epoch)

        with fleet.averages.swapped_in():
            scores = None
            if is_evaluated(fleet.epoch, last_epoch, fleet.settings):
                scores = _evaluate(fleet, train_subset, splits, diagnostics)
            step_metrics.to_cpu()
            fleet.seconds = offset + time.perf_counter() - start
            active = fleet.active_runs
            for run in active:
                if not has_finite_losses(step_metrics, scores, run):
                    fleet.diverged[run] = fleet.epoch
            records = {run: _record(fleet, step_metrics, scores, run) for run in active if scores}
            if scores is not None:
                fleet.update_early_stopping(scores.validation.accuracy)
        yield Epoch(fleet.epoch, last_epoch, records)

    fleet.load_final_weights(p_schedule)


def data_order(seeds: list[int], epoch: int, examples: int) -> Tensor:
    """Return the order of the training examples in an epoch for each run: (runs, examples)."""
    orders = [stream(Purpose.DATA_ORDER, seed, epoch).permutation(examples) for seed in seeds]
    return torch.stack([torch.from_numpy(order) for order in orders])


def evaluated_train_indices(splits: Splits, settings: Settings) -> Tensor:
    """Return the indices of the training examples to evaluate on, the same for every run."""
    size = min(settings.evaluation.train_examples, len(splits.train))
    generator = stream(Purpose.TRAIN_EXAMPLES, settings.dataset.split_seed)
    return torch.from_numpy(draw_stratified(splits.train.labels.cpu().numpy(), size, generator))


def has_finite_losses(
    step_metrics: TrainingStepMetrics, scores: EpochScores | None, run: int
) -> bool:
    """Return whether the losses of a run are finite, with dropout on and with dropout off."""
    total = step_metrics.loss[run].double() + step_metrics.dropout_loss[run]
    if scores is not None:
        total = total + scores.train.loss[run] + scores.test.loss[run]
    return bool(total.isfinite())


def _evaluate(
    fleet: Fleet, train_subset: Examples, splits: Splits, diagnostics: Diagnostics
) -> EpochScores:
    return EpochScores(
        train=evaluate(fleet.model, train_subset, splits),
        validation=evaluate(fleet.model, splits.validation, splits),
        test=evaluate(fleet.model, splits.test, splits),
        pruned=evaluate_pruned(fleet.model, splits.test, splits),
        diagnostics=diagnostics(),
    )


def _record(
    fleet: Fleet, step_metrics: TrainingStepMetrics, scores: EpochScores, run: int
) -> Record:
    return Record(
        epoch=fleet.epoch,
        updates=fleet.updates,
        seconds=fleet.seconds / len(fleet.runs),
        learning_rate=fleet.optimizer.learning_rates[run],
        p=fleet.current_p(run),
        noisy_train_loss=step_metrics.loss[run].item(),
        noisy_train_accuracy=step_metrics.accuracy[run].item(),
        dropout_loss=step_metrics.dropout_loss[run].item(),
        sparsity=fleet.sparsity(run),
        **scores.columns(run),
    )
