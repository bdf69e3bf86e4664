"""What else is measured of a network while it trains: its units, its gradients, its noise."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings, p_of_places
from dropout_lab.data import Examples, Splits, stratified
from dropout_lab.model import MLP
from dropout_lab.noise import Purpose, stream
from dropout_lab.training import units
from dropout_lab.training.gradients import gradient_measures, whole_gradient

_BATCHES = 20  # mini-batches whose gradients are compared
_EXAMPLES = 1_000  # of the test part, at most

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
    columns["co_adaptation"] += [f"removed_{share}_test_accuracy" for share in units.REMOVED]
    columns["gradients"] = list(_GRADIENTS)
    columns["noise"] = [f"{name}_{place}" for name in _NOISE for place in p_of_places(settings)]
    return tuple(column for name in settings.evaluation.diagnostics for column in columns[name])


class Diagnostics:
    """Measures what the settings ask for; it draws from streams of its own and changes nothing.

    Args:
        model: The networks.
        settings: Those the runs share.
        seeds: The seed of each run.
        splits: The data.
        train: The training examples that are measured.
    """

    def __init__(
        self,
        model: MLP,
        settings: Settings,
        seeds: Sequence[int],
        splits: Splits,
        train: Examples,
    ) -> None:
        self.model, self.settings, self.seeds = model, settings, seeds
        self.splits, self.train = splits, train
        self.wanted = settings.evaluation.diagnostics
        labels = splits.test.labels
        size = min(_EXAMPLES, len(labels))
        generator = stream(Purpose.DIAGNOSTICS, settings.dataset.split_seed)
        chosen = torch.from_numpy(stratified(labels.cpu().numpy(), size, generator))
        self.test = splits.test[chosen.to(labels.device)]

    def __call__(self, epoch: int) -> Columns:
        """Measure the networks as they stand after an epoch."""
        columns: Columns = {}
        if not self.wanted:
            return columns
        was_training = self.model.training
        try:
            with self.model.drawing(Purpose.DIAGNOSTICS, epoch):
                if "gradients" in self.wanted:
                    columns |= self._gradients(epoch)
                with torch.no_grad():
                    columns |= self._units()
        finally:
            self.model.train(was_training)
        return columns

    def _units(self) -> Columns:
        """Measure the hidden units on test examples."""
        columns: Columns = {}
        hidden: list[Tensor] = []
        x = self.splits.pixels(self.test.images).unsqueeze(0)  # (1, examples, 784)
        self.model.eval()(x, hidden)
        for name, measures in _OF_LAYERS.items():
            if name in self.wanted:
                for measure in measures:
                    for layer, h in enumerate(hidden, start=1):
                        columns[f"{measure}_{layer}"] = getattr(units, measure)(h)
        if "co_adaptation" in self.wanted:
            for share in units.REMOVED:
                accuracy = units.accuracy_without(
                    self.model, x, self.test.labels, self.seeds, share
                )
                columns[f"removed_{share}_test_accuracy"] = accuracy
        return columns

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
