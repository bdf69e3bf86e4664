"""A linear layer with any dropout variant, which replaces ``nn.Linear`` in a PyTorch model."""

import torch
from torch import Tensor, nn

from dropout_lab.layers.base import Dropout, UnitInputs
from dropout_lab.layers.constants import not_floating_error


class DropoutLinear(nn.Linear):
    """Dropout followed by a linear map, as one layer.

    Use it for variants that act on weights, and for variants with learned parameters, which it
    creates. Without learned parameters its ``state_dict`` has the same keys as ``nn.Linear``.

    Args:
        in_features: Number of input units.
        out_features: Number of output units.
        dropout: The dropout layer, for the input units and their outgoing weights.
        bias: Whether there is a bias.
        activation: The next activation: ``relu``, ``softmax``, ... Only ``fast`` reads it.
        device: Device of the weights and of the learned parameters.
        dtype: Dtype of the weights.

    Shape:
        ``x``: ``(..., in_features)``. Output: ``(..., out_features)``. All leading axes together
        are the batch; a 1-d ``x`` is a batch of one example.

    Raises:
        ValueError: ``x`` is 0-d.

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
            dropout.setup(self.weight.T, activation)
        if device is not None:
            dropout.to(self.weight.device)

    def forward(self, x: Tensor, entering: UnitInputs | None = None) -> Tensor:
        """Apply dropout and the linear map to ``x``.

        Args:
            x: ``(..., in_features)``.
            entering: Incoming weights and pre-activations of the input units, for the variants that
                need them. The pre-activations have the shape of ``x``.
        """
        if self.dropout.variant.noisy and not x.is_floating_point():
            raise not_floating_error(x)
        bias = None if self.bias is None else self.bias.unsqueeze(0)
        if x.ndim == 2:
            return self.dropout.connect(x, self.weight.T, bias, entering)
        if entering is not None:
            entering = UnitInputs(entering.weight, _rows(entering.preactivation))
        z = self.dropout.connect(_rows(x), self.weight.T, bias, entering)
        return z.reshape(*x.shape[:-1], self.out_features)

    def penalty(self, progress: float = 1.0) -> Tensor | None:
        """Return the term that the layer adds to the loss; see :meth:`Dropout.penalty`."""
        return self.dropout.penalty(self.weight.T, progress)

    def constrain(self) -> None:
        """Update noise that follows gradients, and clip learned parameters.

        Call after each optimizer step, before the gradients are set to zero.
        """
        with torch.no_grad():
            if self.weight.grad is not None:
                self.dropout.on_gradient(self.weight.grad.T)
            self.dropout.constrain()


def _rows(x: Tensor) -> Tensor:
    """Reshape ``(..., features)`` to ``(batch, features)``."""
    if x.ndim == 0:
        raise ValueError("x has no axis; pass x of shape (features,) or (batch, features).")
    return x.unsqueeze(0) if x.ndim == 1 else x.flatten(end_dim=-2)
