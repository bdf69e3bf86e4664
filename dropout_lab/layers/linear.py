"""A linear layer under any dropout variant, in place of ``nn.Linear`` in anybody's model."""

import torch
from torch import Tensor, nn

from dropout_lab.layers.base import Dropout, Entering
from dropout_lab.layers.constants import not_floating


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
        device: Device of the weights, and of what the variant learns.
        dtype: Dtype of the weights.

    Shape:
        ``x``: ``(..., in_features)``. Output: ``(..., out_features)``. All leading axes count as
        one batch; a 1-d ``x`` is a batch of one example.

    Raises:
        ValueError: ``x`` has no axis.

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.dropout = dropout
        with torch.no_grad():
            dropout.begin(self.weight.T, activation)
        if device is not None:
            dropout.to(self.weight.device)

    def forward(self, x: Tensor, entering: Entering | None = None) -> Tensor:
        """Return the linear map of ``x``, with the variant's noise in training.

        Args:
            x: ``(..., in_features)``.
            entering: What lies before ``x``, for the variants that look there; the preactivation
                has the shape of ``x``.
        """
        if self.dropout.variant.noisy and not x.is_floating_point():
            raise not_floating(x)
        bias = None if self.bias is None else self.bias.unsqueeze(0)
        if x.ndim == 2:
            return self.dropout.connect(x, self.weight.T, bias, entering)
        if entering is not None:
            entering = Entering(entering.weight, _rows(entering.preactivation))
        z = self.dropout.connect(_rows(x), self.weight.T, bias, entering)
        return z.reshape(*x.shape[:-1], self.out_features)

    def penalty(self, progress: float = 1.0) -> Tensor | None:
        """Return what the loss has beside the data's, times the number of examples; see Dropout."""
        return self.dropout.penalty(self.weight.T, progress)


def _rows(x: Tensor) -> Tensor:
    """Return ``(..., features)`` as ``(batch, features)``."""
    if x.ndim == 0:
        raise ValueError("x has no axis; pass x of shape (features,) or (batch, features).")
    return x.unsqueeze(0) if x.ndim == 1 else x.flatten(end_dim=-2)
