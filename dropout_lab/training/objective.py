"""Compute the loss of a training step: cross-entropy, dropout terms and regularizers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.catalogue import ADVERSARIAL_RADIUS, DROPOUT_K_PASSES, LOSS_OPTIONS
from dropout_lab.config.sections.dropout import DropoutSettings
from dropout_lab.metrics import losses
from dropout_lab.model import MLP
from dropout_lab.training.adversarial import AdversarialPasses
from dropout_lab.training.explicit_regularizer import ExplicitPass
from dropout_lab.training.mirrored import MirroredPasses
from dropout_lab.training.regularizers import Regularizers


@dataclass(frozen=True)
class StepLoss:
    """The loss of one training step, by its parts.

    Args:
        logits: Logits of the first forward pass, ``(runs, batch, classes)``.
        cross_entropy: Mean over the batch and the passes, in nats: ``(runs,)``.
        dropout_loss: The terms that dropout adds, in nats: ``(runs,)``; None without any.
        regularization: The terms that regularizers add, which no record contains; None without any.
    """

    logits: Tensor
    cross_entropy: Tensor
    dropout_loss: Tensor | None
    regularization: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """The minimized sum: ``(runs,)``."""
        total = self.cross_entropy
        if self.dropout_loss is not None:
            total = total + self.dropout_loss
        return total if self.regularization is None else total + self.regularization


class Objective:
    """Sum cross-entropy, the term of ``dropout.loss``, the layers' penalties, and regularizers.

    Args:
        model: The networks.
        dropout: The section ``dropout``, which names the loss and its weight.
        examples: Size of the training set, by which the penalties of the layers are divided.
        regularizers: Regularizers of inputs, activations and outputs.
    """

    def __init__(
        self, model: MLP, dropout: DropoutSettings, examples: int, regularizers: Regularizers
    ) -> None:
        self.model = model
        self.regularizers = regularizers
        self.loss = dropout.loss
        self.passes = dropout.passes or DROPOUT_K_PASSES  # only with dropout_k
        self.mirrored = MirroredPasses(model)
        self.own_passes: ExplicitPass | AdversarialPasses | None = None
        if dropout.loss == "explicit":
            self.own_passes = ExplicitPass(model)
        elif dropout.loss == "adversarial":
            self.own_passes = AdversarialPasses(model, dropout.radius or ADVERSARIAL_RADIUS)
        default = LOSS_OPTIONS.get(dropout.loss, {}).get("loss_weight", 0.0)
        self.weight = default if dropout.loss_weight is None else dropout.loss_weight
        self.examples = examples

    def open_epoch(self, epoch: int) -> None:
        """Start the random streams of an epoch."""
        self.model.open_epoch(epoch)
        if self.regularizers.noise is not None:
            self.regularizers.noise.open(epoch)

    def __call__(self, x: Tensor, labels: Tensor, progress: float) -> StepLoss:
        """Return the loss of a batch, from one or more forward passes.

        Args:
            x: ``(runs, batch, inputs)``.
            labels: ``(runs, batch)``.
            progress: Completed fraction of the training.
        """
        if self.regularizers.noise is not None:
            x = self.regularizers.noise(x, progress)  # the same for every pass
        hidden: list[Tensor] = []
        terms: list[Tensor | None] = []
        if self.own_passes is None:
            with self.mirrored.recorded():
                logits = self.model(x, hidden)
            terms.append(self.mirrored.term(x, labels, logits))
        else:
            logits, added_term = self.own_passes(x, hidden)
            terms.append(self.weight * added_term)
        penalty = self.model.penalty(progress)
        terms.append(None if penalty is None else penalty / self.examples)
        terms.append(self.model.batch_penalty(x, hidden, progress))
        passes, term = self._compare_passes(x, logits)
        terms.append(term)
        each = [losses(one, labels) for one in passes]
        cross_entropy = sum(each[1:], each[0]) / len(each)
        added = [term for term in terms if term is not None]
        dropout_loss = sum(added[1:], added[0]) if added else None
        regularization = self.regularizers.loss(passes, labels, hidden)
        return StepLoss(logits, cross_entropy, dropout_loss, regularization)

    def _compare_passes(self, x: Tensor, logits: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return the logits of all passes with dropout on, and the term that compares passes."""
        match self.loss:
            case "expectation_linear":
                clean = self._forward_without_dropout(x)
                return [logits], self.weight * expectation_linear(logits, clean)
            case "dropout_k":
                return [logits, *(self.model(x) for _ in range(self.passes - 1))], None
            case "r_drop" | "fraternal":
                passes = [logits, self.model(x)]
                compare = r_drop if self.loss == "r_drop" else fraternal
                return passes, self.weight * compare(*passes)
            case _:
                return [logits], None

    def _forward_without_dropout(self, x: Tensor) -> Tensor:
        """Return the logits of a batch with dropout off, with gradients.

        Batch normalization uses its running statistics, as in evaluation.
        """
        self.model.eval()
        try:
            logits: Tensor = self.model(x)
        finally:
            self.model.train()
        return logits


