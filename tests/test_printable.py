"""What is shown: printable everywhere, and the same text again where it is printable already."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropout_lab.printable import one_line, printable, unprintable


@pytest.mark.parametrize(
    ("text", "shown", "first"),
    [
        ("\x1b[31mred", r"\x1b[31mred", r"\x1b"),
        ("a\x00b\x9b", r"a\x00b\x9b", r"\x00"),
        ("\u202eabc\u202c \u2066x\u2069", r"\u202eabc\u202c \u2066x\u2069", r"\u202e"),
        ("half \ud800", r"half \ud800", r"\ud800"),
        ("\ufffe", r"\ufffe", r"\ufffe"),
        ("a\tb\nc", "a b\nc", ""),
        ("é 中 \u200dZ\u0308 🎲 p = 0.5 ± 1", "é 中 \u200dZ\u0308 🎲 p = 0.5 ± 1", ""),
    ],
)
def test_what_cannot_be_shown_is_spelled_out(text: str, shown: str, first: str) -> None:
    assert (printable(text), unprintable(text)) == (shown, first)


def test_a_line_break_of_any_kind_is_a_space() -> None:
    assert one_line(" a\r\nb\u2028c\x85d\x0be ") == "a  b c d e"


@given(st.text(st.characters()))
def test_a_printable_text_stays_and_is_xml_and_utf_8(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        assert printable(shown) == shown
        assert unprintable(shown) == ""
        element = ElementTree.Element("text")
        element.text = shown
        assert ElementTree.fromstring(ElementTree.tostring(element, "utf-8")).text == (
            shown or None
        )
