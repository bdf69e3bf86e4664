"""README and docs are short and plain: the README's length, the sentences, the words."""

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, README, ROOT, prose_of, sentences_of

TEXTS = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
# Words of literal translations, where no good English sentence of these texts needs them.
TRANSLATED = re.compile(
    r"\b(?:stands?|lies|laid|told|tells?|beside|but for|save for|anew|mend(?:s|ed|ing)?|at hand"
    r"|tells? apart|as it is|of its own|comes to|per cent|s\.d\.|parted by|what is swept"
    r"|by anybody's hand)\b|\d %",
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_text_has_short_sentences(path: Path) -> None:
    sentences = sentences_of(path.read_text(encoding="utf-8"))
    if sentences:
        words = [len(sentence.split()) for sentence in sentences]
        assert sum(words) / len(words) < 20, max(sentences, key=len)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_text_has_no_literal_translations(path: Path) -> None:
    text = re.sub(r"`[^`]*`", "CODE", prose_of(path.read_text(encoding="utf-8")))
    assert not TRANSLATED.findall(text)


def test_the_rules_find_long_sentences_and_translations() -> None:
    assert len(sentences_of("One sentence. Another `a. B` one.\n\n- An item\n- And more")) == 4
    assert sentences_of("| a table |\n# A heading\n\n```\nSome code. More code.\n```\n") == []
    for wrong in ("It stands in the file", "the data lie beside it", "5 % of the runs"):
        assert TRANSLATED.search(wrong)


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_no_document_names_a_registry_or_a_folder_of_its_makers() -> None:
    for path in TEXTS:
        assert not re.search(r"/work/|\.\./shared", path.read_text(encoding="utf-8")), path
