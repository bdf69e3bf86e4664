"""Compute before training what a study can show with its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from dropout_lab.config.grid import baseline_of
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.results import counted, read_manifest
from dropout_lab.study import Study


@dataclass(frozen=True)
class Power:
    """How many comparisons with the baseline a study has, and how many seeds they need.

    Args:
        comparisons: Cells with a baseline, those that are in the folder already included.
        pairs: The most seeds that a cell and its baseline share.
        needed: The fewest pairs with which one comparison can be significant; None where no
            number of seeds is enough, or nothing is compared.
        seeds: All seeds of the study.
    """

    comparisons: int
    pairs: int
    needed: int | None
    seeds: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """Advice if no comparison can be significant; else empty."""
        if not self.comparisons or (self.needed is not None and self.pairs >= self.needed):
            return ""
        verb = "needs" if self.comparisons == 1 else "need"
        compared = f"{counted(self.comparisons, 'comparison')} with the baseline"
        start = f"{counted(self.pairs, 'seed')}: no comparison can be called significant. "
        if self.needed is None:
            return f"{start}{compared} are too many for any number of seeds: sweep fewer values."
        return (
            f"{start}{compared} {verb} {self.needed} paired seeds: "
            f"add {_option(self.seeds, self.needed)}."
        )


def power_of(study: Study) -> Power:
    """Return what a study can show, including the runs in its folder.

    Raises:
        StorageError: The folder's manifest cannot be read.
    """
    from dropout_lab.analysis.statistics import ALPHA, REFERENCE_SHARE, min_seeds, smallest_p

    manifest = read_manifest(study.out)
    known = [] if manifest is None else list(manifest.list_runs().values())
    seeds_of: dict[Settings, set[int]] = {}
    for run in (*study.runs, *known):
        seeds_of.setdefault(run.settings, set()).add(run.seed)
    shared = [
        len(seeds & seeds_of[baseline_of(settings)])
        for settings, seeds in seeds_of.items()
        if not is_baseline(settings) and baseline_of(settings) in seeds_of
    ]
    removals = manifest.removals() if manifest else []
    comparisons = len(shared) + sum(record.comparisons for record in removals)
    needed = min_seeds(max(1, comparisons))
    enough = comparisons / REFERENCE_SHARE * smallest_p(needed) < ALPHA
    return Power(
        comparisons if shared else 0,
        max(shared, default=0),
        needed if shared and enough else None,
        tuple(sorted(set().union(*seeds_of.values()))),
    )


def _option(seeds: Sequence[int], needed: int) -> str:
    """Return the option for a number of seeds: ``--seeds 7``, ``--seeds 5,6,7``."""
    if list(seeds) == list(range(len(seeds))):
        return f"--seeds {needed}"
    more = range(max(seeds) + 1, max(seeds) + 1 + max(0, needed - len(seeds)))
    return f"--seeds {','.join(map(str, [*seeds, *more]))}"
