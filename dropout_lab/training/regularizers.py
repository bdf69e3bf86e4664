"""Regularizers of inputs, activations and outputs, such as input noise and label smoothing."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.regularization import KL_DAMPING, KL_TARGET
from dropout_lab.metrics import losses
from dropout_lab.rng import FleetNoise, Purpose

RunMeans = list[Tensor]
_LOG_OF_ZERO = -1e4  # exp(-1e4) is 0 in floating point


class InputNoise:
    r"""Add normal noise to the pixels.

    The standard deviation is the constant ``input_noise`` (``input_noise_schedule: constant``), or
    ``1 - t / T`` times it (``linear``), where t of T updates are completed. So ``linear`` reaches 0
    after the last update.

    A run with a strength of 0 has bit-identical inputs, also in a fleet with noisy runs. The noise
    has a random stream of its own, so it changes neither masks nor data order.

    Args:
        settings: The settings of each run.
        seeds: The seed of each run.
        device: The device of the pixels.

    Paper:
        Tang (2013), Deep Learning using Linear Support Vector Machines, arXiv:1306.0239: noise of
        standard deviation 1 that falls linearly to 0 [unverified].
    """

    def __init__(
        self, settings: Sequence[Settings], seeds: Sequence[int], device: torch.device
    ) -> None:
        each = [run.regularization for run in settings]
        falling = [float(run.input_noise_schedule == "linear") for run in each]
        deviations = [run.input_noise for run in each]
        self._deviations = torch.tensor(deviations, device=device).view(-1, 1, 1)
        self._falling = torch.tensor(falling, device=device).view(-1, 1, 1)
        self._constant = not any(falling)
        self._noise = FleetNoise(seeds, 0, device, Purpose.INPUT_NOISE)

    def open(self, epoch: int) -> None:
        """Start the random streams of an epoch."""
        self._noise.open(epoch)

    def __call__(self, x: Tensor, progress: float) -> Tensor:
        """Return ``x`` plus noise.

        Args:
            x: ``(runs, batch, inputs)`` or ``(1, batch, inputs)``.
            progress: Completed fraction of the training, t / T.
        """
        x = x.expand(len(self._deviations), -1, -1)
        deviations = self._deviations
        if not self._constant:
            deviations = deviations * (1 - progress * self._falling)
        return x + deviations * self._noise.normal(x.shape, x.device).to(x.dtype)


class KLSparsity:
    r"""Penalize the distance between each hidden unit's mean activation and a target.

    With the activations a of the unit in a batch, before dropout:

    .. math:: m \leftarrow \delta m + (1 - \delta) \, \mathrm{mean}(a), \qquad
              \frac{\partial\,\mathrm{term}}{\partial\,\mathrm{mean}(a)} = c \, (m - \rho) / d

    For logistic units d = m (1 - m), so the gradient is c times the gradient of
    KL(rho || m) = rho log(rho / m) + (1 - rho) log((1 - rho) / (1 - m)) at the running mean m. For
    other units d = 1, so it is c times the gradient of (m - rho)^2 / 2.

    The running means start at the target, as in deepnet. If they started at 0, every logistic unit
    would have an unbounded initial gradient, rho / d.

    Args:
        settings: The settings of each run: the strength c, the target rho in (0, 1) for logistic
            units, and the damping delta in [0, 1).
        device: The device of the networks.

    Attributes:
        means: The running means of the units of each hidden layer, ``(runs, units)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, table 9, "L2 + KL-sparsity"; the form is that
        of their code, deepnet, which averages activations after dropout.
    """

    def __init__(self, settings: Sequence[Settings], device: torch.device) -> None:
        each = [run.regularization for run in settings]
        targets = [_value_or(run.kl_sparsity_target, KL_TARGET) for run in each]
        dampings = [_value_or(run.kl_sparsity_damping, KL_DAMPING) for run in each]
        self._strength = torch.tensor([run.kl_sparsity for run in each], device=device)
        self._target = torch.tensor(targets, device=device).view(-1, 1)
        self._damping = torch.tensor(dampings, device=device).view(-1, 1)
        self._logistic = settings[0].model.activation == "logistic"
        self.means = [self._target.repeat(1, units) for units in settings[0].model.hidden]

    def __call__(self, hidden: Sequence[Tensor]) -> Tensor:
        """Update the running means with a batch; return a term with the gradient above.

        Only the gradient of the term is meaningful: its value is linear in the means of the batch.

        Shape:
            ``hidden``: for each hidden layer ``(runs, batch, units)``. Output: ``(runs,)``.
        """
        terms = []
        for running, activations in zip(self.means, hidden, strict=True):
            mean = activations.to(running.dtype).mean(dim=1)  # (runs, units)
            running += (1 - self._damping) * (mean.detach() - running)
            slope = running - self._target
            if self._logistic:
                # For a saturated unit both d and the gradient of its activation are 0. The bound
                # keeps their quotient finite.
                slope = slope / (running * (1 - running)).clamp_min(torch.finfo(running.dtype).eps)
            terms.append((slope * mean).sum(dim=1))
        return self._strength * torch.stack(terms).sum(dim=0)


class Regularizers:
    """The regularizers of a fleet. A regularizer that no run uses is None.

    Args:
        settings: The settings of each run, in the order of the run axis.
        seeds: The seed of each run.
        device: The device of the networks.

    Attributes:
        noise: Normal noise on the pixels.
        smoothing: The label smoothing s of each run, ``(runs,)``.
        confidence: The strength beta of each run's confidence penalty, ``(runs,)``.
        sparsity: KL-sparsity, the only regularizer with a state.
    """

    def __init__(
        self, settings: Sequence[Settings], seeds: Sequence[int], device: torch.device
    ) -> None:
        each = [run.regularization for run in settings]
        noisy = any(run.input_noise for run in each)
        shares = [run.label_smoothing for run in each]
        betas = [run.confidence_penalty for run in each]
        sparse = any(run.kl_sparsity for run in each)
        self.noise = InputNoise(settings, seeds, device) if noisy else None
        self.smoothing = torch.tensor(shares, device=device) if any(shares) else None
        self.confidence = torch.tensor(betas, device=device) if any(betas) else None
        self.sparsity = KLSparsity(settings, device) if sparse else None

    def loss(
        self, passes: Sequence[Tensor], labels: Tensor, hidden: Sequence[Tensor]
    ) -> Tensor | None:
        """Return the terms that the regularizers add to the loss, ``(runs,)``; None without any.

        Args:
            passes: The logits of each forward pass, dropout on, ``(runs, batch, classes)``.
            labels: ``(runs, batch)``.
            hidden: The activations of each hidden layer in the first pass.
        """
        terms = []
        if self.smoothing is not None:
            smoothed = torch.stack([label_smoothing_loss(logits, labels) for logits in passes])
            terms.append(self.smoothing * smoothed.mean(dim=0))
        if self.confidence is not None:
            penalties = torch.stack([confidence_penalty(logits) for logits in passes])
            terms.append(self.confidence * penalties.mean(dim=0))
        if self.sparsity is not None:
            terms.append(self.sparsity(hidden))
        return torch.stack(terms).sum(dim=0) if terms else None

    def run_states(self) -> list[RunMeans] | None:
        """Return each run's running means, ``(units,)`` per hidden layer; None if unused."""
        if self.sparsity is None:
            return None
        means = self.sparsity.means
        return [[layer[run].clone() for layer in means] for run in range(len(means[0]))]

    def load_run_states(self, states: Sequence[RunMeans]) -> None:
        """Restore what :meth:`run_states` returned."""
        if self.sparsity is not None:
            self.sparsity.means = [torch.stack(layer) for layer in zip(*states, strict=True)]


