"""Train a fleet of networks and record what is measured of each run."""

from dropout_lab.training.evaluation import evaluate
from dropout_lab.training.fleet import Fleet
from dropout_lab.training.inference import (
    CURVE_COLUMNS,
    INFERENCE_COLUMNS,
    RELIABILITY_COLUMNS,
    infer,
)
from dropout_lab.training.loop import Epoch, train
from dropout_lab.training.record import RECORD_COLUMNS, Record
from dropout_lab.training.snapshots import ACTIVATION_COLUMNS

__all__ = [
    "ACTIVATION_COLUMNS",
    "CURVE_COLUMNS",
    "INFERENCE_COLUMNS",
    "RECORD_COLUMNS",
    "RELIABILITY_COLUMNS",
    "Epoch",
    "Fleet",
    "Record",
    "evaluate",
    "infer",
    "train",
]
