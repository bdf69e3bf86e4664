"""The explicit regularizer of dropout: what dropout adds to the expected loss, without noise."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dropout_lab.devices import to_device
from dropout_lab.model import MLP
from dropout_lab.training.replay import without_dropout


def explicit_regularizer(logits: Tensor, units: Sequence[Tensor], odds: Sequence[Tensor]) -> Tensor:
    r"""Return the second-order term of the expected cross-entropy under dropout, for each run.

    .. math:: R = \frac{1}{B} \sum_{b} \sum_{\text{places}} \frac{p}{2 (1 - p)} \sum_i h_i^2
              \left( \sum_c \pi_c J_{ci}^2 - \Big( \sum_c \pi_c J_{ci} \Big)^2 \right), \qquad
              J_{ci} = \frac{\partial z_c}{\partial h_i}

    h are the units of a place, z the logits and pi the class probabilities, dropout off. With the
    Hessian of the cross-entropy ``H = diag(pi) - pi pi'``, the term of a place is
    ``p / (2 (1 - p)) tr(J' H J diag(h**2))``. The result has gradients, through J as well. It takes
    a backward pass for each class.

    Args:
        logits: ``(runs, batch, classes)``.
        units: The units of each place with dropout, ``(runs, batch, units)``, with gradients.
        odds: ``p / (1 - p)`` of each place, ``(runs,)``.

    Returns:
        ``(runs,)``, in nats.

    Paper:
        Wei, Kakade, Ma (2020), The Implicit and Explicit Regularization Effects of Dropout, ICML.
        The formula is the Taylor expansion of the loss in the noise; that the paper sums it over
        the layers is [unverified].
    """
    probabilities = logits.softmax(dim=-1)
    means = [torch.zeros_like(h) for h in units]
    squares = [torch.zeros_like(h) for h in units]
    for index in range(logits.shape[-1]):
        chance = probabilities[..., index, None]
        slopes = torch.autograd.grad(logits[..., index].sum(), units, create_graph=True)
        for place, slope in enumerate(slopes):
            means[place] = means[place] + chance * slope
            squares[place] = squares[place] + chance * slope * slope
    total = torch.zeros(logits.shape[0], dtype=logits.dtype, device=logits.device)
    for h, mean, square, ratio in zip(units, means, squares, odds, strict=True):
        of_examples = (h * h * (square - mean * mean)).sum(dim=-1)
        total = total + ratio.to(total) / 2 * of_examples.mean(dim=-1)
    return total


class ExplicitPass:
    """A forward pass with dropout off, and its explicit regularizer.

    Args:
        model: The networks.
    """

    def __init__(self, model: MLP) -> None:
        self.model = model
        layers = enumerate(model.places())
        self.places = [place for place, (layer, _, _) in layers if layer.variant.noisy]

    def __call__(self, x: Tensor, hidden: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits, and the regularizer of each run.

        Args:
            x: ``(runs, batch, inputs)``.
            hidden: A list to append the activations of each hidden layer to.
        """
        if 0 in self.places:
            x = x.detach().clone().requires_grad_()
        with without_dropout(self.model):
            logits: Tensor = self.model(x, hidden)
        every = (x, *hidden)
        ps = [self.model.places()[place][0].p for place in self.places]
        odds = [to_device(p / (1 - p), x.device) for p in ps]
        units = [every[place] for place in self.places]
        return logits, explicit_regularizer(logits, units, odds)
