"""``dropout-lab remove``: take settings out of a study."""

from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli import encoding


def remove(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder of a study.", show_default=False)
    ],
    values: Annotated[
        list[str],
        typer.Argument(
            help="Values of the settings to remove: dropout.p=0.95.",
            metavar="KEY=VALUE",
            show_default=False,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed. Remove nothing.")
    ] = False,
) -> None:
    """Remove settings and their runs from a study, such as one value of p.

    The old tables are kept next to the new ones. The study records what was removed, and the
    removed comparisons still count in the correction of its report.
    """
    from dropout_lab.cli.report import values_of
    from dropout_lab.folder.removal import remove_cells
    from dropout_lab.results import counted

    asked = values_of("", values) or {}
    removal = remove_cells(results, asked, dry_run=dry_run)
    count = counted(len(removal.runs), "run")
    settings = counted(len({run.cell.settings for run in removal.runs}), "setting")
    verb = "Would remove" if dry_run else "Removed"
    for finding in removal.findings:
        encoding.tell(finding)
    encoding.say(f"{verb} {count} of {settings} from {results}.")
    if not dry_run:
        encoding.say(f"Update its plots and report: dropout-lab plot {results}")
