"""What the variants share that learn their noise: p is where it starts."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.devices import to_device
from dropout_lab.layers.base import Dropout

NOT_BEGUN = (
    "what this layer learns has not been made: put it into DropoutLinear(in, out, layer), or call "
    "layer.begin(weight, activation) with the weights that follow it, of shape (in, out)."
)


class LearnedDropout(Dropout):
    """Base of the layers with parameters of their own.

    ``p`` is where learning starts; read, it is the p in force. Where it starts at 0 nothing is
    dropped and nothing learned. A ``state_dict`` without the learned parameters loads, and leaves
    them as they are, so one of the same net with ``nn.Dropout`` does.
    """

    def p_in_force(self) -> Tensor:
        """Return the learned p; 0 where nothing is dropped."""
        learned = self.learned_p().detach().double().cpu()
        return torch.where(self.dropped(), learned, 0.0)

    def learned_p(self) -> Tensor:
        """Return the p that the learned parameters stand for; mean over what has its own."""
        raise NotImplementedError

    def restart(self) -> None:
        """Put the learned parameters where p says."""
        raise NotImplementedError

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return where there is noise: p above 0."""
        return (p > 0,)

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the layer."""
        return f"p={self._asked} at the start, mask={self.mask!r}"

    def started(self) -> Tensor:
        """Return the p to start from, float64, in (0, 1) also where nothing is dropped."""
        return self._p.where(self.dropped(), 0.5)

    def active(self, like: Tensor) -> Tensor:
        """Return, for each run, 1 where there is noise and 0 where there is none."""
        return to_device(self.dropped().to(like.dtype), like.device)

    def set_parameter(self, name: str, values: Tensor) -> None:
        """Give a learned parameter its values, keeping the parameter if it is there."""
        values = values.to(torch.get_default_dtype())
        parameter = self._parameters.get(name)
        if parameter is None or parameter.shape != values.shape:
            if values.device.type == "cpu":
                values = values.to(torch.get_default_device())
            self.register_parameter(name, torch.nn.Parameter(values.contiguous()))
        elif values.is_meta and not parameter.is_meta:  # begun with weights that had no values
            raise ValueError(NOT_BEGUN)
        else:
            with torch.no_grad():
                parameter.copy_(values)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *lists: Any
    ) -> None:
        missing, unexpected, errors = lists
        own = {prefix + name for name in self._parameters}
        found: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, found, unexpected, errors
        )
        missing += [name for name in found if name not in own]
