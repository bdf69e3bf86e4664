"""Every refusal of a YAML file names the line: the one that ends in `# here` in these configs."""

import re
from pathlib import Path

import pytest
import yaml

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import SECTION_CLASSES
from dropout_lab.errors import ConfigError

HERE = "# here"

# The form of the file.
FORM = [
    ("# a comment alone " + HERE, "the file is empty"),
    ("- a list " + HERE, "expected a mapping"),
    (f"name: a\n--- {HERE}\nname: b\n", "a second document begins"),
    (f"name: a\nabout: b: c {HERE}\n", "not YAML"),
    (f"name: a\nabout: @x {HERE}\n", "not YAML"),
    (f"name: a\n\x07about: b {HERE}\n", "this character is not allowed"),
    (f"name: a\nabout: &x b\nseeds: *x {HERE}\n", "aliases"),
    (f"name: a\nabout: !!str b {HERE}\n", "tags"),
    (f"name: a\nname: b {HERE}\n", "given twice"),
    (f"name: a\n? [1, 2] {HERE}\n: 3\n", "a key must be a word"),
    (f"name: a\nabout: {'[' * 25} {HERE}\n", "nested deeper"),
    (f"name: a\nabout: \xff {HERE}\n", "not UTF-8"),  # written as Latin-1
    (f"name: a\n{'#' * 2**17} {HERE}\n", "larger than 128 KiB"),
]
# Single keys, and keys that do not go together.
KEYS = [
    (f"name: con {HERE}\n", "reserve"),
    (f"name: reference {HERE}\n", "folder of the program"),
    (f"name: [a] {HERE}\n", "name is"),
    (f"about: a\nseeds: [1, 1] {HERE}\n", "each seed once"),
    (f"about: a\ncolor: red {HERE}\n", "not a setting"),
    (f"about: a\ndropout: 0.5 {HERE}\n", "write dropout: {p: 0.5}"),
    (f"dropout:\n  keep_prob: 0.5 {HERE}\n", "keep_prob"),
    (f"model:\n  hidden:\n  - 5\n  - x\n  activation: elu {HERE}\n", "elu"),
    (f"model:\n  activation: maxout {HERE}\n", "needs model.pieces"),
    (f"model:\n  activation: relu\n  pieces: 2 {HERE}\n", "model.pieces"),
    (f"dropout:\n  p: 0.5\n  variant: targeted_unit {HERE}\n", "needs dropout.share"),
    (f"about: a\nmethod: grid\nparameters: {{p: [1]}} {HERE}\n", "a grid"),
]
# A sweep: its grid, its cells, all of it.
SWEEP = [
    (f"about: a\nsweep: 3 {HERE}\n", "sweep is 3"),
    (f"sweep:\n  p: [0, 0.5] {HERE}\n", "outside the grid"),
    (f"sweep:\n  grid: 3 {HERE}\n", "sweep.grid is 3"),
    (f"sweep:\n  grid:\n    dropout.q: [0] {HERE}\n", "dropout.q"),
    (f"sweep:\n  grid:\n    dropout.p: [0, 2] {HERE}\n", "dropout.p is 2"),
    (f"sweep:\n  grid:\n    dropout.p: [0, 0] {HERE}\n", "twice"),
    (
        f"sweep:\n  grid: {HERE}\n    dropout.p: 0:0.9:0.001\n"
        "    training.learning_rate: 0.001:0.9:0.001\n",
        "at most 100,000",
    ),
    (f"about: a\nseeds: 100000 {HERE}\n", "at most 100,000"),
    (f"sweep:\n  cells: 3 {HERE}\n", "sweep.cells is 3"),
    (f"sweep:\n  cells:\n  - dropout.p: 0\n  - 3 {HERE}\n", "a cell is 3"),
    (f"sweep:\n  cells:\n  - dropout.p: 0\n  - label: a {HERE}\n", "a cell is"),
    (f"sweep:\n  cells:\n  - dropout.p: 0.5\n  - dropout.p: 0.5 {HERE}\n", "listed twice"),
    (f"sweep:\n  cells:\n  - dropout.p: 0\n    label: [a] {HERE}\n", "the label of a cell"),
    (
        "sweep:\n  cells:\n  - {label: a, dropout.p: 0}\n  - label: A "
        f"{HERE}\n    dropout.p: 0.5\n",
        "only in case",
    ),
    (f"sweep:\n  cells:\n  - dropout.p: 0\n  - dropout.p: 2 {HERE}\n", "dropout.p is 2"),
    (
        f"sweep:\n  cells:\n  - dropout.p: 0\n  - dropout.p: 0.5\n    model.pieces: 2 {HERE}\n",
        "model.pieces is given",
    ),
    (
        f"sweep:\n  cells:\n  - dropout.p: 0\n  - model.activation: maxout {HERE}\n",
        "needs model.pieces",
    ),
    (
        f"sweep:\n  cells:\n  - dropout.p: 0.5\n  - dropout.share: 0.5 {HERE}\n",
        "nothing here reads it",
    ),
    (
        "sweep:\n  grid:\n    dropout.p: [0.5]\n    model.activation: [relu, maxout] " + HERE,
        "needs model.pieces",
    ),
]
# The parts that are lists of mappings, and the sizes.
PUBLISHED = "published:\n  citation: a\n  values:\n  - {label: a, value: 1, seen: true}\n"
PARTS = [
    (f"about: a\nsizes: 3 {HERE}\n", "sizes is 3"),
    (f"about: a\nsize: quick {HERE}\n", "size is"),
    (f"size: big {HERE}\nsizes: {{quick: {{seeds: 1}}}}\n", "known here: quick"),
    (f"sizes:\n  quick: 3 {HERE}\n", "the size"),
    (f"sizes:\n  quick: {HERE}\n    seeds: 1\n  Quick: {{}}\n", "differ only in case"),
    (f"sizes:\n  quick:\n    size: 3 {HERE}\n", "no setting that a size can change"),
    (f"sizes:\n  quick:\n    dropout:\n      p: 3 {HERE}\n", "dropout.p is 3"),
    (f"about: a\npublished: 3 {HERE}\n", "published"),
    (f"{PUBLISHED}  - 3 {HERE}\n", "published.values.1"),
    (f"{PUBLISHED}  - label: b {HERE}\n    value: 1\n", "published.values.1.seen"),
    (f"{PUBLISHED}  - label: b\n    seen: true\n    value: x {HERE}\n", "published.values.1.value"),
    (f"{PUBLISHED}  - label: A {HERE}\n    value: 1\n    seen: true\n", "is given twice"),
    (
        f"{PUBLISHED}  - label: b\n    value: 1\n    seen: true\n    cell: x {HERE}\n",
        "the label of no cell",
    ),
    (
        f"{PUBLISHED}  - label: b\n    value: 1\n    seen: true\n    cell:\n      dropout.p: 2 "
        f"{HERE}\n",
        "dropout.p is 2",
    ),
    (f"figure:\n  x: 3 {HERE}\n", "figure.x"),
    (f"figure:\n  by:\n  - dropout.p\n  - q {HERE}\n", "q"),
]


