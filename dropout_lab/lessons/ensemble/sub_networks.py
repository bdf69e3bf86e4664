"""All sub-networks that dropout at one place of a network stands for, one after the other."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.draws import Replayed, chances, every_mask
from dropout_lab.model import MLP


@dataclass(frozen=True)
class SubNetworks:
    """What all 2^k sub-networks of a network predict, and what is made of it; float64.

    Args:
        chance: Of each mask, ``(2^k,)``.
        logits: ``(2^k, examples, classes)``.
        last: Activations of the last hidden layer, ``(2^k, examples, units)``.
        scaled: Logits of the whole network with dropout off, ``(examples, classes)``: what weight
            scaling makes.
        scaled_last: Activations of its last hidden layer, ``(examples, units)``.
    """

    chance: Tensor
    logits: Tensor
    last: Tensor
    scaled: Tensor
    scaled_last: Tensor

    @property
    def log_p(self) -> Tensor:
        """The log-probabilities of each: ``(2^k, examples, classes)``."""
        return self.logits.log_softmax(dim=-1)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the masks, each counting by its chance."""
        return torch.einsum("m,m...->...", self.chance, values)

    @property
    def arithmetic(self) -> Tensor:
        """The mean of the probabilities: ``(examples, classes)``."""
        return self.mean(self.log_p.exp())

    @property
    def geometric(self) -> Tensor:
        """Their normalized geometric mean: ``(examples, classes)``."""
        return self.mean(self.log_p).softmax(dim=-1)

    @property
    def weight_scaling(self) -> Tensor:
        """The probabilities of the whole network: ``(examples, classes)``."""
        return self.scaled.softmax(dim=-1)


def enumerate_sub_networks(model: MLP, place: int, x: Tensor) -> SubNetworks:
    """Return what every sub-network of a network predicts; its mode and draws stay as they were.

    Args:
        model: One network, with inverted dropout at the place and nowhere else, float64.
        place: Which; 1 is the first hidden layer.
        x: ``(1, examples, 784)``, float64.
    """
    layer = cast(InvertedDropout, model.places()[place][0])
    masks = every_mask(int(model.weights[place].shape[1]))
    before, was_training = layer.noise, model.training
    layer.noise = Replayed(masks)
    logits, last = [], []
    try:
        with torch.no_grad():
            for _ in masks:
                hidden: list[Tensor] = []
                logits.append(model.train()(x, hidden)[0])
                last.append(hidden[-1][0])
            hidden = []
            scaled = model.eval()(x, hidden)[0]
    finally:
        layer.noise = before
        model.train(was_training)
    return SubNetworks(
        chances(masks, float(layer.p)),
        torch.stack(logits),
        torch.stack(last),
        scaled,
        hidden[-1][0],
    )
