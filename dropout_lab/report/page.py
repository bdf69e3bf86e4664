"""Render the report as one self-contained HTML page."""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dropout_lab import __version__
from dropout_lab.analysis.published import PublishedTable
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.printable import printable
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import CellTable
from dropout_lab.report.inline_figures import inline_figures
from dropout_lab.results import PLOTS

GENERATOR = '<meta name="generator" content="dropout-lab '  # in the head of every page
UNVERIFIED = "unverified: recalled, not seen in the source"


def render_page(
    study: StudyTables,
    cells: CellTable,
    *,
    inferences: CellTable | None,
    conclusions: Sequence[str],
    published: PublishedTable | None,
    command: str,
    margin: float | None = None,
) -> str:
    """Return the report of a study as HTML.

    The template escapes all texts of the study. Only the figures, which are XML from a library, and
    our own style and script are inserted without escaping.

    Args:
        study: The study.
        cells: The table of cells.
        inferences: The table of inference methods, if there are several.
        conclusions: The conclusions, as sentences.
        published: The comparison with published values, if there are any.
        command: The command that creates the report again.
        margin: The margin of equivalence in the figures; by default, the config's.
    """
    unfinished, more_unfinished = provenance.unfinished(study, cells)
    return render_template(
        "report.html",
        study=study,
        manifest=study.manifest,
        cells=cells,
        inferences=inferences,
        conclusions=conclusions,
        published=published,
        unverified=UNVERIFIED,
        unit=study.manifest.published.unit if study.manifest.published else "%",
        figures=list(inline_figures(study, margin)),
        plots=PLOTS,
        unfinished=unfinished,
        more_unfinished=more_unfinished,
        overview=provenance.overview(study),
        config=provenance.config_text(study),
        commands=provenance.commands(study),
        environments=provenance.environments(study),
        digests=provenance.digests(study),
        command=command,
    )


def render_template(name: str, **values: object) -> str:
    """Return a page with our style, script and policy.

    Args:
        name: The template. It escapes all texts.
        values: The values of the template.
    """
    environment = Environment(
        loader=PackageLoader("dropout_lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _format_number, "sort_key": _sort_key}
    script, style = _asset("report.js"), _asset("report.css")
    return environment.get_template(name).render(
        **values,
        version=__version__,
        policy=_content_security_policy(script),
        script=Markup(script),
        style=Markup(style),
    )


def _shown(value: object) -> object:
    """Make a text of the page printable; return other values unchanged."""
    return printable(value) if type(value) is str else value


def _format_number(value: float, sign: str = "") -> str:
    """Format a value in the unit of the paper; a dash for nan."""
    return f"{value:{sign}.4g}" if math.isfinite(value) else "–"


def _sort_key(value: float) -> str:
    """Return a number to sort by; empty for nan."""
    return repr(float(value)) if math.isfinite(value) else ""


def _asset(name: str) -> str:
    return (files("dropout_lab.report") / "templates" / name).read_text(encoding="utf-8")


def _content_security_policy(script: str) -> str:
    """Return a Content-Security-Policy that forbids requests and all scripts except this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
