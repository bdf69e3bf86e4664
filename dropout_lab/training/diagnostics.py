"""What else is measured of a network while it trains: its units, its gradients, its noise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dropout_lab.config.inference_rules import diagnostics
from dropout_lab.config.schema import Settings, p_of_places
from dropout_lab.data import Examples, Splits, stratified
from dropout_lab.layers import Dropout, Entering
from dropout_lab.layers.noise_measurement import PASSES, Measured, claimed, measure
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import unit_statistics
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.gradients import gradient_measures, whole_gradient

_BATCHES = 20  # mini-batches whose gradients are compared
_EXAMPLES = 1_000  # of the test part, at most
_NOISE_EXAMPLES = 100

_OF_LAYERS = {
    "activations": ("mean_activation", "activation_sparsity"),
    "co_adaptation": ("unit_correlation", "effective_rank"),
}
_GRADIENTS = ("gradient_norm", "gradient_direction_variance", "gradient_direction_error")
_NOISE = ("keep_rate", "noise_mean", "noise_variance")

Columns = dict[str, Tensor]  # by the name of the column: (runs,)


def diagnostic_columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns that the diagnostics of these settings fill, in order.

    Those of a layer end in its index.
    """
    layers = range(1, len(settings.model.hidden) + 1)
    columns = {
        name: [f"{measure}_{layer}" for measure in measures for layer in layers]
        for name, measures in _OF_LAYERS.items()
    }
    columns["co_adaptation"] += [
        f"removed_{share}_test_accuracy" for share in unit_statistics.REMOVED
    ]
    columns["gradients"] = list(_GRADIENTS)
    columns["noise"] = [f"{name}_{place}" for name in _NOISE for place in p_of_places(settings)]
    return tuple(column for name in diagnostics(settings.evaluation) for column in columns[name])


@dataclass(frozen=True)
class _Inputs:
    """What a dropout layer is given: see :func:`dropout_lab.layers.noise_measurement.measure`."""

    layer: Dropout
    x: Tensor
    weight: Tensor
    entering: Entering | None

    def measured(self, passes: int) -> Measured:
        return measure(self.layer, self.x, self.weight, self.entering, passes=passes)


class Diagnostics:
    """Measures what the settings of a fleet ask for.

    It draws from streams of its own and changes nothing, but that a run with a dropout layer that
    does not do what it says is noted in ``fleet.broken``.

    Args:
        fleet: The networks.
        splits: The data.
        train: The training examples that are measured.
    """

    def __init__(self, fleet: Fleet, splits: Splits, train: Examples) -> None:
        self.fleet, self.splits, self.train = fleet, splits, train
        self.model, self.settings, self.seeds = fleet.model, fleet.settings, fleet.seeds
        settings = fleet.settings
        self.wanted = diagnostics(settings.evaluation)
        labels = splits.test.labels
        size = min(_EXAMPLES, len(labels))
        generator = stream(Purpose.DIAGNOSTICS, settings.dataset.split_seed)
        chosen = torch.from_numpy(stratified(labels.cpu().numpy(), size, generator))
        self.test = splits.test[chosen.to(labels.device)]

    def __call__(self) -> Columns:
        """Measure the networks as they stand."""
        epoch = self.fleet.epoch
        columns: Columns = {}
        if not self.wanted:
            return columns
        was_training = self.model.training
        try:
            if "gradients" in self.wanted:
                with self.model.drawing(Purpose.DIAGNOSTICS, epoch):
                    columns |= self._gradients(epoch)
            with torch.no_grad():
                columns |= self._units()
                if "noise" in self.wanted:
                    with self.model.drawing(Purpose.MEASURED_NOISE, epoch):
                        columns |= self._noise(epoch)
        finally:
            self.model.train(was_training)
        return columns

    def _units(self) -> Columns:
        """Measure the hidden units on test examples."""
        columns: Columns = {}
        hidden: list[Tensor] = []
        x = self.splits.pixels(self.test.images).unsqueeze(0)  # (1, examples, inputs)
        self.model.eval()(x, hidden)
        for name, measures in _OF_LAYERS.items():
            if name in self.wanted:
                for measure in measures:
                    for layer, h in enumerate(hidden, start=1):
                        columns[f"{measure}_{layer}"] = getattr(unit_statistics, measure)(h)
        if "co_adaptation" in self.wanted:
            for share in unit_statistics.REMOVED:
                accuracy = unit_statistics.accuracy_without(
                    self.model, x, self.test.labels, self.seeds, share
                )
                columns[f"removed_{share}_test_accuracy"] = accuracy
        return columns

    def _noise(self, epoch: int) -> Columns:
        """Measure the noise of each dropout layer, and hold it to what its variant claims."""
        columns: Columns = {}
        for place, inputs in self._inputs().items():
            layer = inputs.layer
            measured = inputs.measured(PASSES)
            columns[f"keep_rate_{place}"] = measured.keep_rate
            columns[f"noise_mean_{place}"] = measured.mean
            columns[f"noise_variance_{place}"] = measured.variance
            broken = [claim for claim in claimed(layer, measured) if claim.broken]
            if not broken:
                continue
            # In a large study a true claim is now and then beyond its bound: it must be so twice.
            again = claimed(layer, inputs.measured(4 * PASSES))
            twice = {(claim.what, claim.run): claim for claim in again if claim.broken}
            for claim in broken:
                if (claim.what, claim.run) in twice and (claim.run or 0) in self.fleet.going:
                    sure = replace(twice[claim.what, claim.run], run=None)
                    where = f"at place {place}" if place else "at the input"
                    message = f"epoch {epoch}, dropout {where}: {sure}"
                    self.fleet.broken.setdefault(claim.run or 0, message)
        return columns

    def _inputs(self) -> dict[int, "_Inputs"]:
        """Return what each dropout layer is given of some test examples, dropout off."""
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
                entering = Entering(self.model.weights[place - 1], z[place - 1])
                inputs[place] = _Inputs(layer, h[place - 1], weight, entering)
            else:
                inputs[place] = _Inputs(layer, x.expand(self.model.runs, -1, -1), weight, None)
        return inputs

    def _gradients(self, epoch: int) -> Columns:
        """Compare gradients of mini-batches with each other and with that of the whole."""
        whole = whole_gradient(self.model.eval(), self.train, self.splits)
        return gradient_measures(self.model.train(), self._batches(epoch), whole)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield mini-batches of training examples, drawn for each run from its own seed."""
        part = self.splits.train
        size = self.settings.training.batch_size
        draws = [stream(Purpose.DIAGNOSTICS, seed, 0, epoch, 0) for seed in self.seeds]
        for _ in range(_BATCHES):
            picked = [draw.choice(len(part), size, replace=False) for draw in draws]
            indices = torch.stack([torch.from_numpy(each) for each in picked])
            indices = indices.to(part.labels.device)  # (runs, batch)
            yield self.splits.pixels(part.images[indices]), part.labels[indices]
