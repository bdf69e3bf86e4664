"""``dropout-lab doctor``: find and repair damage in a results folder."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropout_lab.cli import encoding, options

_BY_COMMAND = "Run the command that made the study again: it repairs the rest."

if TYPE_CHECKING:
    from dropout_lab.folder.notices import Finding


def doctor(
    results: options.Results = Path("results"),
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair the damage. A copy of every old file is kept.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Check a results folder for damage; with --fix, repair it.

    Without --fix nothing is written. The exit status is 1 if something is damaged, and 4 if a
    folder cannot be read or repaired.
    """
    import json as json_module

    from dropout_lab.errors import StorageError
    from dropout_lab.files import reading
    from dropout_lab.folder.doctor import examine, repair
    from dropout_lab.results import find_studies

    studies = find_studies(results, without_manifest=True, asking="doctor")
    found: list[dict[str, Any]] = []
    problems = []
    left = 0
    ways: set[str] = set()  # in which what is left can be repaired
    for folder in studies:
        try:
            with reading():
                repaired, rest = repair(folder) if fix else ([], examine(folder))
        except StorageError as error:  # one that cannot be read does not hide the others
            problems.append(error)
            continue
        # Damage that the study's own command repairs needs no --fix.
        left += sum(each.hopeless if fix else each.damaged for each in rest)
        ways |= {_way(each) for each in rest if each.damaged}
        for kind, findings in (("repaired", repaired), ("left", rest)):
            for each in findings:
                found.append(_as_data(each, repaired=kind == "repaired"))
                if not json:
                    encoding.say(_line(each, repaired=kind == "repaired"))
    if json:
        texts = [problem.plain for problem in problems]
        encoding.say(
            json_module.dumps(
                {"studies": len(studies), "findings": found, "problems": texts}, indent=1
            )
        )
    else:
        repaired = sum(each["repaired"] for each in found)
        count = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"
        if problems:
            encoding.say(f"{count}, of which {len(problems)} cannot be read or repaired.")
        elif fix:
            encoding.say(f"{count}{_closing_of_fix(repaired, left, ways)}")
        else:
            encoding.say(f"{count}{_closing(results, left, ways)}")
    for problem in problems:
        encoding.tell(problem.plain)  # there is no --out here
    if problems or (fix and left):
        raise typer.Exit(4)
    raise typer.Exit(1 if left else 0)


def _line(finding: "Finding", *, repaired: bool) -> str:
    text = f"{finding.path}: {finding.words}"
    if repaired:
        return f"{text}. Repaired: {finding.remedy}."
    if not finding.damaged:
        return f"note: {text}." + (f" With --fix: {finding.remedy}." if finding.repair else "")
    if finding.repair is not None:
        return f"{text}. With --fix: {finding.remedy}."
    return (
        f"{text}; {finding.remedy}." if finding.remedy else f"{text}; it cannot be repaired here."
    )


def _as_data(finding: "Finding", *, repaired: bool) -> dict[str, Any]:
    return {
        "file": str(finding.path),
        "words": finding.words,
        "remedy": finding.remedy,
        "damaged": finding.damaged,
        "repaired": repaired,
    }


def _way(finding: "Finding") -> str:
    """Return what repairs a damage: ``--fix``, the study's own ``command``, or nothing."""
    if finding.repair is not None:
        return "--fix"
    return "command" if finding.remedy else ""


def _closing(path: Path, left: int, ways: Collection[str]) -> str:
    """Return the end of the summary: the damage left, and how to repair it."""
    if not left:
        return ", nothing is damaged."
    count = f", {left} {'damage' if left == 1 else 'damages'}."
    if "--fix" in ways:
        from dropout_lab.results import command

        return f"{count} To repair: {command('doctor', '--fix', path)}"
    return f"{count} {_BY_COMMAND}" if "command" in ways else count


def _closing_of_fix(repaired: int, left: int, ways: Collection[str]) -> str:
    """Return the end of the summary after ``--fix``."""
    if left:
        return f": {repaired} damages repaired, {left} cannot be."
    if repaired:
        return (
            f": {repaired} damages repaired, the old files are backed up. "
            "The command that made the study trains what is missing."
        )
    return f": --fix has nothing to repair. {_BY_COMMAND}" if ways else ", nothing is damaged."
