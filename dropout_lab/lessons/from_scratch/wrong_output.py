"""A network whose forward pass returns the hidden units and not the output, trained plainly."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dropout_lab.data import Examples, Splits
from dropout_lab.layers import UnscaledDropout
from dropout_lab.lessons.draws import noise
from dropout_lab.metrics import Scores, Tally
from dropout_lab.training.loop import data_order
from dropout_lab.update_rules import Adam

_UNITS, _CLASSES = 512, 10
_SCORED_AT_ONCE = 1_000  # examples; bounds the memory


class WrongOutput(nn.Module):
    """784-512-512-10, as it is found written down: ``output`` is computed, ``x`` is returned.

    Args:
        p: The chance of dropping a unit of the second layer, for the whole batch at once.
        seed: Of its masks.
    """

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.layer_1 = nn.Linear(28 * 28, _UNITS)
        self.layer_2 = nn.Linear(_UNITS, _UNITS)
        self.layer_3 = nn.Linear(_UNITS, _CLASSES)
        self.dropout = UnscaledDropout(p, mask="batch", noise=noise(seed, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return what was meant to enter the output layer: ``(batch, 512)``."""
        x = self.layer_2(self.layer_1(x))
        x = self.dropout(x)
        output = self.layer_3(x)  # noqa: F841  # the mistake that is shown
        return x


@dataclass(frozen=True)
class WronglyTrained:
    """What came out of training it with the labels 0 to 9 for the 512 outputs.

    Args:
        scores: On the test images, dropout off, over 512 classes.
        outside: Test images whose largest output is none of the ten digits'.
        moved: Weights and biases of the output layer that training changed.
    """

    scores: Scores
    outside: int
    moved: int


def train_wrong_output(
    p: float, seed: int, images: Splits, *, epochs: int, batch_size: int, learning_rate: float
) -> WronglyTrained:
    """Train it with Adam on the cross-entropy of its 512 outputs, and measure it.

    PyTorch's own initial weights are drawn from its global generator, which is put back after.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = WrongOutput(p, seed)
    before = [each.detach().clone() for each in net.layer_3.parameters()]
    group = {"params": list(net.parameters()), "lr": learning_rate, "weight_decay": 0.0}
    updates = Adam([group], decoupled=False)
    for epoch in range(1, epochs + 1):
        for indices in data_order([seed], epoch, len(images.train))[0].split(batch_size):
            batch = images.train[indices]
            loss = nn.functional.cross_entropy(net(images.pixels(batch.images)), batch.labels)
            net.zero_grad()
            loss.backward()
            updates.step()
    after = net.layer_3.parameters()
    moved = sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
    scores, outside = _measured(net.eval(), images, images.test)
    return WronglyTrained(scores, outside, moved)


def _measured(net: WrongOutput, images: Splits, examples: Examples) -> tuple[Scores, int]:
    tally, outside = Tally(1, _UNITS, torch.device("cpu")), 0
    with torch.inference_mode():
        for part, labels in zip(
            examples.images.split(_SCORED_AT_ONCE),
            examples.labels.split(_SCORED_AT_ONCE),
            strict=True,
        ):
            outputs = net(images.pixels(part))
            tally.add(outputs.unsqueeze(0), labels.unsqueeze(0))
            outside += int((outputs.argmax(dim=1) >= _CLASSES).sum())
    return tally.scores(), outside
