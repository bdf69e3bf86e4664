"""Regularizers of what passes through the networks: of their input, activations and output."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.config.regularization import KL_DAMPING, KL_TARGET
from dropout_lab.config.schema import Settings
from dropout_lab.metrics import losses
from dropout_lab.rng import FleetNoise, Purpose

RunMeans = list[Tensor]
_LOG_OF_ZERO = -1e4  # exp is 0 there and below


class InputNoise:
    r"""Normal noise on the pixels, as the network is given them.

    With t the updates done and T those of the whole training, its standard deviation is that of
    the settings (``input_noise_schedule: constant``) or ``1 - t / T`` times it (``linear``, which
    reaches 0 after the last update).

    A strength of 0 changes no bit, whoever trains beside it; masks and data order have streams of
    their own.

    Args:
        settings: Those of each run.
        seeds: The seed of each run.
        device: Where the pixels lie.

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
        """Go to the start of an epoch's draws."""
        self._noise.open(epoch)

    def __call__(self, x: Tensor, progress: float) -> Tensor:
        """Return ``x`` with noise.

        Args:
            x: ``(runs, batch, inputs)``, or 1 in place of runs.
            progress: Share of the training that is done, t / T.
        """
        x = x.expand(len(self._deviations), -1, -1)
        deviations = self._deviations
        if not self._constant:
            deviations = deviations * (1 - progress * self._falling)
        return x + deviations * self._noise.normal(x.shape, x.device).to(x.dtype)


class KLSparsity:
    r"""A pull of each hidden unit's mean activation towards a target.

    With a the unit's activations, before their dropout, in a batch:

    .. math:: m \leftarrow \delta m + (1 - \delta) \, \mathrm{mean}(a), \qquad
              \frac{\partial\,\mathrm{term}}{\partial\,\mathrm{mean}(a)} = c \, (m - \rho) / d

    with d = m (1 - m) for logistic units, which makes it c times the gradient of
    KL(rho || m) = rho log(rho / m) + (1 - rho) log((1 - rho) / (1 - m)) at the running mean, and
    d = 1 for the others, that of (m - rho)^2 / 2.

    The running means begin at the target, as deepnet's do: the pull is 0 until the units have been
    seen, where a start at 0 would push every logistic unit up by rho / d, without bound.

    Args:
        settings: Those of each run: the strength c, the target rho in (0, 1) for logistic units,
            and the damping delta in [0, 1).
        device: Where the networks lie.

    Attributes:
        means: The running mean of the units of each hidden layer, ``(runs, units)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, table 9, "L2 + KL-sparsity"; the form is that
        of their code, deepnet, whose mean is of the activations after dropout.
    """

    def __init__(self, settings: Sequence[Settings], device: torch.device) -> None:
        each = [run.regularization for run in settings]
        targets = [_or(run.kl_sparsity_target, KL_TARGET) for run in each]
        dampings = [_or(run.kl_sparsity_damping, KL_DAMPING) for run in each]
        self._strength = torch.tensor([run.kl_sparsity for run in each], device=device)
        self._target = torch.tensor(targets, device=device).view(-1, 1)
        self._damping = torch.tensor(dampings, device=device).view(-1, 1)
        self._logistic = settings[0].model.activation == "logistic"
        self.means = [self._target.repeat(1, units) for units in settings[0].model.hidden]

    def __call__(self, hidden: Sequence[Tensor]) -> Tensor:
        """Take the batch into the running means; return a term with the gradient above.

        The term's value means nothing: it is linear in the batch's means.

        Shape:
            ``hidden``: for each hidden layer ``(runs, batch, units)``. Output: ``(runs,)``.
        """
        terms = []
        for running, activations in zip(self.means, hidden, strict=True):
            mean = activations.to(running.dtype).mean(dim=1)  # (runs, units)
            running += (1 - self._damping) * (mean.detach() - running)
            pull = running - self._target
            if self._logistic:
                # Where a unit is saturated for good, d is 0 and so is the gradient behind it: a
                # bound keeps their product a number.
                pull = pull / (running * (1 - running)).clamp_min(torch.finfo(running.dtype).eps)
            terms.append((pull * mean).sum(dim=1))
        return self._strength * torch.stack(terms).sum(dim=0)


