"""What a training step minimizes: cross-entropy, and what dropout and regularizers add to it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.catalogue import LOSS_WEIGHTS
from dropout_lab.config.schema import DropoutSettings
from dropout_lab.metrics import losses
from dropout_lab.model import MLP
from dropout_lab.training.regularizers import Regularizers


@dataclass(frozen=True)
class Step:
    """What came out of the noisy passes of a batch.

    Args:
        logits: Of the first pass, ``(runs, batch, classes)``.
        cross_entropy: Mean over the batch and the passes, in nats: ``(runs,)``.
        added: What dropout adds to it, in nats: ``(runs,)``; none if nothing.
        regularization: What regularizers add, minimized and in no record; none if nothing.
    """

    logits: Tensor
    cross_entropy: Tensor
    added: Tensor | None
    regularization: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """What is minimized: ``(runs,)``."""
        total = self.cross_entropy if self.added is None else self.cross_entropy + self.added
        return total if self.regularization is None else total + self.regularization


class Objective:
    """Cross-entropy, the term of ``dropout.loss``, the layers' penalties, and the regularizers.

    Args:
        model: The networks.
        dropout: Names the loss and its weight.
        examples: N, of the whole training part: the layers' penalties are divided by it.
        regularizers: Those of what passes through the networks.
    """

    def __init__(
        self, model: MLP, dropout: DropoutSettings, examples: int, regularizers: Regularizers
    ) -> None:
        self.model = model
        self.regularizers = regularizers
        self.loss = dropout.loss
        own = LOSS_WEIGHTS.get(dropout.loss, 0.0)
        self.weight = own if dropout.loss_weight is None else dropout.loss_weight
        self.examples = examples

    def open_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch's draws."""
        self.model.open_epoch(epoch)
        if self.regularizers.noise is not None:
            self.regularizers.noise.open(epoch)

    def __call__(self, x: Tensor, labels: Tensor, progress: float) -> Step:
        """Pass a batch through the networks in training mode, once or twice.

        Args:
            x: ``(runs, batch, inputs)``.
            labels: ``(runs, batch)``.
            progress: Share of the training that is done.
        """
        if self.regularizers.noise is not None:
            x = self.regularizers.noise(x, progress)  # the same for every pass
        hidden: list[Tensor] = []
        logits = self.model(x, hidden)
        passes = [logits]
        cross_entropy = losses(logits, labels)
        added = self.model.penalty(progress)
        if added is not None:
            added = added / self.examples
        if self.loss == "expectation_linear":
            term = self.weight * expectation_linear(logits, self._clean(x))
            added = term if added is None else term + added
        elif self.loss != "cross_entropy":
            passes.append(self.model(x))
            cross_entropy = (cross_entropy + losses(passes[1], labels)) / 2
            term = self.weight * (r_drop if self.loss == "r_drop" else fraternal)(*passes)
            added = term if added is None else term + added
        return Step(logits, cross_entropy, added, self.regularizers.term(passes, labels, hidden))

    def _clean(self, x: Tensor) -> Tensor:
        """Pass a batch through the networks in evaluation mode, with a gradient."""
        self.model.eval()
        try:
            logits: Tensor = self.model(x)
        finally:
            self.model.train()
        return logits


class Noisy:
    """What the training steps of an epoch saw, dropout on; every tensor has shape ``(runs,)``."""

    def __init__(self, runs: int, device: torch.device) -> None:
        self.examples = 0
        self._sums = torch.zeros(3, runs, device=device)

    def add(self, step: Step, labels: Tensor) -> None:
        """Count a step; ``labels``: ``(runs, batch)``."""
        batch = labels.shape[1]
        self.examples += batch
        self._sums[0] += step.cross_entropy.detach() * batch
        self._sums[1] += (step.logits.argmax(dim=2) == labels).sum(dim=1)
        if step.added is not None:
            self._sums[2] += step.added.detach() * batch

    def bring(self) -> None:
        """Bring the sums to the CPU, at the end of the epoch: once, not number by number."""
        self._sums = self._sums.cpu()

    @property
    def loss(self) -> Tensor:
        """Mean cross-entropy."""
        return self._sums[0] / self.examples

    @property
    def accuracy(self) -> Tensor:
        """Share classified rightly, in the first pass."""
        return self._sums[1] / self.examples

    @property
    def added(self) -> Tensor:
        """Mean of what was minimized beside the cross-entropy."""
        return self._sums[2] / self.examples


def r_drop(first: Tensor, second: Tensor) -> Tensor:
    """Return the symmetric KL of two passes, ``(KL(P1||P2) + KL(P2||P1)) / 2``, over the batch.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch of the sum
        over the classes, in nats.

    Paper:
        Wu et al. (2021), R-Drop: Regularized Dropout for Neural Networks, NeurIPS: the loss is
        ``(CE1 + CE2) / 2 + alpha (KL(P1||P2) + KL(P2||P1)) / 2``. Their reduction is left open.
    """
    log_p, log_q = log_softmax(first, dim=-1), log_softmax(second, dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1).mean(dim=-1) / 2


def expectation_linear(noisy: Tensor, clean: Tensor) -> Tensor:
    """Return the squared distance of the noisy class probabilities from the mean network's.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``, the mean over the batch of the sum
        over the classes.

    Paper:
        Ma, Gao, Hu, Yu, Deng, Hovy (2017), Dropout with Expectation-linear Regularization, ICLR:
        ``V = (1/N) sum |h(x, s) - h(x, E[S])|^2``, the mask that of the likelihood. Which layer h
        is for a classifier is [unverified]; here it is the output after the softmax, for which
        weights from their range, 0.1 to 10, work. Both passes carry gradient.
    """
    return (noisy.softmax(dim=-1) - clean.softmax(dim=-1)).square().sum(dim=-1).mean(dim=-1)


def fraternal(first: Tensor, second: Tensor) -> Tensor:
    """Return the squared distance of two passes' logits, mean over classes and batch.

    Shape:
        Logits ``(runs, batch, classes)``. Output: ``(runs,)``.

    Paper:
        Zolna, Arpit, Suhubdy, Bengio (2018), Fraternal Dropout, ICLR [unverified]: the loss is
        ``(CE1 + CE2) / 2 + kappa |l1 - l2|^2 / classes``.
    """
    return (first - second).square().mean(dim=(-2, -1))