@pytest.mark.parametrize(("text", "words"), [*FORM, *KEYS, *SWEEP, *PARTS])
def test_a_refusal_names_the_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("latin-1" if "\xff" in text else "utf-8"))
    line = text.partition(HERE)[0].count("\n") + 1
    with pytest.raises(ConfigError) as caught:
        load(path, Changes(sweep=True))
    told = [mistake for mistake in caught.value.mistakes if words in mistake]
    assert told, caught.value
    assert re.match(rf"{re.escape(str(path))}:{line}(:[0-9]+)?: ", told[0])


WRONG = (-1, 2, 0.5, "x", [1], [0.5, 0.5], {"a": 1})


def asked(section: str, name: str) -> list[object]:
    """Return values that a key may refuse, or allow only with another key."""
    kinds = SECTION_CLASSES[section].model_json_schema()
    enum = re.findall(r"'enum': \[([^]]*)\]", str(kinds["properties"][name]))
    words = [word.strip("' ") for each in enum for word in each.split(",")]
    return [*WRONG, *words, *(CATALOGUE if name == "variant" else ())]


@pytest.mark.parametrize("section", SECTION_CLASSES)
def test_whatever_a_key_is_given_the_file_and_a_line_are_named(
    section: str, tmp_path: Path
) -> None:
    """In its section, as an axis, and in a listed cell; mistakes in any other key included."""
    path, told = tmp_path / "c.yaml", 0
    for name in SECTION_CLASSES[section].model_fields:
        key = f"{section}.{name}"
        for value in asked(section, name):
            for data in (
                {section: {name: value}},
                {"sweep": {"grid": {key: value if isinstance(value, list) else [value]}}},
                {"sweep": {"cells": [{key: value}]}},
            ):
                path.write_text(yaml.safe_dump(data))
                try:
                    load(path, Changes(sweep=True))
                except ConfigError as error:
                    told += len(error.mistakes)
                    for mistake in error.mistakes:
                        assert re.match(rf"{re.escape(str(path))}:[1-9]", mistake), data
    assert told > 3 * len(SECTION_CLASSES[section].model_fields)
