"""The pages of the lessons: each lesson is run once, and its page kept in ``docs/.cache``."""

from pathlib import Path
from typing import Any

from page_parts import CACHE, digest, is_quick, table

LONG = 15  # seconds from which a lesson is run with --quick


def lesson_page(name: str) -> tuple[str, Path | None]:
    """Return the page of a lesson and the path of its picture; run the lesson if needed."""
    folder = CACHE / f"lessons-{digest('dropout_lab/**/*.py', 'docs/lesson_pages.py')}"
    page, picture = folder / f"{name}.md", folder / f"{name}.png"
    if is_quick() and not page.exists():
        return _head(name), None
    if not (page.exists() and picture.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(_run_lesson(name, folder), encoding="utf-8")
    return page.read_text(encoding="utf-8"), picture


def _head(name: str) -> str:
    """Return the beginning of a page: the claim, its source, and the command."""
    from dropout_lab.lessons import LESSONS

    about = LESSONS[name]
    command = f"dropout-lab lesson {name}" + " --quick" * (about.seconds[1] > LONG)
    return (
        f"# Lesson: {name}\n\n**Claim.** {about.claim}\n\n*{about.paper}*\n\n"
        f"This page shows the output of one command:\n\n```bash\n{command}\n```\n"
    )


def _run_lesson(name: str, folder: Path) -> str:
    """Run a lesson, draw its picture, and return its page. Long lessons run with --quick."""
    from dropout_lab.analysis import style
    from dropout_lab.lessons import LESSONS, LessonOptions, lesson_parts
    from dropout_lab.lessons.parts import Check, Plot

    about = LESSONS[name]
    quick = about.seconds[1] > LONG
    lines = [_head(name)]
    checks = []
    for part in lesson_parts(name, LessonOptions(about.p, quick=quick)):
        if isinstance(part, Check):
            found = part.outcome
            measured = (
                found.measured if isinstance(found.measured, str) else f"{found.measured:.4g}"
            )
            checks.append([part.name, measured, found.bound, "ok" if found.passed else "FAILED"])
        elif isinstance(part, Plot):
            with style.style():
                style.save(part.draw(), folder, name)
            lines.append(f"![{part.shows}]({name}.png)")
        else:
            lines.append(_lesson_part(part))
    lines.append(
        "## Checks\n\nSE is the standard error.\n\n"
        + table(["check", "measured", "bound", ""], checks)
    )
    return "\n\n".join(filter(None, lines)) + "\n"


def _lesson_part(part: Any) -> str:
    """Return a part of a lesson as Markdown."""
    match type(part).__name__:
        case "Section":
            return f"## {part.title}"
        case "Paragraph":
            return str(part.text).replace("<", "&lt;")
        case "Formula":
            return f"```text\n{part.text}\n```"
        case "Table":
            rows = [[_number(each, part.digits) for each in row] for row in part.rows]
            return f"*{part.title}*\n\n" + table(list(part.columns), rows)
        case "Observation":
            return f'!!! tip "Look"\n    {part.text}'
        case "Misconception":
            return f'!!! warning "Widely taught, and wrong"\n    {part.text}'
    return ""


def _number(value: str | int | float, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return value if isinstance(value, str) else f"{value:,}"
