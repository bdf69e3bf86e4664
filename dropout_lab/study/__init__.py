"""Many runs and their folder: what is missing is planned, trained in fleets, and kept."""

from dropout_lab.study.engine import Events
from dropout_lab.study.manifest import notes
from dropout_lab.study.plan import pack
from dropout_lab.study.request import Study
from dropout_lab.study.study import Outcome, planned_fleets, preview, run_study

__all__ = ["Events", "Outcome", "Study", "notes", "pack", "planned_fleets", "preview", "run_study"]
