"""Small helpers of the generated pages."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "docs" / ".cache"
QUICK = "DROPOUT_LAB_DOCS_QUICK"  # set: run no lessons and make no reports


def is_quick() -> bool:
    """Return whether the site is built without running lessons and reports."""
    return bool(os.environ.get(QUICK))


def digest(*patterns: str) -> str:
    """Return a digest of the files that match the patterns."""
    total = hashlib.sha256()
    files = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    files = {path for path in files if path.suffix != ".pyc"}
    for path in sorted(files):
        total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:16]


def cell(text: object) -> str:
    """Return a text as the cell of a Markdown table; code in backticks stays as it is."""
    pieces = str(text).replace("\n", " ").split("`")
    pieces[::2] = [piece.replace("|", "\\|").replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; columns without any text are left out."""
    shown = [index for index in range(len(heads)) if any(row[index] for row in rows)]
    lines = [[heads[index] for index in shown], ["---"] * len(shown)]
    lines += [[cell(row[index]) for index in shown] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: object) -> str:
    """Return a text as inline code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""
