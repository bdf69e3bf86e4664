"""``dropout-lab plot``: the pictures of a study, or of every study in a folder."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    results: Annotated[
        Path, typer.Argument(help="A study's folder, or a folder of studies.")
    ] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Draw the pictures of a study, or of every study below a folder, as PNG and SVG."""
    import json as json_module

    from dropout_lab.analysis.plots import plot_study
    from dropout_lab.analysis.tables import find_studies, read_study
    from dropout_lab.errors import StorageError

    drawn: dict[str, list[str]] = {}
    problems = []
    for path in find_studies(results):
        try:
            drawn[str(path)] = [str(file) for file in plot_study(read_study(path))]
        except StorageError as error:  # one damaged study does not hide the others
            problems.append(error)
    if json:
        typer.echo(json_module.dumps(drawn, indent=1))
    for folder, files in drawn.items():
        if not json:
            typer.echo(f"{folder}: {len(files)} files in {folder}/plots")
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(problems[0].exit_status)
