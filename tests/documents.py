"""The texts for people: README and the pages of the site, with their fenced blocks."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pages"
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted(PAGES.glob("**/*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^dropout-lab +(.*?)(?: &)?$", re.MULTILINE)


def fences_of(path: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a document: the language and the text of each."""
    return _FENCE.findall(path.read_text(encoding="utf-8"))


def blocks_of(path: Path, language: str) -> list[str]:
    """Return the blocks of a document in one language."""
    return [text for each, text in fences_of(path) if each == language]


def commands_of(path: Path) -> list[list[str]]:
    """Return the arguments of each dropout-lab command in the bash blocks of a document."""
    return [
        shlex.split(line, comments=True)
        for text in blocks_of(path, "bash")
        for line in _COMMAND.findall(text)
    ]


def prose_of(text: str) -> str:
    """Return a document without code blocks, tables, headings, comments and link targets."""
    text = _FENCE.sub("", text)
    text = re.sub(r"^(?:\||#|:::|    ).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^]]*\]\([^)]*\)", "", text)
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a document; inline code counts as one word."""
    found = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.|>) )", prose_of(text)):
        line = re.sub(r"`[^`]*`", "CODE", " ".join(paragraph.split()))
        found += re.split(r"(?<=[.!?])\s+(?=[A-Z*\"])", line)
    return [each for each in found if len(each.split()) > 1]
