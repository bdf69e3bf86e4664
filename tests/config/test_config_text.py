"""A config that is printed reads back as itself, and explains each of its keys."""

from pathlib import Path

import pytest
import yaml

from dropout_lab.config.allowed_values import list_choices
from dropout_lab.config.config_text import format_config
from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.published import FigureSettings
from dropout_lab.config.schema import KEYS, SECTION_CLASSES, Config
from dropout_lab.config.shipped_configs import list_shipped
from tests.config.test_teaching import IMDB, write_imdb

SIZES = [(path, size) for path in list_shipped().values() for size in list_sizes(path)]


@pytest.mark.parametrize(("path", "size"), SIZES, ids=lambda each: getattr(each, "stem", each))
def test_every_shipped_config_reads_back_as_itself(
    path: Path, size: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = () if size is None else (f"size={size}",)
    if path.name == IMDB.name:
        path, settings = write_imdb(tmp_path, monkeypatch), ("dataset.validation_size=100",)
    config = load(path, Changes(settings=settings, sweep=True))
    for options in ({"changed_only": True}, {"comments": True}, {"unicode": False}):
        copy = tmp_path / "c.yaml"
        copy.write_text(format_config(config, **options))
        again = load(copy, Changes(sweep=True))
        # The published values of cells that another size has are left out.
        assert again.model_copy(update={"published": config.published}) == config


def test_only_what_is_changed_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dropout: {p: 0.3, mask: element}\ntraining: {updates: 50}\nseeds: 3\n")
    text = format_config(load(path), changed_only=True)
    assert yaml.safe_load(text) == {
        "name": "mine", "about": "", "dropout": {"p": 0.3},
        "training": {"epochs": None, "updates": 50},
    }  # fmt: skip
    assert load(path) == load(_written(tmp_path / "copy.yaml", text))


def test_every_key_is_explained() -> None:
    lines = format_config(Config(), comments=True).splitlines()
    text = " ".join(" ".join(lines).replace("# ", "").split())
    assert max(map(len, lines)) <= 80
    for key in KEYS:
        section, _, name = key.partition(".")
        about = SECTION_CLASSES[section].model_fields[name].description
        assert about, key
        assert about[-1] == ".", key
        assert len(about.split(". ")[0]) > 8, key
        assert " ".join(about.split()) in text, key
        if key != "dropout.variant":
            assert all(word in text for word in list_choices(key)), key


@pytest.mark.parametrize(
    "text", ["one\ntwo", "a: b", "# a", "yes", "1", "", " x", "'q'", "a - [b], c"]
)
def test_any_text_is_kept(text: str, tmp_path: Path) -> None:
    figure = FigureSettings(title=text)
    for options in ({"comments": True}, {"changed_only": True}, {"unicode": False}):
        path = _written(
            tmp_path / "c.yaml", format_config(Config(about=text, figure=figure), **options)
        )
        again = load(path)
        assert again.about == text
        assert again.figure == figure


def test_a_text_in_another_alphabet_is_kept_or_escaped(tmp_path: Path) -> None:
    config = Config(about="Größe α")
    assert "Größe α" in format_config(config)
    escaped = format_config(config, unicode=False)
    assert escaped.isascii()
    assert load(_written(tmp_path / "c.yaml", escaped)).about == "Größe α"


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
