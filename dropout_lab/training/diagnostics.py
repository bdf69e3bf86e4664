"""Measure hidden units, gradients and dropout noise of the networks during training."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dropout_lab.config.sections.dropout import p_of_places
from dropout_lab.config.sections.evaluation import (
    CONDENSATION_COLUMNS,
    LAYER_COLUMNS,
    REMOVED_PERCENTAGES,
    diagnostics,
)
from dropout_lab.data import Examples, Splits, draw_stratified
from dropout_lab.layers import Dropout, UnitInputs
from dropout_lab.layers.noise_measurement import (
    PASSES,
    NoiseMeasurement,
    compare_with_claims,
    measure_noise,
)
from dropout_lab.normalization import fixed_statistics
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import unit_statistics, weight_statistics
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.gradients import compare_gradients, full_gradient

_GRADIENT_BATCHES = 20
_MAX_EXAMPLES = 1_000
_NOISE_EXAMPLES = 100

Columns = dict[str, Tensor]  # by the name of the column: (runs,)


@dataclass(frozen=True)
class _LayerInputs:
    """The arguments of :func:`dropout_lab.layers.noise_measurement.measure_noise` for one layer."""

    layer: Dropout
    x: Tensor
    weight: Tensor
    entering: UnitInputs | None

    def measure_noise(self, passes: int) -> NoiseMeasurement:
        return measure_noise(self.layer, self.x, self.weight, self.entering, passes=passes)


class Diagnostics:
    """Compute the diagnostics that the settings of a fleet request.

    The diagnostics use random streams of their own, so they do not affect training. If the noise of
    a dropout layer differs from what its variant claims, the run is added to ``fleet.broken``.

    Args:
        fleet: The networks.
        splits: The data.
        train: The training examples for the reference gradient.
    """

    def __init__(self, fleet: Fleet, splits: Splits, train: Examples) -> None:
        self.fleet, self.splits, self.train = fleet, splits, train
        self.model, self.settings, self.seeds = fleet.model, fleet.settings, fleet.seeds
        settings = fleet.settings
        self.requested = diagnostics(settings.evaluation)
        labels = splits.test.labels
        size = min(_MAX_EXAMPLES, len(labels))
        generator = stream(Purpose.DIAGNOSTICS, settings.dataset.split_seed)
        chosen = torch.from_numpy(draw_stratified(labels.cpu().numpy(), size, generator))
        self.test = splits.test[chosen.to(labels.device)]
        if "flatness" in self.requested:
            generator = stream(Purpose.FLATNESS, settings.dataset.split_seed)
            size = min(_MAX_EXAMPLES, len(train))
            chosen = torch.from_numpy(draw_stratified(train.labels.cpu().numpy(), size, generator))
            self.flatness_examples = train[chosen.to(train.labels.device)]

    def __call__(self) -> Columns:
        """Return the diagnostics of the networks in their current state."""
        epoch = self.fleet.epoch
        columns: Columns = {}
        if not self.requested:
            return columns
        was_training = self.model.training
        try:
            if "gradients" in self.requested:
                with self.model.noise_for(Purpose.DIAGNOSTICS, epoch):
                    columns |= self._compare_gradients(epoch)
            with torch.no_grad():
                columns |= self._measure_units()
                if "weight_condensation" in self.requested:
                    columns |= self._measure_condensation()
                if "flatness" in self.requested:
                    columns |= self._measure_flatness()
                if "activation_variance" in self.requested:
                    with self.model.noise_for(Purpose.DIAGNOSTICS, epoch):
                        columns |= self._measure_noisy_variance()
                if "variance_shift" in self.requested:
                    with self.model.noise_for(Purpose.DIAGNOSTICS, epoch):
                        columns |= self._measure_variance_shift()
                if "noise" in self.requested:
                    with self.model.noise_for(Purpose.MEASURED_NOISE, epoch):
                        columns |= self._measure_noise(epoch)
        finally:
            self.model.train(was_training)
        return columns

    def _measure_units(self) -> Columns:
        """Measure the hidden units on test examples, dropout off."""
        columns: Columns = {}
        hidden: list[Tensor] = []
        x = self.splits.pixels(self.test.images).unsqueeze(0)  # (1, examples, inputs)
        self.model.eval()(x, hidden)
        for name, measures in LAYER_COLUMNS.items():
            if name in self.requested:
                for measure in measures:
                    for layer, h in enumerate(hidden, start=1):
                        columns[f"{measure}_{layer}"] = getattr(unit_statistics, measure)(h)
        if "co_adaptation" in self.requested:
            for percentage in REMOVED_PERCENTAGES:
                accuracy = unit_statistics.accuracy_after_removal(
                    self.model, x, self.test.labels, self.seeds, percentage
                )
                columns[f"removed_{percentage}_test_accuracy"] = accuracy
        return columns

    def _measure_noisy_variance(self) -> Columns:
        """Measure the variance of the units on test examples, dropout on."""
        x = self.splits.pixels(self.test.images).unsqueeze(0)
        units = unit_statistics.units_with_dropout(self.model, x)
        return {
            f"noisy_activation_variance_{layer}": unit_statistics.activation_variance(h)
            for layer, h in enumerate(units, start=1)
        }

    def _measure_condensation(self) -> Columns:
        """Compare the directions of the incoming weights of the units of each hidden layer."""
        columns: Columns = {}
        hidden = zip(self.model.weights[:-1], self.model.biases[:-1], strict=True)
        for layer, (weight, bias) in enumerate(hidden, start=1):
            vectors = torch.cat([weight, bias], dim=1)  # (runs, in + 1, out)
            for measure in CONDENSATION_COLUMNS:
                columns[f"{measure}_{layer}"] = getattr(weight_statistics, measure)(vectors)
        return columns

    def _measure_flatness(self) -> Columns:
        """Measure the rise of the loss on training examples along random directions."""
        x = self.splits.pixels(self.flatness_examples.images).unsqueeze(0)
        labels = self.flatness_examples.labels
        rises = weight_statistics.loss_rises(self.model.eval(), x, labels, self.seeds)
        return {f"loss_rise_{percentage}": rise for percentage, rise in rises.items()}

    def _measure_variance_shift(self) -> Columns:
        """Compare the variance before each normalization with dropout on and off (Li et al. 2019).

        The ratio is that of the mean variances of the units over test examples.
        """
        x = self.splits.pixels(self.test.images).unsqueeze(0)
        inputs: list[Tensor] = []
        layers = self.model.normalizations
        handles = [
            layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].double()))
            for layer in layers
        ]
        try:
            with fixed_statistics(self.model):
                self.model.train()(x)
            self.model.eval()(x)
        finally:
            for handle in handles:
                handle.remove()
        variances = [each.var(dim=1).mean(dim=1) for each in inputs]  # (runs,) each
        on, off = variances[: len(layers)], variances[len(layers) :]
        return {
            f"variance_shift_{layer}": one / other
            for layer, (one, other) in enumerate(zip(on, off, strict=True), start=1)
        }

    def _measure_noise(self, epoch: int) -> Columns:
        """Measure the noise of each dropout layer, and compare it with what its variant claims."""
        columns: Columns = {}
        for place, inputs in self._layer_inputs().items():
            layer = inputs.layer
            measured = inputs.measure_noise(PASSES)
            columns[f"keep_rate_{place}"] = measured.keep_rate
            columns[f"noise_mean_{place}"] = measured.mean
            columns[f"noise_variance_{place}"] = measured.variance
            broken = [claim for claim in compare_with_claims(layer, measured) if claim.is_violated]
            if not broken:
                continue
            # In a large study, chance alone sometimes violates a bound. So measure a second time.
            remeasured = compare_with_claims(layer, inputs.measure_noise(4 * PASSES))
            still_broken = {
                (claim.what, claim.run): claim for claim in remeasured if claim.is_violated
            }
            for claim in broken:
                key, run = (claim.what, claim.run), claim.run or 0
                if key in still_broken and run in self.fleet.active_runs:
                    confirmed = replace(still_broken[key], run=None)
                    where = f"at place {place}" if place else "at the input"
                    message = f"epoch {epoch}, dropout {where}: {confirmed}"
                    self.fleet.broken.setdefault(run, message)
        return columns

    def _layer_inputs(self) -> dict[int, _LayerInputs]:
        """Return the inputs of each dropout layer for some test examples, by place, dropout off."""
        z: list[Tensor] = []
        h: list[Tensor] = []
        activation = self.model.activation
        handle = activation.register_forward_pre_hook(lambda _, given: z.append(given[0]))
        x = self.splits.pixels(self.test.images[:_NOISE_EXAMPLES]).unsqueeze(0)
        try:
            self.model.eval()(x, h)
        finally:
            handle.remove()
        h = z if self.settings.dropout.position == "before" else h
        places = self.model.places()
        inputs = {}
        for place in p_of_places(self.settings):
            layer, weight, _ = places[place]
            if place:
                entering = UnitInputs(self.model.weights[place - 1], z[place - 1])
                inputs[place] = _LayerInputs(layer, h[place - 1], weight, entering)
            else:
                inputs[place] = _LayerInputs(layer, x.expand(self.model.runs, -1, -1), weight, None)
        return inputs

    def _compare_gradients(self, epoch: int) -> Columns:
        """Compare mini-batch gradients with each other and with the full gradient."""
        full = full_gradient(self.model.eval(), self.train, self.splits)
        with fixed_statistics(self.model):
            return compare_gradients(self.model.train(), self._gradient_batches(epoch), full)

    def _gradient_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield mini-batches of training examples, sampled for each run with its own seed."""
        train = self.splits.train
        size = self.settings.training.batch_size
        generators = [stream(Purpose.DIAGNOSTICS, seed, 0, epoch, 0) for seed in self.seeds]
        for _ in range(_GRADIENT_BATCHES):
            sampled = [
                generator.choice(len(train), size, replace=False) for generator in generators
            ]
            indices = torch.stack([torch.from_numpy(each) for each in sampled])
            indices = indices.to(train.labels.device)  # (runs, batch)
            yield self.splits.pixels(train.images[indices]), train.labels[indices]
