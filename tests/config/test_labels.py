"""Names that identify are given once, say nothing false, and are found where they are used."""

from pathlib import Path

import pytest

from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.errors import ConfigError


def told(folder: Path, text: str, **changes: object) -> list[str]:
    """Return what is wrong with a config in a sweep."""
    path = folder / "c.yaml"
    path.write_text(text)
    try:
        load(path, Changes(sweep=True, **changes))
    except ConfigError as error:
        return [mistake.removeprefix(f"{folder}/") for mistake in error.mistakes]
    return []


def of_cells(folder: Path, *cells: str, more: str = "") -> list[str]:
    return told(folder, "sweep:\n  cells:\n" + "".join(f"    - {{{c}}}\n" for c in cells) + more)


def test_two_cells_with_one_label_are_refused_with_both_lines(tmp_path: Path) -> None:
    cells = [f"label: {label}, dropout.p: 0.{n}" for n, label in enumerate(("A", "B", "A", "B"))]
    assert of_cells(tmp_path, *cells) == [
        f'c.yaml:{line}: the label "{label}" is given twice, first at {tmp_path}/c.yaml:{line - 2};'
        " give each cell a label of its own."
        for line, label in ((5, "A"), (6, "B"))
    ]


@pytest.mark.parametrize(
    "other", ["dropout", "DROPOUT", '"Dropout "', '" Drop  out"', '"Ｄropout"']
)
def test_labels_that_a_reader_takes_for_one_are_refused(tmp_path: Path, other: str) -> None:
    first = "Drop out" if "  " in other else "Dropout"
    mistakes = of_cells(
        tmp_path, f"label: {first}, dropout.p: 0.1", f"label: {other}, dropout.p: 1"
    )
    assert len(mistakes) == 1
    assert f'differs from "{first}" only in case or spaces, first at' in mistakes[0]


def test_a_text_that_cannot_be_shown_is_refused_with_its_line(tmp_path: Path) -> None:
    text = (
        'about: "red \\e[31m"\npublished:\n  citation: "A \\u202E B"\n'
        '  departures: ["one\\ntwo", "\\0"]\n'
    )
    words = "which cannot be shown; allowed: printable characters and line breaks."
    assert told(tmp_path, text) == [
        rf"c.yaml:1: about has the character \x1b, {words}",
        rf"c.yaml:3: published.citation has the character \u202e, {words}",
        rf"c.yaml:4: published.departures.1 has the character \x00, {words}",
    ]
    assert told(tmp_path, 'about: "one\\ntwo \\u200d"\n') == []


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("label: no dropout, dropout.p: 0.5", "is false: this cell is with dropout"),
        ("label: 'ReLU, without dropout', dropout.p: 0.5", "is false: this cell is with dropout"),
        ("label: With Dropout, dropout.variant: none", "is false: this cell is without dropout"),
        ("label: p = 0.5, dropout.p: 0.1", "is false: this cell has dropout.p = 0.1"),
        ("label: p=0.1, model.hidden: [16]", "is false: this cell has dropout.p = 0.5"),
        ("label: 'wide, P = 0.2', dropout.p: 0.25", "is false: this cell has dropout.p = 0.25"),
        ("label: 'hidden = [16]', model.hidden: [16, 16]", "has model.hidden = [16, 16]"),
        ("label: Gaussian, dropout.variant: uniform", "the name of a variant, and this cell has u"),
        ('label: "  ", dropout.p: 0.1', "is blank"),
        ("label: train size = none, dataset.train_size: 200", "has dataset.train_size = 200"),
    ],
)  # fmt: skip
def test_a_label_in_the_words_of_the_program_is_true(tmp_path: Path, cell: str, words: str) -> None:
    mistakes = of_cells(tmp_path, cell)
    assert len(mistakes) == 1
    assert words in mistakes[0]
    assert mistakes[0].startswith("c.yaml:3: the label ")


@pytest.mark.parametrize(
    "cell",
    [
        "label: no dropout, dropout.variant: none",
        "label: Without dropout, dropout.p: 0",
        "label: with dropout, dropout.p: 0.5",
        "label: p = 0.5, dropout.p: 0.5",
        "label: 'p = 0.50', dropout.p: 0.5",
        "label: 'hidden = [16]', model.hidden: [16]",
        "label: keep 0.5, dropout.p: 0.5",
        "label: 'n = 100', dropout.p: 0.5",
        "label: p = half of it, dropout.p: 0.5",
        "label: fast, training.learning_rate: 0.5",
        "label: Gaussian, dropout.variant: gaussian",
        "label: 'Standard, 2 x 800', dropout.variant: none",
        "label: none, regularization.l2: 0.0",
    ],
)  # fmt: skip
def test_a_true_label_and_one_in_other_words_are_accepted(tmp_path: Path, cell: str) -> None:
    assert of_cells(tmp_path, cell) == []


