"""Run a study: plan what is missing, train it in fleets, save it."""

from dropout_lab.study.fleet_runner import Events
from dropout_lab.study.packing import pack
from dropout_lab.study.run import Outcome, preview, run_study
from dropout_lab.study.spec import Study

__all__ = ["Events", "Outcome", "Study", "pack", "preview", "run_study"]
