"""An expert's loop: pixels prepared once as one tensor, batches by index_select, fused SGD.

No torch.compile: compiling takes longer than the two epochs.
"""

import time

import torch
from task import CHUNK, MEASURED, MOMENTUM, RATE, VALIDATION, Answer, Task, run
from tensors import network, tensors
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@torch.inference_mode()
def evaluate(model: nn.Module, pixels: Tensor, labels: Tensor) -> tuple[float, float]:
    model.eval()
    loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for some, theirs in zip(pixels.split(CHUNK), labels.split(CHUNK), strict=True):
        logits = model(some)
        loss += cross_entropy(logits, theirs, reduction="sum")
        correct += (logits.argmax(dim=1) == theirs).sum()
    return loss.item() / len(labels), correct.item() / len(labels)


def train(task: Task, answer: Answer) -> None:
    torch.manual_seed(task.seed)
    (pixels, labels), test = tensors(task.data_dir)
    order = torch.randperm(len(labels))
    held_out, kept = order[:VALIDATION], order[VALIDATION:]
    validation = pixels[held_out], labels[held_out]
    pixels, labels = pixels[kept], labels[kept]
    measured = pixels[:MEASURED], labels[:MEASURED]
    model = network(task)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    for _ in range(task.epochs):
        began = time.perf_counter()
        model.train()
        total = torch.zeros(())
        for batch in torch.randperm(len(labels)).split(task.batch_size):
            loss = cross_entropy(
                model(pixels.index_select(0, batch)), labels.index_select(0, batch)
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        scores = [evaluate(model, *part) for part in (measured, validation, test)]
        answer.epoch(began)
        answer.test_accuracy = scores[-1][1]


if __name__ == "__main__":
    run(train)
