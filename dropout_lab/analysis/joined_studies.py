"""Join several studies into one table, so that their cells are compared like those of one study.

The joined study has one more key, ``study``. It varies every key that one of the studies varies. A
key with one value in each study, but not the same value, is no key of the joined study: the study
stands for it. So p = 0.5 with ``inverted`` in one study and p = 0.5 with ``gaussian`` in another
are a pair of cells, and the key ``dropout.variant`` is listed as a difference between the studies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from dropout_lab.analysis.phrases import listed
from dropout_lab.analysis.tables import STUDY, StudyTables, column_of_texts
from dropout_lab.config.grid import Run, section_data, values_of
from dropout_lab.config.schema import KEYS, SECTIONS
from dropout_lab.config.sections.dataset import CONTENTS, PATH
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.results import cell_text, comparable, digest


@dataclass(frozen=True)
class JoinedStudies:
    """Several studies, and one table of all their runs.

    Args:
        names: A different name for each study.
        studies: The studies; the first is the reference of the others.
        tables: All studies as one, with the key ``study``. Its column ``seed`` numbers what runs
            share: two runs have the same number if they have the same seed and their data agree.
    """

    names: tuple[str, ...]
    studies: tuple[StudyTables, ...]
    tables: StudyTables

    @property
    def keys(self) -> tuple[str, ...]:
        """The varied keys except ``study``."""
        return self.tables.swept[1:]

    @cached_property
    def differences(self) -> dict[str, tuple[str, ...]]:
        """The keys that the studies set differently without varying them: a value per study."""
        values = [_settings_of(study) for study in self.studies]
        return {
            key: tuple(each[key] for each in values)
            for key in KEYS
            if key not in (*self.keys, PATH) and len({each[key] for each in values}) > 1
        }


def join_studies(studies: Sequence[StudyTables], names: Sequence[str]) -> JoinedStudies:
    """Join studies into one.

    Args:
        studies: The studies; the first is the reference of the others.
        names: A different name for each study.
    """
    keys = tuple(dict.fromkeys(key for study in studies for key in study.swept))
    runs_by_id = {
        f"{place}:{run_id}": run
        for place, study in enumerate(studies)
        for run_id, run in study.runs_by_id.items()
    }
    frames = []
    for place, (study, name) in enumerate(zip(studies, names, strict=True)):
        frame = study.runs.drop(columns=[key for key in keys if key in study.runs])
        for column in ("run_id", "baseline_run_id"):
            frame[column] = f"{place}:" + frame[column]
        frames.append(frame.assign(**{STUDY: name}))
    runs = pd.concat([_without_empty(frame) for frame in frames], ignore_index=True)
    for key in keys:
        texts = [
            cell_text(values_of(runs_by_id[run_id].settings, [key])[key])
            for run_id in runs["run_id"]
        ]
        runs[key] = column_of_texts(pd.Series(texts, index=runs.index))
    runs["seed"] = pd.factorize(pd.Series(_shared_draws(studies, runs, runs_by_id)))[0]
    first = studies[0]
    manifest = first.manifest.model_copy(
        update={
            "name": listed(names),
            "swept": [STUDY, *keys],
            "labelled": list(dict.fromkeys(k for s in studies for k in s.manifest.labelled)),
            "runs": {},
            "removed": [record for study in studies for record in study.manifest.removals()],
            "published": None,
            "figure": None,
        }
    )
    tables = replace(
        first,
        manifest=manifest,
        swept=(STUDY, *keys),
        runs_by_id=runs_by_id,
        runs=_in_order(runs, keys),
        metrics=pd.DataFrame(),
        inference=pd.DataFrame(),
        monte_carlo=pd.DataFrame(),
        ensembles=pd.DataFrame(),
        damage=tuple(text for study in studies for text in study.damage),
        reliability=pd.DataFrame(),
        activations=pd.DataFrame(),
    )
    return JoinedStudies(tuple(names), tuple(studies), tables)


def data_digest(study: StudyTables, run: Run) -> str:
    """Return the SHA-256 of the data that a run was trained on; empty if it was not recorded."""
    key = digest(section_data("dataset", run.settings.dataset))[:12]
    return study.manifest.data_digests.get(key, "")


def data_sets(study: StudyTables) -> dict[str, str]:
    """Return the data sets of a study, by what identifies them; the values are their names."""
    found = {}
    for run in study.runs_by_id.values():
        data = run.settings.dataset
        contents = data.contents.sha256 if data.contents is not None else ""
        found[f"{data.name} {contents}"] = data.name
    return found


def same_training(one: Run, other: Run) -> bool:
    """Return whether two runs train equal networks: their settings except ``evaluation`` agree."""
    return all(
        section_data(name, getattr(one.settings, name))
        == section_data(name, getattr(other.settings, name))
        for name in SECTIONS
        if name != "evaluation"
    )


def _settings_of(study: StudyTables) -> dict[str, str]:
    """Return the values of each key in a study's cells with dropout, as text.

    Uses all cells if none has dropout.
    """
    every = {run.settings: None for run in study.runs_by_id.values()}
    dropping = [settings for settings in every if not is_baseline(settings)]
    values: dict[str, dict[str, None]] = {key: {} for key in KEYS}
    for settings in dropping or every:
        for key, value in values_of(settings, KEYS).items():
            if key == CONTENTS and value is not None:
                value = value.sha256[:12]
            values[key][comparable(value)] = None
    return {key: ", ".join(each) for key, each in values.items()}


def _shared_draws(
    studies: Sequence[StudyTables], runs: pd.DataFrame, runs_by_id: Mapping[str, Run]
) -> list[tuple[int, int]]:
    """Return for each run its seed, and the number of its data among different data of one name.

    Runs with the same seed share initial weights, data and data order, if the same settings of the
    data gave the same data in their studies.
    """
    versions: dict[str, list[str]] = {}
    found = []
    for run_id in runs["run_id"]:
        run = runs_by_id[run_id]
        known = versions.setdefault(digest(section_data("dataset", run.settings.dataset)), [])
        own = data_digest(studies[int(run_id.partition(":")[0])], run)
        if own and own not in known:
            known.append(own)
        found.append((run.seed, known.index(own) if own else 0))
    return found


def _in_order(runs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Sort the runs by cell, and the runs of a cell by study; cells without dropout come first.

    Numbers are in their order, other values in the order of the studies. Labelled cells are in the
    order of the studies, too.
    """
    order = pd.DataFrame(index=runs.index)
    order["baseline"] = ~runs["is_baseline"]
    if runs["label"].astype(bool).any():
        cells = runs[list(keys)].map(comparable).agg("\n".join, axis=1)
        order["cell"] = pd.factorize(cells)[0]
    else:
        for key in keys:
            column = runs[key]
            numeric = pd.api.types.is_numeric_dtype(column)
            order[key] = column if numeric else pd.factorize(column.map(comparable))[0]
    order["study"] = runs["run_id"].map(lambda run_id: int(run_id.partition(":")[0]))
    return runs.loc[
        order.sort_values([str(name) for name in order], kind="stable").index
    ].reset_index(drop=True)


def _without_empty(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame without columns that have no value, whose type pandas cannot know."""
    return frame.loc[:, frame.notna().any() | (frame.dtypes != np.float64)]
