"""A linear layer under any dropout variant, in place of ``nn.Linear`` in anybody's model."""

import torch
from torch import Tensor, nn

from dropout_lab.layers.base import Dropout, Entering


class DropoutLinear(nn.Linear):
    """Dropout and the linear map that follows it, as one layer.

    It is how variants that act on weights enter a model, and what they learn begins. Where nothing
    is learned its ``state_dict`` is that of ``nn.Linear``.

    Args:
        in_features: Units that enter.
        out_features: Units that leave.
        dropout: The variant, over the units that enter and the weights that leave them.
        bias: Whether there is a bias.
        activation: What the map leads to, for the variants that ask: ``relu``, ``softmax``, ...

    Shape:
        ``x``: ``(batch, in_features)``. Output: ``(batch, out_features)``.

    Example:
        >>> from dropout_lab.layers import DropConnect
        >>> DropoutLinear(784, 10, DropConnect(0.5))(torch.rand(8, 784)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        dropout: Dropout,
        *,
        bias: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.dropout = dropout
        with torch.no_grad():
            dropout.begin(self.weight.T, activation)

    def forward(self, x: Tensor, entering: Entering | None = None) -> Tensor:
        """Return the linear map of ``x``, with the variant's noise in training.

        Args:
            x: ``(batch, in_features)``.
            entering: What lies before ``x``, for the variants that look there.
        """
        bias = None if self.bias is None else self.bias.unsqueeze(0)
        return self.dropout.connect(x, self.weight.T, bias, entering)

    def penalty(self, progress: float = 1.0) -> Tensor | None:
        """Return what the loss has beside the data's, times the number of examples; see Dropout."""
        return self.dropout.penalty(self.weight.T, progress)
