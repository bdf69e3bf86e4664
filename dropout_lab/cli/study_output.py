"""Run or preview a study for ``train`` and ``sweep``: show progress and results."""

import json as json_module
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from dropout_lab.cli import encoding
from dropout_lab.cli.encoding import as_shown
from dropout_lab.cli.free_name import with_free_name
from dropout_lab.cli.power import power_of
from dropout_lab.cli.precision import check_precision
from dropout_lab.cli.progress import new_progress
from dropout_lab.config.grid import Run
from dropout_lab.config.rules import find_cautions
from dropout_lab.config.schema import get_value
from dropout_lab.errors import StorageError, TakenFolderError
from dropout_lab.results import (
    AT_END,
    ENSEMBLES,
    METRICS,
    PLOTS,
    RUNS,
    cell_text,
    command,
    counted,
    old_report,
)
from dropout_lab.study import Outcome, Study, preview, run_study
from dropout_lab.study.serial import Trainer, serial_trainer

if TYPE_CHECKING:
    import pandas as pd

    from dropout_lab.analysis.tables import StudyTables

# What --dry-run shows of a setting that varies nothing.
_OF_ONE_SETTING = (
    "dropout.variant", "dropout.p", "dropout.placement", "model.hidden", "dataset.name",
    "training.epochs", "training.updates",
)  # fmt: skip


def run(
    study: Study, *, plots: bool, dry_run: bool, json: bool, quiet: bool, force: bool = False
) -> None:
    """Run a study and print its cells; ``force``: also in bfloat16 that is slow here.

    Exit with 1 if some runs did not complete, or have a layer that does not do what it says; with
    ``dry_run``, if the folder is damaged.

    Raises:
        ConfigError: The study asks for bfloat16, which is slow here.
        StorageError: The folder cannot be read or written.
    """
    for text in find_cautions(cell.settings for cell in study.cells):
        encoding.tell(f"warning: {text}")
    if dry_run:
        with _naming_another(study):
            _print_preview(study, as_json=json)
        return
    check_precision(study, forced=force)
    outcome = _trained(study, quiet=quiet)

    # Only now: pandas and matplotlib take a second that the first epoch should not wait for.
    from dropout_lab.analysis.conclusions import short_conclusions
    from dropout_lab.analysis.tables import read_study, summarize_cells
    from dropout_lab.cli.table import print_cells, print_inferences

    tables = read_study(study.out)
    files, notes, unsaved = _pictures(tables) if plots else ([], [], None)
    table = summarize_cells(tables)
    marked, (answer, papers) = _marked(tables, outcome), short_conclusions(tables)
    if json:
        result = _result(study, outcome, table, files)
        result |= {"inference": _records(tables.inference, outcome), "marked": marked}
        result |= {"headline": answer, "beside_paper": papers}
        result |= {"ensembles": json_module.loads(tables.ensembles.to_json(orient="records"))}
        encoding.say(json_module.dumps(result, indent=1))
    else:
        console = Console(markup=False)
        print_cells(console, tables, table)
        print_inferences(console, tables, table)
        for sentence in filter(None, [answer, *papers]):
            console.print(f"\n{encoding.as_shown(sentence, console.file)}", highlight=False)
        _print_end(console, study, outcome, files)
        if not quiet and outcome.count("completed"):
            _print_next(console, study, plots=plots)
    for run_id, message in marked.items():
        encoding.tell(f"run {run_id} has a layer that does not do what it says: {message}")
    if outcome.trained and not plots and any((study.out / PLOTS).glob("*.png")):
        again = command("plot", study.out)
        notes.append(f"{PLOTS}/ is older than the runs; redraw it with: {again}")
    for note in filter(None, [*notes, old_report(study.out)]):
        encoding.tell(note)
    if unsaved is not None:  # reported here: the result is already on stdout, perhaps as JSON
        encoding.tell(str(unsaved))
        raise typer.Exit(unsaved.exit_status)
    if marked or outcome.count("completed") < len(outcome.statuses):
        raise typer.Exit(1)


def _trained(study: Study, *, quiet: bool) -> Outcome:
    """Train the missing runs of a study and show the progress."""
    if not quiet:
        with suppress(StorageError):  # the study itself says what is wrong with its folder
            if sentence := power_of(study).sentence:
                encoding.tell(sentence)
    # What a variant of one's own prints is no result.
    with (
        new_progress(quiet=quiet) as progress,
        redirect_stdout(sys.stderr),
        _naming_another(study),
    ):
        return run_study(study, progress, progress.say, _trainer(study))


@contextmanager
def _naming_another(study: Study) -> Iterator[None]:
    """Suggest a command if the folder holds something else."""
    try:
        yield
    except TakenFolderError as error:
        raise with_free_name(error, study.out, study.config.name, sys.argv[1:]) from error


