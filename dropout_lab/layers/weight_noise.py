"""Base class of the variants with a learned noise for each weight."""

from torch import Tensor

from dropout_lab.layers.base import Mask, WeightDropout
from dropout_lab.layers.learned import NOT_SET_UP, LearnedDropout
from dropout_lab.rng import Noise


class LearnedWeightNoise(LearnedDropout, WeightDropout):
    """Base class of the layers that learn the noise of each weight.

    The noise starts at a variance of ``p / (1 - p)`` times the mean square of the weights of a run.
    """

    def __init__(
        self, p: float | Tensor = 0.5, *, mask: Mask = "element", noise: Noise | None = None
    ) -> None:
        self._mean_squares: Tensor | None = None  # of the weights, after setup
        super().__init__(p, mask=mask, noise=noise)

    def setup(self, weight: Tensor, activation: str) -> None:
        """Create the noise of each weight."""
        squares = (weight.detach() ** 2).mean(dim=(-2, -1), keepdim=True)
        self._mean_squares = squares.expand(weight.shape)
        self.on_p_set()

    def on_p_set(self) -> None:
        """Reset the noise to its initial values at p."""
        if self._mean_squares is not None:
            self.set_initial_noise(self._mean_squares)

    def set_initial_noise(self, squares: Tensor) -> None:
        """Set the learned parameter, given the mean squares in the shape of the weights."""
        raise NotImplementedError

    def learned_p(self) -> Tensor:
        """Return the p that was set. What is learned belongs to single weights."""
        return self._p

    def check_setup(self) -> None:
        """Refuse a layer without :meth:`setup`.

        Raises:
            ValueError: ``setup`` was not called.
        """
        if self._mean_squares is None:
            raise ValueError(NOT_SET_UP)
