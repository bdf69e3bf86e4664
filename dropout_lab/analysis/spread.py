"""Show how much each source of randomness spreads the test accuracy between runs.

The sources are the initial weights, the order of the examples, the masks, and the split of the
data. Runs form a group if they differ in one source only. The standard deviation that this source
causes is ``s = sqrt(sum (a - mean of the group)^2 / sum (n - 1))``, with the sums over all groups
of n runs with test accuracies a. Its 95% interval is ``s sqrt(f / q)``, where q are the quantiles
of the chi-squared distribution with f degrees of freedom, for normal accuracies. f is the number of
values of the source, minus 1: groups that use the same values are not counted as independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chi2

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.config.grid import Run, values_of
from dropout_lab.config.schema import Settings, get_value
from dropout_lab.config.sections.dropout import is_baseline

_SPLIT = "dataset.split_seed"
_HELD = {
    "initial weights": "training.initial_weights_seed",
    "data order": "training.data_order_seed",
    "masks": "training.mask_seed",
}
SOURCES = {**_HELD, "data split": _SPLIT}
ALL = "all three"  # what one seed decides
_LEAST = 3  # values of a source


@dataclass(frozen=True)
class Spread:
    """The spread that one source causes.

    Args:
        setting: The setting, without the seeds of the sources.
        source: A name of ``SOURCES``, or ``ALL``.
        values: The number of different values of the source.
        sd: The standard deviation of the test accuracy, as a fraction.
        interval: Its 95% interval.
    """

    setting: Settings
    source: str
    values: int
    sd: float
    interval: tuple[float, float]


def spreads(study: StudyTables) -> list[Spread]:
    """Return the spread of each source that at least three runs vary alone.

    Empty if no run of the study holds a source; see ``training.mask_seed`` and the keys beside it.
    """
    runs = study.runs[study.runs["status"] == "completed"]
    accuracies = dict(zip(runs["run_id"], runs["test_accuracy"].astype(float), strict=True))
    known = [study.runs_by_id[run_id] for run_id in accuracies]
    if not any(_is_held(run.settings) for run in known):
        return []
    groups: dict[tuple[Settings, str], dict[object, dict[int, float]]] = defaultdict(dict)
    for run in known:
        setting, seeds = _without_sources(run.settings), _seeds(run)
        for source, value in seeds.items():
            if source == "masks" and is_baseline(run.settings):
                continue  # there are none
            others = tuple(seed for name, seed in seeds.items() if name != source)
            groups[setting, source].setdefault(others, {})[value] = accuracies[run.run_id]
        if not _is_held(run.settings):
            split = seeds["data split"]
            groups[setting, ALL].setdefault(split, {})[run.seed] = accuracies[run.run_id]
    order = [*SOURCES, ALL]
    found = [
        _spread(setting, source, [[*group.values()] for group in found.values()])
        for (setting, source), found in groups.items()
        if max(map(len, found.values())) >= _LEAST
    ]
    return sorted(found, key=lambda each: order.index(each.source))


def _spread(setting: Settings, source: str, groups: Iterable[list[float]]) -> Spread:
    several = [np.array(group) for group in groups if len(group) > 1]
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    values = max(map(len, several))
    sd = (squares / sum(len(group) - 1 for group in several)) ** 0.5
    low, high = (sd * ((values - 1) / chi2.ppf(q, values - 1)) ** 0.5 for q in (0.975, 0.025))
    return Spread(setting, source, values, sd, (low, high))


def _seeds(run: Run) -> dict[str, int]:
    """Return the seed of each source of a run."""
    given = {source: get_value(run.settings, key) for source, key in SOURCES.items()}
    return {source: run.seed if seed is None else int(seed) for source, seed in given.items()}


def _is_held(settings: Settings) -> bool:
    return any(get_value(settings, key) is not None for key in _HELD.values())


def _without_sources(settings: Settings) -> Settings:
    names = [key.partition(".")[2] for key in _HELD.values()]
    return settings.model_copy(
        update={
            "training": settings.training.model_copy(update=dict.fromkeys(names)),
            "dataset": settings.dataset.model_copy(update={"split_seed": 0}),
        }
    )


def draw_spread(study: StudyTables, title: str) -> Figure | None:
    """Draw the spread of each source, a colour for each setting. None without such runs."""
    found = spreads(study)
    if not found:
        return None
    names = _names(study, found)
    sources = [name for name in (*SOURCES, ALL) if any(each.source == name for each in found)]
    figure = style.new_figure(6.6, 0.55 * len(sources) + 1.9)
    axes = figure.subplots()
    for index, (setting, name) in enumerate(names.items()):
        own = [each for each in found if each.setting == setting]
        shift = 0.22 * (index - (len(names) - 1) / 2)
        sds = np.array([100 * each.sd for each in own])
        ends = 100 * np.array([each.interval for each in own])
        axes.errorbar(
            sds,
            [sources.index(each.source) + shift for each in own],
            xerr=np.abs(ends.T - sds),
            fmt="o",
            capsize=3,
            color=style.WITHOUT if is_baseline(setting) else style.p_colour(0.2 * index + 0.3),
            label=name,
        )
    axes.set_yticks(range(len(sources)), sources)
    axes.set_ylim(len(sources) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("standard deviation of the test accuracy (percentage points)")
    style.legend_right(axes, axes.get_legend_handles_labels())
    style.heading(figure, f"{title}: what makes runs differ")
    style.footnote(
        figure,
        "each source varied alone; all three: one seed for weights, order and masks",
        "bars: 95% interval of the standard deviation",
        f"n = {_counts(found)} values of each source",
    )
    return figure


def describe_spread(study: StudyTables) -> list[str]:
    """Say for each setting how far each source spreads the test accuracy."""
    found = spreads(study)
    sentences = []
    for setting, name in _names(study, found).items():
        own = [each for each in found if each.setting == setting]
        parts = [
            f"{each.source}: {100 * each.sd:.2f} pp "
            f"[{100 * each.interval[0]:.2f}, {100 * each.interval[1]:.2f}]"
            for each in own
        ]
        sentences.append(
            f"Standard deviation of the test accuracy of {name}, by what varies alone: "
            f"{'; '.join(parts)} (n = {_counts(own)} values of each; 95% interval)."
        )
    return sentences


def _counts(found: Iterable[Spread]) -> str:
    return " or ".join(str(count) for count in sorted({each.values for each in found}))


def _names(study: StudyTables, found: Iterable[Spread]) -> Mapping[Settings, str]:
    """Return a name of each setting: what was swept, but for the seeds of the sources."""
    keys = tuple(key for key in study.swept if key not in SOURCES.values())
    settings = dict.fromkeys(each.setting for each in found)
    return {
        setting: style.cell_label(values_of(setting, keys), keys, is_baseline(setting))
        for setting in settings
    }