def _pictures(tables: "StudyTables") -> tuple[list[Path], list[str], StorageError | None]:
    """Draw the plots; return their files, their notes, and the error if they cannot be saved.

    The numbers are printed first, even if drawing fails.
    """
    from dropout_lab.analysis.plots import plot_notes, plot_study

    try:
        return plot_study(tables), plot_notes(tables), None
    except StorageError as error:
        return [], [], error


def _records(frame: "pd.DataFrame", outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows of the requested runs by column."""
    own = frame[frame["run_id"].isin(list(outcome.statuses))].drop(
        columns=["is_baseline", "baseline_run_id", "label"]
    )
    records: list[dict[str, Any]] = json_module.loads(own.to_json(orient="records"))
    return records


def _marked(tables: "StudyTables", outcome: Outcome) -> dict[str, str]:
    """Describe completed runs whose measured noise differs from the nominal noise."""
    runs = tables.runs
    noted = runs[(runs["status"] == "completed") & runs["message"].astype(bool)]
    return {
        run_id: message
        for run_id, message in zip(noted["run_id"], noted["message"], strict=True)
        if run_id in outcome.statuses
    }


def _print_preview(study: Study, *, as_json: bool) -> None:
    """Print what would be trained, and any damage; exit with 1 on damage."""
    found = preview(study)
    _print_plan(study, found.fleets, as_json=as_json)
    for text in found.findings:
        encoding.tell(f"warning: {text}")
    if found.damaged:
        raise typer.Exit(1)


def _trainer(study: Study) -> Trainer:
    if not study.on_cluster:
        return serial_trainer
    from dropout_lab.cluster.trainer import cluster_trainer

    return cluster_trainer


def _print_plan(study: Study, fleets: Sequence[Sequence[Run]], *, as_json: bool) -> None:
    runs = study.runs
    missing = {run.run_id for fleet in fleets for run in fleet}
    power = power_of(study)
    plan = {
        "name": study.config.name,
        "out": str(study.out),
        "runs": len(runs),
        "finished": sum(run.run_id not in missing for run in runs),
        "seeds": list(study.seeds),
        "comparisons": power.comparisons,
        "seeds_needed": power.needed,
        "cells": [dict(cell.values) for cell in study.cells],
        "fleets": [[run.run_id for run in fleet] for fleet in fleets],
    }
    if as_json:
        encoding.say(json_module.dumps(plan, indent=1))
        return
    encoding.say(
        f"{study.config.name}: {counted(len(runs), 'run')} ({counted(len(study.cells), 'cell')} x "
        f"{counted(len(study.seeds), 'seed')}), {plan['finished']} of them finished, "
        f"{counted(len(fleets), 'fleet')} to train; into {study.out}"
    )
    for cell in study.cells:
        shown = cell.values or {key: get_value(cell.settings, key) for key in _OF_ONE_SETTING}
        values = ", ".join(
            f"{key} = {cell_text(value)}" for key, value in shown.items() if value is not None
        )
        encoding.say(f"  {values}")
    if power.sentence:
        encoding.tell(power.sentence)
    encoding.say("Nothing was trained or written.")


def _plain(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table of cells with labels as texts; without labels, drop the column."""
    if table["label"].isna().all():
        return table.drop(columns="label")
    return table.assign(label=table["label"].map(lambda label: label and label.text))


def _result(study: Study, outcome: Outcome, table: Any, files: Sequence[Path]) -> dict[str, Any]:
    return {
        "name": study.config.name,
        "out": str(study.out),
        "seconds": outcome.seconds,
        "trained": outcome.trained,
        "statuses": outcome.statuses,
        "cells": json_module.loads(_plain(table).to_json(orient="records")),
        "plots": [str(file) for file in files],
    }


def _print_end(console: Console, study: Study, outcome: Outcome, files: Sequence[Path]) -> None:
    """Print what was done and where the files are."""
    before = f", {outcome.finished} finished before" if outcome.finished else ""
    console.print(
        f"{counted(outcome.trained, 'run')} trained in {outcome.seconds:.1f} s{before}.",
        highlight=False,
    )
    for status in ("diverged", "failed", "interrupted"):
        if count := outcome.count(status):
            again = "; to retry them, add --retry failed" if status == "failed" else ""
            console.print(
                as_shown(f"{count} {status}; see {study.out / RUNS}{again}.", console.file),
                highlight=False,
            )
    names = (METRICS, RUNS, *AT_END, ENSEMBLES)
    paths = [study.out / name for name in names if (study.out / name).exists()]
    paths += [files[0].parent / "*.png"] if files else []
    listed = as_shown("Files: " + ", ".join(map(str, paths)), console.file)
    console.print(listed, highlight=False, soft_wrap=True)


def _print_next(console: Console, study: Study, *, plots: bool) -> None:
    """Print what to type next."""
    steps = {"Report": command("report", study.out)}
    if not plots:
        steps["Plots"] = command("plot", study.out)
    for what, typed in steps.items():
        console.print(as_shown(f"{what}: {typed}", console.file), highlight=False, soft_wrap=True)