class Regularizers:
    """Those of a fleet; each is None where no run has it.

    Args:
        settings: The settings of each run, in the order of the run axis.
        seeds: The seed of each run.
        device: Where the networks lie.

    Attributes:
        noise: Normal noise on the pixels.
        smoothing: The strength s of each run, ``(runs,)``.
        confidence: The strength beta of each run, ``(runs,)``.
        sparsity: The pull of mean activations; the only one with a state.
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

    def term(
        self, passes: Sequence[Tensor], labels: Tensor, hidden: Sequence[Tensor]
    ) -> Tensor | None:
        """Return what a step minimizes for their sake: ``(runs,)``; none if nothing.

        Args:
            passes: The logits of each noisy pass, ``(runs, batch, classes)``.
            labels: ``(runs, batch)``.
            hidden: The activations of each hidden layer in the first pass.
        """
        terms = []
        if self.smoothing is not None:
            smoothed = torch.stack([smoothing(logits, labels) for logits in passes])
            terms.append(self.smoothing * smoothed.mean(dim=0))
        if self.confidence is not None:
            confident = torch.stack([confidence(logits) for logits in passes])
            terms.append(self.confidence * confident.mean(dim=0))
        if self.sparsity is not None:
            terms.append(self.sparsity(hidden))
        return torch.stack(terms).sum(dim=0) if terms else None

    def run_states(self) -> list[RunMeans] | None:
        """Return each run's running means, ``(units,)`` for each hidden layer; none without any."""
        if self.sparsity is None:
            return None
        means = self.sparsity.means
        return [[layer[run].clone() for layer in means] for run in range(len(means[0]))]

    def load_run_states(self, states: Sequence[RunMeans]) -> None:
        """Go on from what :meth:`run_states` returned."""
        if self.sparsity is not None:
            self.sparsity.means = [torch.stack(layer) for layer in zip(*states, strict=True)]


def smoothing(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Return what smoothed labels add to the cross-entropy, per unit of their strength s.

    Targets (1 - s) one-hot + s / K have the cross-entropy
    ``(1 - s) CE + s mean_k(-log p_k) = CE + s (mean_k(-log p_k) - CE)``, and this is the bracket.

    Shape:
        ``logits``: ``(runs, batch, classes)``, ``labels``: ``(runs, batch)``. Output: ``(runs,)``,
        the mean over the batch, in nats.

    Paper:
        Szegedy, Vanhoucke, Ioffe, Shlens, Wojna (2016), Rethinking the Inception Architecture for
        Computer Vision, CVPR, section 7.
    """
    uniform = -log_softmax(logits, dim=-1).mean(dim=(-2, -1))
    return uniform - losses(logits, labels)


def confidence(logits: Tensor) -> Tensor:
    r"""Return what the confidence penalty adds to the cross-entropy, per unit of its strength beta.

    That is the negative entropy of the class probabilities p, ``-H(p) = sum_k p_k log p_k``, with
    ``0 log 0 = 0`` and a gradient of 0 there.

    Shape:
        ``logits``: ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch, in
        nats.

    Paper:
        Pereyra, Tucker, Chorowski, Kaiser, Hinton (2017), Regularizing Neural Networks by
        Penalizing Confident Output Distributions, arXiv:1701.06548: the loss is
        ``CE - beta H(p)``; beta = 1 on MNIST.
    """
    log_p = log_softmax(logits, dim=-1)
    # Where p is 0, log p may be infinite, and 0 times infinity is not a number.
    return (log_p.exp() * log_p.clamp_min(_LOG_OF_ZERO)).sum(dim=-1).mean(dim=-1)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
