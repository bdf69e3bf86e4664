"""MkDocs hooks: write the generated parts of the site.

A page names a generated part in a comment, such as ``<!-- generated: cli -->``. The command line
comes from Typer, the config from the JSON Schema, the variants and the data sets from their
catalogues, the columns from ``results/columns.py``. Each lesson and each report is run once; the
results are kept in ``docs/.cache`` until the code or the data change. With the variable
``DROPOUT_LAB_DOCS_QUICK``, lessons and reports are left out, and the site builds in seconds.
"""

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_PART = re.compile(r"^<!-- generated: ([\w-]+)(?: (\S+))? -->$", re.MULTILINE)
_STUDY_LINK = re.compile(r"\]\((?:\.\./)+results/reference/")
_PAGE_LINK = re.compile(r"\]\((?:docs/pages/)([^)#]+\.md)")
_ROOT_PAGES = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
}

# The package of this checkout, installed or not, and the modules beside this one.
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from exercise_parts import exercises_part  # noqa: E402
from lesson_pages import lesson_page  # noqa: E402
from page_parts import is_quick  # noqa: E402
from reference_parts import (  # noqa: E402
    cli_part,
    columns_part,
    config_part,
    configs_part,
    datasets_part,
    lessons_part,
    mistakes_part,
    variants_part,
)
from study_pages import REFERENCE, gallery_part, reports  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the lessons, the reports and the plots of the published studies."""
    from dropout_lab.lessons import LESSONS

    for name in LESSONS:
        text, picture = lesson_page(name)
        page = f"teach/lessons/{name}.md"
        files.append(File.generated(config, page, content=text))
        if picture is not None:
            target = f"teach/lessons/{name}.png"
            files.append(File.generated(config, target, abs_src_path=str(picture)))
    for plot in sorted(REFERENCE.glob("*/plots/*.png")):
        target = f"studies/{plot.relative_to(REFERENCE).as_posix()}"
        files.append(File.generated(config, target, abs_src_path=str(plot)))
    if not is_quick():
        folder = reports()
        for report in sorted(folder.glob("*/report.html")):
            target = f"studies/{report.relative_to(folder).as_posix()}"
            files.append(File.generated(config, target, abs_src_path=str(report)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert the generated parts of a page, and lead its links to the files of the site."""
    here = posixpath.dirname(page.file.src_uri)
    markdown = _PART.sub(lambda found: PARTS[found[1]](found[2] or ""), markdown)
    studies = posixpath.relpath("studies", here or ".")
    markdown = _STUDY_LINK.sub(f"]({studies}/", markdown)
    markdown = _PAGE_LINK.sub(lambda found: f"]({posixpath.relpath(found[1], here)}", markdown)
    for name, target in _ROOT_PAGES.items():
        markdown = re.sub(
            rf"\]\((?:\.\./)*{name}\)", f"]({posixpath.relpath(target, here)})", markdown
        )
    return markdown


def include_part(name: str) -> str:
    """Return a page from the top of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


PARTS: dict[str, Callable[[str], str]] = {
    "cli": cli_part,
    "config": config_part,
    "mistakes": mistakes_part,
    "variants": variants_part,
    "columns": columns_part,
    "configs": configs_part,
    "exercises": exercises_part,
    "datasets": datasets_part,
    "lessons": lessons_part,
    "gallery": gallery_part,
    "include": include_part,
}
