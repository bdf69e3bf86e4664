"""YAML as data: the traps of its 1.1 scalars, its places, hostile texts."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropout_lab.config.document import LARGEST_BYTES, parse_document, parse_value, read_document
from dropout_lab.config.load import check
from dropout_lab.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5e-1", 0.5),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("010", 10),
        ("-7", -7),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("12:30:00", "12:30:00"),
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("[0.5, 1e-1]", [0.5, 0.1]),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    parsed = parse_value(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


def test_nan_is_a_number_to_be_refused_later() -> None:
    assert parse_value(".nan", "here") != parse_value(".nan", "here")


def test_each_key_knows_its_line() -> None:
    document = parse_document("name: a\n\ndropout:\n  p: 0.5\n", "c.yaml")
    assert document.place(("dropout", "p")) == "c.yaml:4"
    assert document.place(("dropout", "absent")) == "c.yaml:3"
    assert document.place(("absent",)) == "c.yaml"


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\n")
    assert read_document(path).data == {"name": "a"}


def test_duplicate_keys_and_tags_are_all_collected() -> None:
    text = "name: a\nname: b\nabout: !!python/object:os.system ls\ndropout: {p: 1, p: 2}\n"
    mistakes = parse_document(text, "c.yaml").mistakes
    assert (
        "c.yaml:3: tags (tag:yaml.org,2002:python/object:os.system) are not allowed" in mistakes[0]
    )
    assert "c.yaml:2: name is given twice, first at c.yaml:1" in mistakes[1]
    assert "c.yaml:4: dropout.p is given twice" in mistakes[2]


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "expected a mapping"),
        ("just words", "expected a mapping"),
        ("a: 1\n---\nb: 2\n", "a second document begins"),
        ("a: [1, 2\n", "not YAML"),
        ("a:\n\t- b\n", "c.yaml:2:1: not YAML"),
        ("a: &x [*x]\n", r"aliases \(\*x\) are not allowed"),
        (BOMB, "aliases"),
        ("a: " + "[" * 5000, "nested deeper than 20"),
        ("a: {" * 30, "nested deeper than 20"),
        ("a: \x00", "c.yaml:1:4: not YAML: this character is not allowed"),
        ("? [1, 2]\n: 3\n", "a key must be a word"),
    ],
)
def test_what_is_no_config_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(parse_document(text, "c.yaml"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_document(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        read_document(tmp_path)
    (tmp_path / "utf16.yaml").write_bytes("name: a".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"utf16\.yaml:1: this line is not UTF-8"):
        read_document(tmp_path / "utf16.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#\n" * LARGEST_BYTES)
    with pytest.raises(ConfigError, match=rf"yaml:{LARGEST_BYTES // 2 + 1}: .*larger than 128 KiB"):
        read_document(tmp_path / "large.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(Path("nul\0byte"))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="cannot be read: It is a named pipe, not a file"):
        read_document(tmp_path / "pipe.yaml")


@given(st.text(max_size=200))
def test_any_text_is_data_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(parse_document(text, "c.yaml").data, dict)
