"""Base class of the variants that learn their noise."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.devices import to_device
from dropout_lab.layers.base import Dropout

NOT_SET_UP = (
    "the learned parameters of this layer do not exist yet: put it into DropoutLinear(in, out, "
    "layer), or call layer.setup(weight, activation) with its outgoing weights, of shape (in, out)."
)


class LearnedDropout(Dropout):
    """Base class of the layers with learned parameters.

    Setting ``p`` sets where learning starts; reading ``p`` returns the current p. Runs that start
    at p = 0 drop nothing and learn nothing. A ``state_dict`` without the learned parameters loads
    and leaves them unchanged. So the ``state_dict`` of the same network with ``nn.Dropout`` loads.
    """

    def current_p(self) -> Tensor:
        """Return the learned p, and 0 in runs without noise."""
        learned = self.learned_p().detach().double().cpu()
        return torch.where(self.has_noise(), learned, 0.0)

    def learned_p(self) -> Tensor:
        """Return the p of the learned parameters; their mean if there are several per run."""
        raise NotImplementedError

    def on_p_set(self) -> None:
        """Reset the learned parameters to their initial values at p."""
        raise NotImplementedError

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return whether there is noise: p above 0."""
        return (p > 0,)

    def extra_repr(self) -> str:
        """Return the arguments that ``print`` shows."""
        return f"p={self._given_p} at the start, mask={self.mask!r}"

    def initial_p(self) -> Tensor:
        """Return the p where learning starts, float64; 0.5 in runs without noise."""
        return self._p.where(self.has_noise(), 0.5)

    def noise_indicator(self, like: Tensor) -> Tensor:
        """Return 1 for runs with noise and 0 for the others, with dtype and device of ``like``."""
        return to_device(self.has_noise().to(like.dtype), like.device)

    def set_parameter(self, name: str, values: Tensor) -> None:
        """Set the values of a learned parameter. Create it if it is missing or changes shape."""
        values = values.to(torch.get_default_dtype())
        parameter = self._parameters.get(name)
        if parameter is None or parameter.shape != values.shape:
            if values.device.type == "cpu":
                values = values.to(torch.get_default_device())
            self.register_parameter(name, torch.nn.Parameter(values.contiguous()))
        elif values.is_meta and not parameter.is_meta:  # setup got weights without values
            raise ValueError(NOT_SET_UP)
        else:
            with torch.no_grad():
                parameter.copy_(values)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *lists: Any
    ) -> None:
        """Load a state dict. Learned parameters may be missing from it."""
        missing, unexpected, errors = lists
        own = {prefix + name for name in self._parameters}
        found: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, found, unexpected, errors
        )
        missing += [name for name in found if name not in own]
