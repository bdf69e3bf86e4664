"""Train six implementations of dropout, and a network that returns the wrong variable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.data import Examples, Splits
from dropout_lab.layers import UnitDropout, UnscaledDropout
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.paired_differences import final_values
from dropout_lab.lessons.training import TrainedFleet, make_settings, train_fleet
from dropout_lab.metrics import Scores, Tally
from dropout_lab.model import MLP
from dropout_lab.plugins import joined
from dropout_lab.training.evaluation import evaluate
from dropout_lab.training.loop import data_order
from dropout_lab.update_rules import Adam

OUR_LAYER, TORCH_LAYER, PUBLISHED = "ours", "nn.Dropout", "as published"
CORRECTED, BASELINE, LINEAR = "corrected", "no dropout", "no activation"
EPOCHS, LEARNING_RATE = 2, 0.001
_UNITS, _CLASSES = 512, 10
_SCORED_AT_ONCE = 1_000  # examples; limits memory


class LibraryDropout(UnitDropout):
    """Apply ``nn.Dropout`` in training, with draws from PyTorch's global generator."""

    variant = CATALOGUE["inverted"]

    def drop(self, x: Tensor) -> Tensor:
        """Apply the library's dropout to ``x``."""
        return nn.functional.dropout(x, float(self.p.max()))


@dataclass(frozen=True)
class Implementation:
    """Describe an implementation of dropout by the settings of its network."""

    description: str
    values: Mapping[str, str]


IMPLEMENTATIONS = {
    OUR_LAYER: Implementation("mask per example, / (1 - p)", {}),
    TORCH_LAYER: Implementation("the same, from PyTorch", {"dropout.variant": "library"}),
    PUBLISHED: Implementation(
        "mask per batch, no scaling", {"dropout.variant": "unscaled", "dropout.mask": "batch"}
    ),
    CORRECTED: Implementation("mask per batch, / (1 - p)", {"dropout.mask": "batch"}),
    BASELINE: Implementation("nothing is dropped", {"dropout.variant": "none"}),
    LINEAR: Implementation("ours without activations", {"model.activation": "linear"}),
}


@dataclass(frozen=True)
class TrainedImplementations:
    """Hold the trained networks of every implementation.

    Args:
        fleets: For each implementation, the networks and records, in the order of the seeds.
        seeds: The number of seeds.
    """

    fleets: dict[str, TrainedFleet]
    seeds: int

    def f1(self, implementation: str) -> list[float]:
        """Return the test macro F1 of an implementation, seed by seed."""
        return final_values(self.fleets[implementation].records, "test_macro_f1")

    def loss(self, implementation: str) -> list[float]:
        """Return the test NLL of an implementation in nats, seed by seed."""
        return final_values(self.fleets[implementation].records, "test_loss")


def train_implementations(
    p: float, seeds: Sequence[int], batch: int, images: Splits
) -> TrainedImplementations:
    """Train every implementation with the same seeds, i.e. initial weights and data order.

    Args:
        p: The dropout rate before the output layer.
        seeds: The seeds of the runs.
        batch: The batch size.
        images: MNIST.
    """
    shared = {
        "dropout.p": p,
        "dropout.placement": [2],
        "training.epochs": EPOCHS,
        "training.batch_size": batch,
        "training.optimizer": "adam",
        "training.learning_rate": LEARNING_RATE,
        "evaluation.every": EPOCHS,
        "evaluation.train_examples": 1,
    }
    fleets = {}
    with joined({"library": LibraryDropout}), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds[0])  # for the library's masks
        for name, implementation in IMPLEMENTATIONS.items():
            fleets[name] = train_fleet(
                [make_settings({**shared, **implementation.values})], seeds, images
            )
    return TrainedImplementations(fleets, len(seeds))


@dataclass(frozen=True)
class ScaledNetworks:
    """Hold scores of networks trained without scaling, whose output weights are scaled after.

    Args:
        description: The factor of the weights, as a formula.
        factor: The value of the factor.
        f1: The macro F1, seed by seed.
        loss: The NLL in nats, seed by seed.
    """

    description: str
    factor: float
    f1: list[float]
    loss: list[float]


