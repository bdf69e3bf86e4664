"""Why two published exercises differ from ours: the output layer of Nielsen, the gradient of Trask.

Both train the exercise on the first 1,000 MNIST images outside of the package, with its own and
with the other output or gradient, several seeds side by side. About two minutes on one idle core:

    python benchmarks/exercise_reasons.py --data-dir data
"""

import argparse

import torch
from torch import Tensor
from torchvision.datasets import MNIST

NIELSEN_SEEDS, TRASK_SEEDS = 7, 5
Data = tuple[Tensor, Tensor, Tensor, Tensor]


def load(folder: str) -> Data:
    """Return the first 1,000 training images, their labels, the test images and their labels."""
    train, test = MNIST(folder, train=True), MNIST(folder, train=False)
    pixels = [each.data.flatten(1).float() / 255 for each in (train, test)]
    return pixels[0][:1000], train.targets[:1000], pixels[1], test.targets


def report(name: str, accuracy: Tensor) -> None:
    """Print mean and SD of the test accuracies of all seeds."""
    percent = 100 * accuracy
    print(f"{name}: {percent.mean():.2f} ± {percent.std():.2f} (n = {len(percent)})", flush=True)


def nielsen(data: Data, logistic: bool, l2: float, epochs: int = 400) -> None:
    """Train 784-30-10 with batches of 10, learning rate 0.5 and all weights from N(0, 1).

    Args:
        data: The images and labels.
        logistic: Ten logistic outputs with their own cross-entropies, as in the book; or a softmax.
        l2: The strength of the L2 penalty.
        epochs: Number of epochs.
    """
    images, labels, test_images, test_labels = data
    random, seeds, rate = torch.Generator().manual_seed(0), NIELSEN_SEEDS, 0.5
    first = torch.randn(seeds, 784, 30, generator=random)
    second = torch.randn(seeds, 30, 10, generator=random)
    first_bias = torch.randn(seeds, 1, 30, generator=random)
    second_bias = torch.randn(seeds, 1, 10, generator=random)
    targets = torch.eye(10)[labels]
    for _ in range(epochs):
        order = torch.stack([torch.randperm(1000, generator=random) for _ in range(seeds)])
        for start in range(0, 1000, 10):
            batch = order[:, start : start + 10]
            x = images[batch]
            hidden = torch.sigmoid(x @ first + first_bias)
            logits = hidden @ second + second_bias
            output = torch.sigmoid(logits) if logistic else torch.softmax(logits, 2)
            error = (output - targets[batch]) / 10
            hidden_error = error @ second.mT * hidden * (1 - hidden)
            first *= 1 - rate * l2
            second *= 1 - rate * l2
            second -= rate * hidden.mT @ error
            first -= rate * x.mT @ hidden_error
            second_bias -= rate * error.sum(1, keepdim=True)
            first_bias -= rate * hidden_error.sum(1, keepdim=True)
    logits = torch.sigmoid(test_images @ first + first_bias) @ second + second_bias
    name = f"Nielsen, {'logistic' if logistic else 'softmax'} outputs, l2 {l2:g}, epoch {epochs}"
    report(name, (logits.argmax(2) == test_labels).float().mean(1))


def trask(data: Data, right: bool, epochs: int = 350) -> None:
    """Train 784-40-10 ReLU without biases on half the squared error, one image at a time.

    Args:
        data: The images and labels.
        right: The derivative of ReLU is 0 for inactive units; or it is 1 for all, as in the book.
        epochs: Number of epochs.
    """
    images, labels, test_images, test_labels = data
    random, seeds, rate = torch.Generator().manual_seed(1), TRASK_SEEDS, 0.005
    first = 0.2 * torch.rand(seeds, 784, 40, generator=random) - 0.1
    second = 0.2 * torch.rand(seeds, 40, 10, generator=random) - 0.1
    targets = torch.eye(10)[labels]
    for epoch in range(1, epochs + 1):
        for image, target in zip(images, targets, strict=True):
            x = image.expand(seeds, 1, 784)
            before = torch.bmm(x, first)
            hidden = torch.relu(before)
            error = torch.bmm(hidden, second) - target
            hidden_error = torch.bmm(error, second.mT) * ((before >= 0) if right else 1)
            second.baddbmm_(hidden.mT, error, alpha=-rate)
            first.baddbmm_(x.mT, hidden_error, alpha=-rate)
        if epoch in (11, 100, 200, epochs):
            logits = torch.relu(test_images @ first) @ second
            name = f"Trask, {'right' if right else 'published'} derivative of ReLU, epoch {epoch}"
            report(name, (logits.argmax(2) == test_labels).float().mean(1))


def main() -> None:
    """Train each exercise in both ways."""
    parser = argparse.ArgumentParser(description="Why two published exercises differ from ours.")
    parser.add_argument("--data-dir", default="data", help="folder with MNIST, as torchvision's")
    parser.add_argument("--epochs", type=int, help="fewer epochs, to try the script")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data, length = load(given.data_dir), {"epochs": given.epochs} if given.epochs else {}
    for logistic, l2 in ((True, 0.0), (False, 0.0), (True, 1e-4)):
        nielsen(data, logistic, l2, **length)
    for right in (False, True):
        trask(data, right, **length)


if __name__ == "__main__":
    main()