def test_a_label_names_no_value_that_the_grid_varies(tmp_path: Path) -> None:
    (mistake,) = of_cells(
        tmp_path, "label: p = 0.5, model.hidden: [16]", more="  grid: {dropout.p: [0.25, 0.5]}\n"
    )
    assert "names a value of dropout.p, which sweep.grid varies" in mistake


def test_two_labels_of_one_setting_are_refused(tmp_path: Path) -> None:
    """Of the two labels the table would have one; published numbers of the other were lost."""
    cells = ("label: A, dropout.p: 0", "label: B, dropout.variant: none", "label: C, dropout.p: 1")
    (mistake,) = of_cells(tmp_path, *cells)
    assert mistake.startswith('c.yaml:4: the cells "A" and "B" are the same setting')
    # At p = 0 of the grid the two are the same, at 0.5 they are not.
    variants = ("label: A, dropout.variant: gaussian", "label: B, dropout.variant: uniform")
    assert of_cells(tmp_path, *variants, more="  grid: {dropout.p: [0, 0.5]}\n") == []
    assert len(of_cells(tmp_path, *variants, more="  grid: {dropout.p: [0]}\n")) == 1


PUBLISHED = """published:
  citation: Somebody 1999
  values:
    - {label: row, cell: Bernouli, value: 1, seen: true}
"""


def test_a_published_number_is_of_a_label_that_is_there(tmp_path: Path) -> None:
    cells = ("label: Bernoulli, dropout.p: 0.5", "label: Gaussian, dropout.variant: gaussian")
    (mistake,) = of_cells(tmp_path, *cells, more=PUBLISHED)
    assert 'cell is "Bernouli", which is the label of no cell; did you mean' in mistake
    right = PUBLISHED.replace("Bernouli", "Bernoulli")
    assert of_cells(tmp_path, *cells, more=right) == []
    twice = right + "    - {label: Row, cell: Gaussian, value: 2, seen: true}\n"
    (mistake,) = of_cells(tmp_path, *cells, more=twice)
    assert 'the published row "Row" is given twice' in mistake
    another = twice.replace("Gaussian, value", "Gaussian, inference: monte_carlo, value")
    assert of_cells(tmp_path, *cells, more=another) == []


def test_samples_and_ensembles_have_test_results_only(tmp_path: Path) -> None:
    cells = ("label: Bernoulli, dropout.p: 0.5",)
    value = "Bernoulli, quantity: {}_accuracy, inference: {}"
    for part, inference, refused in (
        ("train", "monte_carlo", True),
        ("test", "monte_carlo", False),
        ("train", "mean", False),
    ):
        more = PUBLISHED.replace("Bernouli", value.format(part, inference))
        mistakes = of_cells(tmp_path, *cells, more=more)
        assert [m for m in mistakes if "is measured on the test set only" in m] == mistakes
        assert bool(mistakes) == refused


def test_a_published_number_is_of_one_of_the_settings_that_a_grid_makes_of_a_label(
    tmp_path: Path,
) -> None:
    cells = ("label: Bernoulli, dropout.p: 0.5", "label: Gaussian, dropout.variant: gaussian")
    right = PUBLISHED.replace("Bernouli", "Bernoulli")
    grid = "  grid: {model.hidden: [[16], [32]]}\n"
    (mistake,) = of_cells(tmp_path, *cells, more=grid + right)
    assert "it varies model.hidden without the config's own value [512, 512]" in mistake
    assert of_cells(tmp_path, *cells, more=f"{grid}{right}model: {{hidden: [32]}}\n") == []


def test_names_of_studies_and_sizes_are_no_folder_of_another(tmp_path: Path) -> None:
    (mistake,) = told(tmp_path, "name: Lessons\n")
    assert "results/lessons is a folder of the program" in mistake
    (mistake,) = told(tmp_path, "name: a\nsizes: {quick: {seeds: 1}, Quick: {seeds: 2}}\n")
    assert "the sizes quick and Quick differ only in case" in mistake


def test_mistakes_in_names_are_told_together_and_with_the_others(tmp_path: Path) -> None:
    mistakes = of_cells(
        tmp_path,
        "label: A, dropout.p: 0.1",
        "label: A, dropout.p: 0.2",
        "label: no dropout, dropout.p: 3",
        "label: with dropout, dropout.p: 0",
        more="training: {epochs: 0}\n",
    )
    assert [mistake.split(":")[1] for mistake in mistakes] == ["4", "5", "6", "7"]
