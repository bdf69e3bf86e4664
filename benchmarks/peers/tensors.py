"""MNIST as two tensors with the pixels prepared once, and the network as plain layers."""

import torch
from task import Task
from torch import Tensor, nn
from torchvision import datasets

Part = tuple[Tensor, Tensor]


def tensors(data_dir: str) -> tuple[Part, Part]:
    """Return pixels (examples, 784) and labels of the training part and of the test part."""
    parts = []
    for is_training in (True, False):
        images = datasets.MNIST(data_dir, train=is_training)
        pixels = images.data.view(-1, 784).to(torch.float32).div_(255)
        parts.append((pixels, images.targets))
    return parts[0], parts[1]


def network(task: Task) -> nn.Sequential:
    """Return the network, without softmax."""
    layers: list[nn.Module] = []
    width = 784
    for units in task.hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(task.p)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 10))
