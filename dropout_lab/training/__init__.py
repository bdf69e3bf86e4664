"""Train a fleet of networks and record what is measured of each run."""

from dropout_lab.training.evaluation import evaluate
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.inference import (
    infer,
)
from dropout_lab.training.loop import Epoch, train
from dropout_lab.training.record import RECORD_COLUMNS, Record

__all__ = [
    "RECORD_COLUMNS",
    "Epoch",
    "Fleet",
    "Record",
    "evaluate",
    "infer",
    "train",
]
