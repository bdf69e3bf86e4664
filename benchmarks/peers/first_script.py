"""The script a person writes first: torchvision's data set, a DataLoader, nn.Dropout."""

import time

import torch
from task import CHUNK, MEASURED, MOMENTUM, RATE, VALIDATION, Answer, Task, run
from torch import nn
from torch.utils.data import DataLoader, Subset, random_split
from torchvision import datasets, transforms


def network(task: Task) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    width = 784
    for units in task.hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(task.p)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 10))


def evaluate(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    model.eval()
    loss = correct = count = 0
    with torch.no_grad():
        for pixels, labels in loader:
            logits = model(pixels)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(dim=1) == labels).sum().item()
            count += len(labels)
    return loss / count, correct / count


def train(task: Task, answer: Answer) -> None:
    torch.manual_seed(task.seed)
    transform = transforms.ToTensor()
    whole = datasets.MNIST(task.data_dir, train=True, transform=transform)
    test = datasets.MNIST(task.data_dir, train=False, transform=transform)
    training, validation = random_split(whole, [len(whole) - VALIDATION, VALIDATION])
    measured = Subset(training, range(MEASURED))
    batches = DataLoader(training, batch_size=task.batch_size, shuffle=True)
    parts = [DataLoader(part, batch_size=CHUNK) for part in (measured, validation, test)]
    model = network(task)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    for _ in range(task.epochs):
        began = time.perf_counter()
        model.train()
        total = 0.0
        for pixels, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pixels), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        scores = [evaluate(model, part) for part in parts]
        answer.epoch(began)
        answer.test_accuracy = scores[-1][1]


if __name__ == "__main__":
    run(train)
