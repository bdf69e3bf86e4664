"""What the dropout layers share: p, a noise source, and their place between two layers of a net."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dropout_lab.catalogue import Variant
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.coins import Numbers, coins, keep_threshold, round_to_lanes, uniform
from dropout_lab.layers.constants import along, from_numbers, lasts, not_floating
from dropout_lab.rng import Noise, TorchNoise

Mask = Literal["element", "batch"]
MASKS: tuple[Mask, ...] = ("element", "batch")


@dataclass(frozen=True)
class Entering:
    """What lies before the units of a hidden layer.

    Args:
        weight: The weights that enter them, ``(runs, in, units)``.
        preactivation: What they were activated from, ``(runs, batch, units)``.
    """

    weight: Tensor
    preactivation: Tensor


class Dropout(nn.Module):
    """Base of all dropout layers: a drop probability and a source of noise.

    ``p`` may be set at any time and has no entry in ``state_dict``, so a checkpoint of the same
    net with ``nn.Dropout`` loads. Where it is 0, nothing is dropped and nothing is learned. A
    variant writes either ``drop`` (:class:`UnitDropout`) or ``connect`` (what happens on the way
    through weights), and what else it needs of the rest, which does nothing here.

    Args:
        p: The chance of dropping, in [0, 1]: one number, or a tensor whose axes are the leading
            axes of the input; shape ``(runs,)`` gives each run of a fleet its own.
        mask: ``element`` draws anew for each example, ``batch`` once for all examples of a batch.
        noise: Source of the draws; by default PyTorch's global generator.

    Raises:
        ValueError: ``p`` is outside its range or nan, or ``mask`` is unknown.
    """

    variant: ClassVar[Variant] = Variant(formula="", p="chance of dropping", paper="")
    coins: ClassVar[bool] = False  # whether it tosses 16-bit coins, whose p is rounded
    prunable: ClassVar[bool] = False  # whether it looks at ``pruned``
    pruned = False  # evaluate as after pruning

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
        """The chance of dropping in force, float64, of shape ``()`` or that of the leading axes."""
        return self.p_in_force()

    @p.setter
    def p(self, p: float | Tensor) -> None:
        given = self._checked(p)
        # Not as tensors, which belong to the mode or the transform in which they are made.
        self._asked, self._numbers = given.tolist(), self._realized(given).tolist()
        self._p_axes = given.ndim
        self.drops_everywhere = bool((given > 0).all())
        self._placed: dict[tuple[object, ...], tuple[Tensor, ...]] = {}
        self.restart()

    @property
    def _p(self) -> Tensor:
        """The p that was set, as the draws can realize it: float64, on the CPU."""
        return from_numbers(self._numbers, torch.float64)

    def p_in_force(self) -> Tensor:
        """Return p as it was set; what learns p has its own to tell."""
        return self._p

    def restart(self) -> None:
        """Take up a p that was just set; here there is nothing to do."""

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through this layer and on through the weights of the next.

        Args:
            x: ``(runs, batch, in)``.
            weight: ``(runs, in, out)``.
            bias: ``(runs, 1, out)`` or none.
            entering: What lies before ``x``; none at the input.

        Shape:
            Output: ``(runs, batch, out)``. Without the run axis alike.
        """
        raise NotImplementedError

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance, over the noise, of what :meth:`connect` makes in training.

        Shape:
            As :meth:`connect`. The variance is none where there is no noise.

        Raises:
            NotImplementedError: The variant has no closed form for them.
        """
        raise NotImplementedError

    def begin(self, weight: Tensor, activation: str) -> None:
        """Get to know, before training, the weights that leave this place and what they lead to.

        Args:
            weight: ``(runs, in, out)``, or without the run axis.
            activation: ``softmax`` where the output layer follows.
        """

    def needed(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the part of the weights and biases *entering* this place that will be used."""
        return weight, bias

    def leaving(self, weight: Tensor) -> Tensor:
        """Return the part of the weights *leaving* this place that will be used."""
        return weight

    def penalty(self, weight: Tensor, progress: float) -> Tensor | None:
        """Return what each run's loss has beside the data's, times the number of examples N.

        Args:
            weight: The weights that leave this place, ``(runs, in, out)``.
            progress: Share of the training that is done, in [0, 1].

        Returns:
            Nats, of shape ``(runs,)``; none where nothing is added.
        """
        return None

    def constrain(self) -> None:
        """Bring what is learned back into its range; to be called after each optimizer step."""

    def sparsity(self, weight: Tensor) -> Tensor | None:
        """Return the share of the units or weights that pruning takes away: ``(runs,)``."""
        return None

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the layer."""
        return f"p={self._asked}, mask={self.mask!r}"

    def __getstate__(self) -> dict[str, object]:
        """Return the state for copies and pickles, without the cache of constants."""
        return self.__dict__ | {"_placed": {}}

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the shape of the draws for ``x``: 1 along the batch if the batch shares a mask."""
        if self.mask == "element":
            return tuple(x.shape)
        if x.ndim < 2:
            raise ValueError(
                f"mask is 'batch' and x has shape {tuple(x.shape)}; one mask for a batch needs a "
                "batch axis, the last but one. Pass x of shape (batch, features)."
            )
        return (*x.shape[:-2], 1, x.shape[-1])

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of the formula that depend on p alone; same shape as ``p``."""
        return (p,)

    def placed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the constants on ``x``'s device, ready to broadcast against ``x``.

        Floating constants take ``x``'s dtype. They are kept until p changes, unless they belong to
        a mode or a transform of PyTorch.
        """
        eager = runs_eagerly()
        key = (type(x), x.device, x.dtype, x.ndim, x.shape[: self._p_axes])
        if eager and key in self._placed:
            return self._placed[key]
        made = tuple(along(c, x) for c in self.constants(self._p))
        if eager and all(lasts(each) for each in made):
            self._placed[key] = made
        return made

    def dropped(self) -> Tensor:
        """Return where anything is dropped at all: p above 0, on the CPU, in the shape of p."""
        return self._p > 0

    def _realized(self, p: Numbers) -> Numbers:
        """Return the p that the draws can realize."""
        return round_to_lanes(p) if self.coins else p

    def _checked(self, p: float | Tensor) -> Numbers:
        numbers = np.asarray(
            p.detach().double().cpu() if isinstance(p, Tensor) else p, dtype=np.float64
        )
        outside = numbers[~((numbers >= 0) & (numbers <= 1))]  # with ~, so that nan is outside too
        if outside.size:
            raise ValueError(
                f"p is {outside[0]:g}; a drop probability lies in [0, 1]. "
                "p is the chance of dropping; for a chance q of keeping, pass 1 - q."
            )
        above = numbers[numbers > self.variant.highest_p]
        if above.size:
            most = "a p in [0, 1)" if above[0] == 1 else f"at most {self.variant.highest_p:g}"
            raise ValueError(f"p is {above[0]:g}; {self.variant.beyond}. Give {most}.")
        return numbers