def label_smoothing_loss(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Return the term that label smoothing adds to the cross-entropy, for a smoothing of s = 1.

    Targets (1 - s) one-hot + s / K have the cross-entropy
    ``(1 - s) CE + s mean_k(-log p_k) = CE + s (mean_k(-log p_k) - CE)``; this is the difference in
    parentheses.

    Shape:
        ``logits``: ``(runs, batch, classes)``, ``labels``: ``(runs, batch)``. Output: ``(runs,)``,
        the mean over the batch, in nats.

    Paper:
        Szegedy, Vanhoucke, Ioffe, Shlens, Wojna (2016), Rethinking the Inception Architecture for
        Computer Vision, CVPR, section 7.
    """
    uniform = -log_softmax(logits, dim=-1).mean(dim=(-2, -1))
    return uniform - losses(logits, labels)


def confidence_penalty(logits: Tensor) -> Tensor:
    r"""Return the term that the confidence penalty adds to the cross-entropy, for a strength of 1.

    This is the negative entropy of the class probabilities p, ``-H(p) = sum_k p_k log p_k``, where
    ``0 log 0 = 0`` with gradient 0.

    Shape:
        ``logits``: ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch, in
        nats.

    Paper:
        Pereyra, Tucker, Chorowski, Kaiser, Hinton (2017), Regularizing Neural Networks by
        Penalizing Confident Output Distributions, arXiv:1701.06548: the loss is
        ``CE - beta H(p)``; beta = 1 on MNIST.
    """
    log_p = log_softmax(logits, dim=-1)
    # If p is 0, log p may be infinite, and 0 times infinity is nan.
    return (log_p.exp() * log_p.clamp_min(_LOG_OF_ZERO)).sum(dim=-1).mean(dim=-1)


def _value_or(value: float | None, default: float) -> float:
    return default if value is None else value
