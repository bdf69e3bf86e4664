"""The reports of the published studies, and the page that lists the studies."""

import json
import subprocess
import sys
from pathlib import Path

from page_parts import CACHE, ROOT, cell, digest, is_quick

REFERENCE = ROOT / "results" / "reference"


def reports() -> Path:
    """Return the folder of the reports of the published studies; make them if needed."""
    data = ("results/reference/*/*.csv", "results/reference/*/manifest.json")
    folder = CACHE / f"reports-{digest('dropout_lab/**/*.*', *data)}"
    if not (folder / "reports.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "dropout_lab", "report", "results/reference", "--json"]
        command += ["--out", str(folder)]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"The reports were not made: {made.stderr}")
        (folder / "reports.json").write_text(made.stdout, encoding="utf-8")
    return folder


def gallery_part(_: str = "") -> str:
    """Return each published study: its question, first findings, report and main plot."""
    told = {}
    if not is_quick():
        told = json.loads((reports() / "reports.json").read_text(encoding="utf-8"))
    found = {Path(path).name: report["conclusions"][:3] for path, report in told.items()}
    return "\n\n".join(
        _study(path.parent, found.get(path.parent.name, []))
        for path in sorted(REFERENCE.glob("*/manifest.json"))
    )


def _study(path: Path, findings: list[str]) -> str:
    """Return the part of a page about a study."""
    about = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["about"]
    folder = f"../studies/{path.name}"
    parts = [f"## {path.name}", about or "", "\n".join(f"- {cell(text)}" for text in findings)]
    if findings:
        parts.append(f"[Report]({folder}/report.html)")
    for name in ("figure.png", "curves.png", "diagnostics_1.png", "cells.png"):
        if (path / "plots" / name).exists():
            parts.append(f"![The main plot of {path.name}]({folder}/plots/{name})")
            break
    return "\n\n".join(filter(None, parts))