class TrainingStepMetrics:
    """Averages over the training steps of an epoch, dropout on; every tensor is ``(runs,)``."""

    def __init__(self, runs: int, device: torch.device) -> None:
        self.examples = 0
        self._sums = torch.zeros(3, runs, device=device)

    def add(self, step: StepLoss, labels: Tensor) -> None:
        """Add a step. ``labels``: ``(runs, batch)``."""
        batch = labels.shape[1]
        self.examples += batch
        self._sums[0] += step.cross_entropy.detach() * batch
        self._sums[1] += (step.logits.argmax(dim=2) == labels).sum(dim=1)
        if step.dropout_loss is not None:
            self._sums[2] += step.dropout_loss.detach() * batch

    def to_cpu(self) -> None:
        """Copy the sums to the CPU in one transfer, at the end of the epoch."""
        self._sums = self._sums.cpu()

    @property
    def loss(self) -> Tensor:
        """Mean cross-entropy."""
        return self._sums[0] / self.examples

    @property
    def accuracy(self) -> Tensor:
        """Accuracy in the first forward pass."""
        return self._sums[1] / self.examples

    @property
    def dropout_loss(self) -> Tensor:
        """Mean of the terms that dropout adds to the cross-entropy."""
        return self._sums[2] / self.examples


def r_drop(first: Tensor, second: Tensor) -> Tensor:
    """Return the symmetric KL divergence of two passes, ``(KL(P1||P2) + KL(P2||P1)) / 2``.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch of the sum
        over the classes, in nats.

    Paper:
        Wu et al. (2021), R-Drop: Regularized Dropout for Neural Networks, NeurIPS: the loss is
        ``(CE1 + CE2) / 2 + alpha (KL(P1||P2) + KL(P2||P1)) / 2``. The reduction is not specified.
    """
    log_p, log_q = log_softmax(first, dim=-1), log_softmax(second, dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1).mean(dim=-1) / 2


def expectation_linear(noisy: Tensor, clean: Tensor) -> Tensor:
    """Return the squared distance between class probabilities with dropout on and dropout off.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch of the sum
        over the classes.

    Paper:
        Ma, Gao, Hu, Yu, Deng, Hovy (2017), Dropout with Expectation-linear Regularization, ICLR:
        ``V = (1/N) sum |h(x, s) - h(x, E[S])|^2``, with the mask of the likelihood. Which layer h
        is for a classifier is [unverified]. Here h is the output of the softmax, for which weights
        in their range, 0.1 to 10, work. Both passes have gradients.
    """
    return (noisy.softmax(dim=-1) - clean.softmax(dim=-1)).square().sum(dim=-1).mean(dim=-1)


def fraternal(first: Tensor, second: Tensor) -> Tensor:
    """Return the squared distance between the logits of two passes, mean over classes and batch.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``.

    Paper:
        Zolna, Arpit, Suhubdy, Bengio (2018), Fraternal Dropout, ICLR [unverified]: the loss is
        ``(CE1 + CE2) / 2 + kappa |l1 - l2|^2 / classes``.
    """
    return (first - second).square().mean(dim=(-2, -1))
