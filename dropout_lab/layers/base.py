"""Base classes of the dropout layers, with the hooks that a variant can override."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.coins import (
    Numbers,
    keep_mask,
    keep_threshold,
    round_to_lanes,
    uniform_draws,
)
from dropout_lab.layers.constants import (
    cpu_tensor,
    is_reusable,
    make_broadcastable,
    not_floating_error,
)
from dropout_lab.layers.old_names import renamed_class, support_old_hooks
from dropout_lab.rng import Noise, TorchNoise
from dropout_lab.variant import Variant

Mask = Literal["element", "batch"]
MASKS: tuple[Mask, ...] = ("element", "batch")


@dataclass(frozen=True)
class UnitInputs:
    """Incoming weights and pre-activations of the units of a hidden layer.

    Args:
        weight: The incoming weights of the units, ``(runs, in, units)``.
        preactivation: The pre-activations of the units, ``(runs, batch, units)``.
    """

    weight: Tensor
    preactivation: Tensor


class Dropout(nn.Module):
    """Base class of all dropout layers: a drop probability and a source of noise.

    A layer acts at a place of a network: at the input or after a hidden layer. A variant overrides
    ``drop`` (see :class:`UnitDropout`) or ``connect``. The other hooks are optional: ``setup``,
    ``on_p_set``, ``constants``, ``select_incoming``, ``select_outgoing``, ``penalty``,
    ``batch_penalty``, ``mirrored_term``, ``on_gradient``, ``constrain``, ``sparsity`` and
    ``moments``.

    ``p`` can be set at any time. If p is 0, the layer drops nothing and learns nothing. ``p`` has
    no entry in ``state_dict``, so a checkpoint of the same network with ``nn.Dropout`` loads.

    Args:
        p: The drop probability, in [0, 1]: one number, or a tensor whose axes are the leading axes
            of the input. Shape ``(runs,)`` gives each run of a fleet its own p.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Raises:
        ValueError: ``p`` is outside its range or nan, or ``mask`` is unknown.
    """

    variant: ClassVar[Variant] = Variant(formula="", p="probability of dropping", paper="")
    rounds_p: ClassVar[bool] = False  # whether p is rounded to a multiple of 1/65,536
    prunable: ClassVar[bool] = False  # whether evaluation depends on ``pruned``
    pruned = False  # whether evaluation uses the pruned network

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        support_old_hooks(cls)

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        super().__init__()
        if mask not in MASKS:
            raise ValueError(f"mask is {mask!r}; it must be one of {', '.join(MASKS)}.")
        self.mask = mask
        self.noise: Noise = TorchNoise() if noise is None else noise
        self.p = p

    @property
    def p(self) -> Tensor:
        """The current drop probability: float64, scalar or with the leading axes of the input."""
        return self.current_p()

    @p.setter
    def p(self, p: float | Tensor) -> None:
        given = self._validate_p(p)
        # Numbers, not tensors: a tensor belongs to the PyTorch mode in which it is created.
        self._given_p, self._p_values = given.tolist(), self._round_p(given).tolist()
        self._p_axes = given.ndim
        self.all_p_positive = bool((given > 0).all())
        self._constants_cache: dict[tuple[object, ...], tuple[Tensor, ...]] = {}
        self.on_p_set()

    @property
    def _p(self) -> Tensor:
        """The p that was set, after rounding: float64, on the CPU."""
        return cpu_tensor(self._p_values, torch.float64)

    def current_p(self) -> Tensor:
        """Return the current drop probability. Variants that learn p override this."""
        return self._p

    def on_p_set(self) -> None:
        """Update what depends on p. Called each time p is set."""

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply dropout and the linear map to the next layer.

        Args:
            x: The units at this place, ``(runs, batch, in)``.
            weight: The outgoing weights, ``(runs, in, out)``.
            bias: ``(runs, 1, out)`` or None.
            entering: Incoming weights and pre-activations of the units; None at the input.

        Shape:
            Output: ``(runs, batch, out)``. All tensors may omit the run axis.
        """
        raise NotImplementedError

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance of the output of :meth:`connect` in training, over the noise.

        Shape:
            As the output of :meth:`connect`. The variance is None if there is no noise.

        Raises:
            NotImplementedError: The variant has no closed form for the moments.
        """
        raise NotImplementedError

    def setup(self, weight: Tensor, activation: str) -> None:
        """Prepare the layer for its place in a network. Called once, before training.

        Args:
            weight: The outgoing weights, ``(runs, in, out)``, or without the run axis.
            activation: The next activation; ``softmax`` before the output layer.
        """

    def select_incoming(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the incoming weights and biases that this batch uses."""
        return weight, bias

    def select_outgoing(self, weight: Tensor) -> Tensor:
        """Return the outgoing weights that this batch uses."""
        return weight

    def penalty(self, weight: Tensor, progress: float) -> Tensor | None:
        """Return the term that the layer adds to the loss of each run, times the N examples.

        Args:
            weight: The outgoing weights, ``(runs, in, out)``.
            progress: Completed fraction of the training, in [0, 1].

        Returns:
            The term in nats, ``(runs,)``, or None without a term.
        """
        return None

    def batch_penalty(self, x: Tensor, progress: float) -> Tensor | None:
        """Return the term that the layer adds to the loss of each run for a batch.

        Args:
            x: The units at this place, ``(runs, batch, in)``, before dropout.
            progress: Completed fraction of the training, in [0, 1].

        Returns:
            The mean of the term over the batch in nats, ``(runs,)``, or None without a term.
        """
        return None

    def mirrored_term(self, lanes: Tensor, difference: Tensor) -> Tensor | None:
        """Return a term of the loss that learns from mirrored masks.

        A layer that overrides this hook draws lanes once in a pass.

        Args:
            lanes: The lanes of this layer in the pass.
            difference: The cross-entropy of each example, minus its cross-entropy in a pass where
                each lane is replaced by -1 - lane: ``(runs, batch)``.

        Returns:
            The mean of the term over the batch in nats, ``(runs,)``, or None without a term.
        """
        return None

    def on_gradient(self, gradient: Tensor) -> None:
        """Update noise that follows the gradient. Called after each optimizer step.

        Args:
            gradient: The gradient of the loss to the outgoing weights, ``(runs, in, out)``.
        """

    def constrain(self) -> None:
        """Clip learned parameters to their range. Call after each optimizer step."""

    def sparsity(self, weight: Tensor) -> Tensor | None:
        """Return the fraction of units or weights that pruning removes, ``(runs,)``, or None."""
        return None

    def extra_repr(self) -> str:
        """Return the arguments that ``print`` shows."""
        return f"p={self._given_p}, mask={self.mask!r}"

    def __getstate__(self) -> dict[str, object]:
        """Return the state for copies and pickles, without the cache of constants."""
        return self.__dict__ | {"_constants_cache": {}}

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the shape of the draws for ``x``; with mask ``batch``, the batch axis is 1."""
        if self.mask == "element":
            return tuple(x.shape)
        if x.ndim < 2:
            raise ValueError(
                f"mask is 'batch' and x has shape {tuple(x.shape)}; one mask for a batch needs a "
                "batch axis, the last but one. Pass x of shape (batch, features)."
            )
        return (*x.shape[:-2], 1, x.shape[-1])

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors in the formula that depend only on p, in the shape of ``p``."""
        return (p,)

    def broadcast_constants(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return :meth:`constants` on the device of ``x``, in a shape that broadcasts with ``x``.

        Floating-point constants have the dtype of ``x``. They are cached until p changes, except
        tensors that belong to a PyTorch mode or transform.
        """
        eager = runs_eagerly()
        key = (type(x), x.device, x.dtype, x.ndim, x.shape[: self._p_axes])
        if eager and key in self._constants_cache:
            return self._constants_cache[key]
        constants = tuple(make_broadcastable(c, x) for c in self.constants(self._p))
        if eager and all(is_reusable(constant) for constant in constants):
            self._constants_cache[key] = constants
        return constants

    def has_noise(self) -> Tensor:
        """Return whether p is above 0, for each run: bool, on the CPU, in the shape of p."""
        return self._p > 0

    def _round_p(self, p: Numbers) -> Numbers:
        """Return the nearest p that the random draws can realize."""
        return round_to_lanes(p) if self.rounds_p else p

    def _validate_p(self, p: float | Tensor) -> Numbers:
        """Return p as a float64 array. Raise ValueError if p is outside its range."""
        numbers = np.asarray(
            p.detach().double().cpu() if isinstance(p, Tensor) else p, dtype=np.float64
        )
        outside = numbers[~((numbers >= 0) & (numbers <= 1))]  # also finds nan
        if outside.size:
            raise ValueError(
                f"p is {outside[0]:g}; a drop probability lies in [0, 1]. "
                "p is the probability of dropping; for a probability q of keeping, pass 1 - q."
            )
        above = numbers[numbers > self.variant.highest_p]
        if above.size:
            most = "a p in [0, 1)" if above[0] == 1 else f"at most {self.variant.highest_p:g}"
            raise ValueError(f"p is {above[0]:g}; {self.variant.beyond}. Give {most}.")
        return numbers


support_old_hooks(Dropout)


class UnitDropout(Dropout):
    """Base class of the layers that apply noise to units. The input may have any shape.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype: ``(runs, batch, features)`` in a fleet,
        ``(batch, features)`` in an ordinary PyTorch model. With ``mask="batch"`` the batch is the
        last axis but one. Output: the same shape and dtype.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`drop` in training and :meth:`eval_forward` in evaluation."""
        if not self.training:
            return self.eval_forward(x)
        if self.variant.noisy and not x.is_floating_point():
            raise not_floating_error(x)
        return self.drop(x)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise, for training."""
        raise NotImplementedError

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return the output in evaluation, by default ``x``. Must not draw noise."""
        return x

    def uniform(self, x: Tensor) -> Tensor:
        """Draw noise for ``x``, uniform on (0, 1), for each example or each batch as ``mask`` says.

        Shape:
            As ``x``; with mask ``batch``, the batch axis is 1. The dtype is that of ``x``. A draw
            has 32 bits before it is rounded to this dtype, and is never 0 or 1.
        """
        draws = uniform_draws(self.noise, self.noise_shape(x), x.device).to(x.dtype)
        limits = torch.finfo(x.dtype)
        return draws.clamp(limits.tiny, 1 - limits.eps / 2)

    def normal(self, x: Tensor) -> Tensor:
        """Draw standard normal noise for ``x``, for each example or each batch as ``mask`` says.

        Shape:
            As ``x``; with mask ``batch``, the batch axis is 1. The dtype is that of ``x``.
        """
        return self.noise.normal(self.noise_shape(x), x.device).to(x.dtype)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply this layer to ``x``, then the linear map to the next layer."""
        return affine(self(x), weight, bias)


class WeightDropout(Dropout):
    """Base class of the layers that apply noise to weights. They override :meth:`connect`."""

    def forward(self, x: Tensor) -> Tensor:
        """Raise TypeError, because the layer needs weights."""
        name = type(self).__name__
        raise TypeError(
            f"{name} acts on weights, not on units alone; write "
            f"DropoutLinear(in, out, {name}(...)) in place of nn.Linear(in, out), or call "
            "connect(x, weight, bias)."
        )


class BernoulliDropout(UnitDropout):
    """Base class of the layers that keep each unit with probability 1 - p.

    The layer compares 16-bit random integers with a threshold. So p is rounded to a multiple of
    1/65,536; a p between 0 and 1 is never rounded to 0 or 1. The layer uses and reports the rounded
    p. Masks are nested: with the same draws, a unit that is kept at some p is kept at all lower p.
    """

    rounds_p = True

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times :meth:`kept_scale` for kept units, and 0 for dropped units."""
        threshold, kept_scale, _ = self.broadcast_constants(x)
        lanes = self.noise.lanes(self.noise_shape(x), x.device)
        return x * keep_mask(lanes, threshold).to(x.dtype).mul_(kept_scale)

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return the factor of a kept unit in training. It is ignored where p is 1."""
        return torch.ones_like(p)

    def eval_scale(self, p: Tensor) -> Tensor:
        """Return the factor of each unit in evaluation."""
        return torch.ones_like(p)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold and the factors in training and in evaluation."""
        return keep_threshold(p), self.kept_scale(p) * (p < 1), self.eval_scale(p)


def require_nonnegative(name: str, value: float) -> float:
    """Return a value that must be finite and at least 0.

    Raises:
        ValueError: The value is negative, infinite or nan.
    """
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value:g}; it must be a number of at least 0.")
    return value


def __getattr__(name: str) -> Any:
    return renamed_class(__name__, name)
