"""Pass a batch of ones through dropout and a linear map, and compute gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout, affine
from dropout_lab.lessons.draws import normal_draws
from dropout_lab.metrics import losses

INPUTS, CLASSES = 10, 5
LABELS = (0, 4, 2, 1, 4, 3, 0, 2)
_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class ForwardPass:
    """Hold examples of ones after dropout, and the linear map that follows; float64.

    Args:
        inputs: The examples with dropout on, ``(examples, 10)``.
        labels: ``(examples,)``.
        weight: ``(10, 5)``, with a row for each input.
        bias: ``(1, 5)``.
    """

    inputs: Tensor
    labels: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def run(cls, layer: InvertedDropout, seed: int) -> "ForwardPass":
        """Pass ones through the layer once; all later results use the same masks."""
        ones = torch.ones(len(LABELS), INPUTS, dtype=torch.float64)
        weight = normal_draws((INPUTS, CLASSES), seed, 1) / INPUTS**0.5
        bias = normal_draws((1, CLASSES), seed, 2) / INPUTS**0.5
        return cls(layer(ones), torch.tensor(LABELS), weight, bias)

    def first_examples(self, examples: int) -> "ForwardPass":
        """Return the first few examples."""
        return ForwardPass(self.inputs[:examples], self.labels[:examples], self.weight, self.bias)

    @property
    def keep_mask(self) -> Tensor:
        """Return which inputs are kept; a kept 1 is at least 1."""
        return self.inputs > 0.5

    @property
    def always_dropped_inputs(self) -> Tensor:
        """Return which inputs are dropped in every example."""
        return ~self.keep_mask.any(dim=0)

    def logits(self) -> Tensor:
        """Return the logits, ``(examples, 5)``."""
        return affine(self.inputs, self.weight, self.bias)

    def gradient(self) -> Tensor:
        """Compute the gradient of the mean cross-entropy by the weights, ``(10, 5)``."""
        weight = self.weight.clone().requires_grad_()
        logits = affine(self.inputs, weight, self.bias)
        loss = losses(logits.unsqueeze(0), self.labels.unsqueeze(0))
        (gradient,) = torch.autograd.grad(loss.sum(), weight)
        return gradient

    def example_gradients(self) -> Tensor:
        """Compute the gradient of each single example, ``(examples, 10, 5)``."""
        single_examples = [
            ForwardPass(
                self.inputs[index : index + 1],
                self.labels[index : index + 1],
                self.weight,
                self.bias,
            )
            for index in range(len(self.labels))
        ]
        return torch.stack([example.gradient() for example in single_examples])

    def rounding(self) -> float:
        """Bound the rounding difference between two ways to compute a gradient.

        A logit is a sum of 11 terms, so two orders of addition differ by at most 11 eps times the
        sum of the terms' sizes. A probability changes by at most half of that plus a few eps of its
        own. A gradient is a kept input times a probability error, and a mean over at most 8
        examples.
        """
        logit_size = float((self.inputs.abs() @ self.weight.abs() + self.bias.abs()).max())
        return 16 * _EPS * float(self.inputs.max().clamp(min=1)) * (1 + logit_size)
