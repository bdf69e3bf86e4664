"""``dropout-lab plot``: draw the plots of studies."""

from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli import encoding, options


def plot(
    results: options.Results = Path("results"),
    out: options.Elsewhere = None,
    margin: options.Margin = None,
    json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Draw the plots of a study, or of every study in a folder, as PNG and SVG.

    A damaged study is not drawn; the message says what is damaged.
    """
    import json as json_module

    from dropout_lab.errors import StorageError
    from dropout_lab.files import reading
    from dropout_lab.results import PLOTS, find_studies, folder_for

    drawn: dict[str, list[str]] = {}
    places: dict[str, Path] = {}
    problems = []
    for path in find_studies(results):
        try:
            places[str(path)] = place = folder_for(path, results, out)
            with reading():
                drawn[str(path)] = [str(file) for file in _draw(path, place, margin)]
        except StorageError as error:  # one damaged study does not hide the others
            problems.append(error)
    if json:
        encoding.say(json_module.dumps(drawn, indent=1))
    for folder, files in drawn.items():
        if not json:
            encoding.say(f"{folder}: {len(files)} files in {places[folder] / PLOTS}")
    for problem in problems:
        encoding.tell(str(problem))
    if problems:
        raise typer.Exit(problems[0].exit_status)


def _draw(path: Path, folder: Path, margin: float | None) -> list[Path]:
    """Draw one study; report damage, missing plots and outdated files.

    Raises:
        StorageError: It cannot be read, or its pictures cannot be written.
    """
    from dropout_lab.analysis.plots import plot_notes, plot_study
    from dropout_lab.analysis.tables import read_study
    from dropout_lab.results import old_report

    study = read_study(path)
    for text in study.damage:
        encoding.tell(f"warning: {text}")
    files = plot_study(study, folder, None if margin is None else margin / 100)
    for note in filter(None, [*plot_notes(study), old_report(path)]):
        encoding.tell(f"{path}: {note}")
    return files