class UnitDropout(Dropout):
    """Base of the layers that multiply units by noise; they act on tensors of any shape.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype; in a fleet ``(runs, batch, features)``, in
        anybody's model ``(batch, features)``. Output: the same shape and dtype. With
        ``mask="batch"`` the last axis but one is the batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise in training, and what the variant makes of it in evaluation."""
        if not self.training:
            return self.rest(x)
        if self.variant.noisy and not x.is_floating_point():
            raise not_floating(x)
        return self.drop(x)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise applied."""
        raise NotImplementedError

    def rest(self, x: Tensor) -> Tensor:
        """Return what stands for ``x`` in evaluation; no noise is drawn."""
        return x

    def uniform(self, x: Tensor) -> Tensor:
        """Return draws for ``x``, uniform on (0, 1), as the mask says: per example or batch.

        Shape:
            ``x``'s, or 1 along the batch; ``x``'s dtype. A draw has 32 bits before it is rounded to
            that, and is never 0 or 1.
        """
        draws = uniform(self.noise, self.noise_shape(x), x.device).to(x.dtype)
        kind = torch.finfo(x.dtype)
        return draws.clamp(kind.tiny, 1 - kind.eps / 2)

    def normal(self, x: Tensor) -> Tensor:
        """Return draws for ``x`` from the standard normal distribution, as the mask says.

        Shape:
            ``x``'s, or 1 along the batch; ``x``'s dtype.
        """
        return self.noise.normal(self.noise_shape(x), x.device).to(x.dtype)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through this layer and on through the weights of the next."""
        return affine(self(x), weight, bias)


class WeightDropout(Dropout):
    """Base of the layers that act on the way through the weights, and on nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        """Refuse: there is nothing to do to units alone."""
        name = type(self).__name__
        raise TypeError(
            f"{name} acts on the way through weights, not on units alone; write "
            f"DropoutLinear(in, out, {name}(...)) in place of nn.Linear(in, out), or call "
            "connect(x, weight, bias)."
        )


class BernoulliDropout(UnitDropout):
    """Base of the layers that keep or drop a unit by the toss of a coin.

    The coins are 16-bit lanes compared with a threshold, so p is rounded to a multiple of
    1/65,536 (never to 0 or 1 unless it is 0 or 1); the rounded p is the one used and reported.
    Masks nest: with the same draws, what is kept at a higher p is kept at every lower one.
    """

    coins = True

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` where it is kept, scaled as the variant says, and 0 where it is dropped."""
        threshold, kept_scale, _ = self.placed(x)
        lanes = self.noise.lanes(self.noise_shape(x), x.device)
        return x * coins(lanes, threshold).to(x.dtype).mul_(kept_scale)

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return the factor of a kept unit in training; where p is 1 it has no part."""
        return torch.ones_like(p)

    def rest_scale(self, p: Tensor) -> Tensor:
        """Return the factor of every unit in evaluation."""
        return torch.ones_like(p)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the threshold of the lanes and the factors in training and in evaluation."""
        return keep_threshold(p), self.kept_scale(p) * (p < 1), self.rest_scale(p)


def at_least_0(name: str, value: float) -> float:
    """Return a strength that must not be negative.

    Raises:
        ValueError: It is negative, infinite or nan.
    """
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value:g}; it must be a number of at least 0.")
    return value
