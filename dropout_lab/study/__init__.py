"""Many runs and their folder: what is missing is planned, trained in fleets, and kept."""

from dropout_lab.study.fleet_runner import Events
from dropout_lab.study.packing import pack
from dropout_lab.study.run import Outcome, preview, run_study
from dropout_lab.study.spec import Study

__all__ = ["Events", "Outcome", "Study", "pack", "preview", "run_study"]
