"""The loop: a fleet in, records out."""

from dropout_lab.training.evaluation import evaluate
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.loop import Epoch, train
from dropout_lab.training.record import RECORD_COLUMNS, Record

__all__ = ["RECORD_COLUMNS", "Epoch", "Fleet", "Record", "evaluate", "train"]
