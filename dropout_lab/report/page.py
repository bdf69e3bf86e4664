"""The report as one page of HTML that needs nothing but itself."""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dropout_lab import __version__
from dropout_lab.analysis.published import Published
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import CellTable
from dropout_lab.report.pictures import inline_pictures
from dropout_lab.results import PLOTS

UNSEEN = "unverified: recalled, not seen in the source"


def page(
    study: StudyTables,
    cells: CellTable,
    *,
    inferences: CellTable | None,
    conclusions: Sequence[str],
    published: Published | None,
    command: str,
) -> str:
    """Return the report of a study as HTML.

    What comes from the study is escaped by the template; only the pictures, which are XML written
    by a library, and our own style and script stand in it as they are.

    Args:
        study: The study.
        cells: Its table.
        inferences: The table of the ways the networks were used, if there are several.
        conclusions: The findings, in sentences.
        published: The published values beside ours, if there are any.
        command: What makes the report again.
    """
    environment = Environment(
        loader=PackageLoader("dropout_lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "order": _order}
    script, style = _asset("report.js"), _asset("report.css")
    unfinished, more_unfinished = provenance.unfinished(study, cells)
    return environment.get_template("report.html").render(
        study=study,
        manifest=study.manifest,
        cells=cells,
        inferences=inferences,
        conclusions=conclusions,
        published=published,
        unseen=UNSEEN,
        unit=(study.manifest.get("published") or {}).get("unit", "%"),
        pictures=list(inline_pictures(study)),
        plots=PLOTS,
        unfinished=unfinished,
        more_unfinished=more_unfinished,
        overview=provenance.overview(study),
        config=provenance.config_text(study),
        commands=provenance.commands(study),
        environments=provenance.environments(study),
        digests=provenance.digests(study),
        command=command,
        version=__version__,
        policy=_policy(script),
        script=Markup(script),
        style=Markup(style),
    )


def _number(value: float, sign: str = "") -> str:
    """Return a value in a paper's unit; a dash for none."""
    return f"{value:{sign}.4g}" if math.isfinite(value) else "–"


def _order(value: float) -> str:
    """Return a number to sort by; empty for none."""
    return repr(float(value)) if math.isfinite(value) else ""


def _asset(name: str) -> str:
    return (files("dropout_lab.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: no request at all, and no script but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
