"""A cell in words where the config gave it a name."""

import pytest

from dropout_lab.analysis.style import cell_label
from dropout_lab.analysis.tables import Label

BARE = {"dropout.variant": "none", "dropout.p": 0.0, "training.learning_rate": 0.1}


@pytest.mark.parametrize(
    ("keys", "swept", "words"),
    [
        # A name that stands for dropout says what its cell has of it.
        (("dropout.variant", "dropout.p"), (*BARE,), "L2, learning rate = 0.1"),
        # One that does not is beside it.
        (("training.learning_rate",), (*BARE,), "no dropout, L2"),
        # It is no name of a cell of which only some keys are told.
        (("dropout.p", "dataset.name"), (*BARE,), "no dropout, learning rate = 0.1"),
        ((), ("training.learning_rate",), "no dropout, L2, learning rate = 0.1"),
    ],
)
def test_a_name_stands_for_its_keys_alone(
    keys: tuple[str, ...], swept: tuple[str, ...], words: str
) -> None:
    values = {**BARE, "label": Label("L2", frozenset(keys))}
    assert cell_label(values, swept, True) == words


def test_a_cell_without_a_name_is_told_by_its_values() -> None:
    assert cell_label({**BARE, "label": None}, (*BARE,), True) == (
        "no dropout, learning rate = 0.1"
    )