def scale_in_evaluation(
    trained_fleet: TrainedFleet, p: float, images: Splits
) -> list[ScaledNetworks]:
    """Measure networks with three factors of the output weights, then restore the weights."""
    model = trained_fleet.fleet.model
    weights = model.weights[-1]
    trained_weights = weights.detach().clone()
    scaled_networks = []
    for formula, factor in (("1 - p", 1 - p), ("1", 1.0), ("1 / (1 - p)", 1 / (1 - p))):
        with torch.no_grad():
            weights.copy_(factor * trained_weights)
        scores = evaluate(model, images.test, images)
        scaled_networks.append(
            ScaledNetworks(formula, factor, scores.macro_f1.tolist(), scores.loss.tolist())
        )
    with torch.no_grad():
        weights.copy_(trained_weights)
    return scaled_networks


def merged_layer_errors(trained_fleet: TrainedFleet, x: Tensor) -> tuple[float, float]:
    """Return the largest absolute and relative logit error of one merged linear map."""
    model = trained_fleet.fleet.model.double().eval()
    with torch.no_grad():
        differences = (model(x) - _merged_logits(model, x)).abs()
        term_sums = _merged_logits(model, x, sizes=True)
    return float(differences.max()), float((differences / term_sums).max())


def _merged_logits(model: MLP, x: Tensor, *, sizes: bool = False) -> Tensor:
    """Compute the logits by the product of all weights; ``sizes``: the sum of absolute terms."""
    w1, w2, w3 = (parameter.abs() if sizes else parameter for parameter in model.weights)
    b1, b2, b3 = (parameter.abs() if sizes else parameter for parameter in model.biases)
    merged_weight, merged_bias = w1 @ w2 @ w3, b1 @ w2 @ w3 + b2 @ w3 + b3
    logits: Tensor = (x.abs() if sizes else x) @ merged_weight + merged_bias
    return logits


class WrongOutput(nn.Module):
    """Build 784-512-512-10 as published: compute ``output`` but return ``x``.

    Args:
        p: The dropout rate of the second layer, with one mask for the whole batch.
        seed: The seed of the masks.
    """

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.layer_1 = nn.Linear(28 * 28, _UNITS)
        self.layer_2 = nn.Linear(_UNITS, _UNITS)
        self.layer_3 = nn.Linear(_UNITS, _CLASSES)
        self.dropout = UnscaledDropout(p, mask="batch", noise=noise_source(seed, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the input of the output layer: ``(batch, 512)``."""
        x = self.layer_2(self.layer_1(x))
        x = self.dropout(x)
        output = self.layer_3(x)  # noqa: F841  # the mistake
        return x


@dataclass(frozen=True)
class WrongOutputResult:
    """Hold the result of training with the labels 0 to 9 for the 512 outputs.

    Args:
        scores: The scores on the test images, dropout off, over 512 classes.
        outside_digits: The number of test images whose largest output is not one of the ten digits.
        moved_parameters: The number of weights and biases of the output layer that training
            changed.
    """

    scores: Scores
    outside_digits: int
    moved_parameters: int


def train_wrong_output(
    p: float, seed: int, images: Splits, *, epochs: int, batch_size: int, learning_rate: float
) -> WrongOutputResult:
    """Train the network with Adam on the cross-entropy of its 512 outputs, and score it.

    The initial weights come from PyTorch's global generator, whose state is restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WrongOutput(p, seed)
    initial_parameters = [parameter.detach().clone() for parameter in network.layer_3.parameters()]
    group = {"params": list(network.parameters()), "lr": learning_rate, "weight_decay": 0.0}
    updates = Adam([group], decoupled=False)
    for epoch in range(1, epochs + 1):
        for indices in data_order([seed], epoch, len(images.train))[0].split(batch_size):
            batch = images.train[indices]
            loss = nn.functional.cross_entropy(network(images.pixels(batch.images)), batch.labels)
            network.zero_grad()
            loss.backward()
            updates.step()
    final_parameters = network.layer_3.parameters()
    moved_parameters = sum(
        int((a != b).sum()) for a, b in zip(initial_parameters, final_parameters, strict=True)
    )
    scores, outside_digits = _score_outputs(network.eval(), images, images.test)
    return WrongOutputResult(scores, outside_digits, moved_parameters)


def _score_outputs(network: WrongOutput, images: Splits, examples: Examples) -> tuple[Scores, int]:
    tally, outside_digits = Tally(1, _UNITS, torch.device("cpu")), 0
    with torch.inference_mode():
        for batch, labels in zip(
            examples.images.split(_SCORED_AT_ONCE),
            examples.labels.split(_SCORED_AT_ONCE),
            strict=True,
        ):
            outputs = network(images.pixels(batch))
            tally.add(outputs.unsqueeze(0), labels.unsqueeze(0))
            outside_digits += int((outputs.argmax(dim=1) >= _CLASSES).sum())
    return tally.scores(), outside_digits
