"""Lightning, as its documentation has it: a module, loaders, a Trainer, which also measures.

The pixels are prepared once, in a TensorDataset, which is kinder to it than the transforms of
torchvision in its tutorials.
"""

import logging
import tempfile
import time
import warnings

import lightning
import torch
from task import CHUNK, MEASURED, MOMENTUM, RATE, VALIDATION, Answer, Task, run
from tensors import network, tensors
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

PARTS = ("train", "validation", "test")


class Module(lightning.LightningModule):
    def __init__(self, task: Task, answer: Answer) -> None:
        super().__init__()
        self.net: nn.Module = network(task)
        self.answer = answer
        self.began = 0.0

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        pixels, labels = batch
        loss = nn.functional.cross_entropy(self.net(pixels), labels)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], _: int, dataloader_idx: int) -> None:
        pixels, labels = batch
        logits = self.net(pixels)
        name = PARTS[dataloader_idx]
        loss = nn.functional.cross_entropy(logits, labels)
        self.log(f"{name}_loss", loss, add_dataloader_idx=False)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self.log(f"{name}_accuracy", accuracy, add_dataloader_idx=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=RATE, momentum=MOMENTUM)

    def on_train_epoch_start(self) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self) -> None:  # Lightning measures before it comes here
        self.answer.epoch(self.began)


def train(task: Task, answer: Answer) -> None:
    warnings.simplefilter("ignore")  # such as that processes could load batches ahead
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(task.seed, verbose=False)
    whole, test = (TensorDataset(*part) for part in tensors(task.data_dir))
    training, validation = random_split(whole, [len(whole) - VALIDATION, VALIDATION])
    parts = (Subset(training, range(MEASURED)), validation, test)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=task.epochs,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            Module(task, answer),
            DataLoader(training, batch_size=task.batch_size, shuffle=True),
            [DataLoader(part, batch_size=CHUNK) for part in parts],
        )
    answer.test_accuracy = float(trainer.callback_metrics["test_accuracy"])


if __name__ == "__main__":
    run(train)
