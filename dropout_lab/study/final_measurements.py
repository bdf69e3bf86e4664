"""Measure trained networks: each run's inference methods, and ensembles over seeds.

The average of a cell's networks is the expensive thing that dropout stands for.
"""

from typing import Any

import numpy as np
import torch

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.sections.evaluation import at_end, inferences
from dropout_lab.data import Splits
from dropout_lab.folder.store import Store
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.probabilities import ProbabilityTally, entropy_of
from dropout_lab.results.boundary import BOUNDARY
from dropout_lab.results.features import FEATURES, features_bytes
from dropout_lab.results.predictions import PREDICTIONS, arrays_bytes, read_predictions
from dropout_lab.training import Fleet, infer
from dropout_lab.training.boundary import boundaries
from dropout_lab.training.inference import (
    curve_rows,
    inference_rows,
    reliability_rows,
    score_columns,
)
from dropout_lab.training.snapshots import activation_rows, features


def keep_inferences(fleet: Fleet, splits: Splits, store: Store) -> None:
    """Evaluate each trained network with the requested inference methods; save the scores.

    What ``at_end`` names is kept too, and the test probabilities of each run that an ensemble is
    made of.
    """
    wanted = at_end(fleet.settings.evaluation)
    inferred = infer(fleet.model, splits, fleet.settings.evaluation, fleet.seeds)
    trained = [(i, run) for i, run in enumerate(fleet.runs) if i not in fleet.diverged]
    store.add_rows(results.INFERENCE, {r.run_id: inference_rows(inferred, i) for i, r in trained})
    if inferred.curve is not None:
        rows = {run.run_id: curve_rows(inferred, index) for index, run in trained}
        store.add_rows(results.MONTE_CARLO, rows)
    if "reliability" in wanted:
        rows = {run.run_id: reliability_rows(inferred, index) for index, run in trained}
        store.add_rows(results.RELIABILITY, rows)
    if "histograms" in wanted:
        every = activation_rows(fleet.model, splits, fleet.seeds)
        store.add_rows(results.ACTIVATIONS, {run.run_id: every[index] for index, run in trained})
    if "features" in wanted:
        kept = features(fleet.model, splits, fleet.seeds)
        for index, run in trained:
            content = features_bytes(*kept[index], run.run_id)
            store.keep_file(run.run_id, FEATURES, content)
    if "boundary" in wanted:
        every_boundary = boundaries(fleet.model, splits)
        for index, run in trained:
            store.keep_file(run.run_id, BOUNDARY, every_boundary[index].to_bytes(run.run_id))
    if inferred.log_probabilities is not None:
        labels = splits.test.labels.cpu().numpy()
        labels = labels.astype(np.min_scalar_type(splits.classes - 1))
        for index, run in trained:
            log_probabilities = inferred.log_probabilities[index].cpu().numpy()
            content = arrays_bytes(run.run_id, log_probabilities=log_probabilities, labels=labels)
            store.keep_file(run.run_id, PREDICTIONS, content)


def ensembles(folder: StudyFolder) -> list[dict[str, Any]]:
    """Return the scores of the average of each cell's networks, by column, for ensembles.csv.

    Completed runs count, of which a cell needs two; ``seeds`` says how many there were.
    """
    if folder.manifest is None:
        return []
    cells: dict[Any, list[Run]] = {}
    statuses = folder.statuses
    for run in folder.manifest.list_runs().values():
        completed = statuses.get(run.run_id) == "completed"
        if completed and "ensemble" in inferences(run.settings.evaluation):
            cells.setdefault(run.settings, []).append(run)
    rows = []
    for runs in cells.values():
        members = [loaded for run in runs if (loaded := _load(run, folder)) is not None]
        labels = [own for _, own in members]
        if not all(torch.equal(own, labels[0]) for own in labels):
            ids = ", ".join(run.run_id for run in runs)
            folder.findings.add(
                f"{folder.path}: the {PREDICTIONS} of the runs {ids} have different labels, and no "
                "ensemble is made of them."
            )
        elif len(members) > 1:
            rows.append({**runs[0].cell.values, "seeds": len(members), **_scores(members)})
    return rows


def _scores(members: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, Any]:
    labels = members[0][1]
    log_p = torch.stack([log_probabilities.double() for log_probabilities, _ in members])
    tally = ProbabilityTally(1, labels.device)
    average = torch.logsumexp(log_p, dim=0) - np.log(len(members))  # (examples, classes)
    tally.add(average.unsqueeze(0), labels, entropy_of(log_p).mean(dim=0, keepdim=True))
    return score_columns(tally.scores(), 0)


def _load(run: Run, folder: StudyFolder) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return a run's test log-probabilities and labels; None if there are none."""
    dataset = run.settings.dataset.describe()
    try:
        read = read_predictions(folder.run_folder(run) / PREDICTIONS, dataset)
    except ValueError:  # reported when the folder was read
        return None
    return None if read is None else (torch.from_numpy(read[0]), torch.from_numpy(read[1]).long())
