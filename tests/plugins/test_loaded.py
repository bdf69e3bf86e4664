"""What is loaded joins the tables: configs, run ids, layers and looks follow, nothing else does."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from dropout_lab.analysis import style
from dropout_lab.catalogue import BUILT_IN, CATALOGUE
from dropout_lab.config.conditional_keys import describe_readers
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.data import Splits
from dropout_lab.layers import VARIANTS, Variant
from dropout_lab.plugins import load_plugin
from dropout_lab.results import PluginEntry, recorded_plugin, recorded_variants
from dropout_lab.study.memory import need
from dropout_lab.training import Fleet, train
from tests.conftest import make_config, make_runs, plugin_of_the_readme

WITH_KEY = '''
from dropout_lab.layers import UnitDropout, Variant

class Base(UnitDropout):
    """Without a name it is the base of others."""

    def drop(self, x):
        (p,) = self.broadcast_constants(x)
        return x * (1 + self.strength * (self.uniform(x) - 0.5) * (p > 0))

class Strong(Base):
    name = "strong"
    variant = Variant(formula="x r", options={"strength": 0.5})

    def __init__(self, p=0.5, *, strength=0.5, mask="element", noise=None):
        super().__init__(p, mask=mask, noise=noise)
        self.strength = strength

class Needing(Strong):
    name = "needing"
    variant = Variant(formula="x r", options={"strength": None}, needed=("strength",))

    def __init__(self, p=0.5, *, strength, mask="element", noise=None):
        super().__init__(p, strength=strength, mask=mask, noise=noise)
'''


@pytest.fixture(autouse=True)
def _nothing_is_left(own_variants: Callable[[], None]) -> None:
    """What is registered in a test goes with it."""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., list[str]]:
    """Return what writes a plugin and loads it."""

    def write_and_load(text: str, name: str = "mine.py") -> list[str]:
        (tmp_path / name).write_text(text)
        return load_plugin(tmp_path / name)

    return write_and_load


def test_a_file_may_have_several_variants_and_a_base(load) -> None:
    assert load(WITH_KEY) == ["strong", "needing"]
    assert VARIANTS["strong"].variant is CATALOGUE["strong"]
    assert CATALOGUE["strong"].source == CATALOGUE["needing"].source


def test_its_keys_are_checked_and_reach_the_layer(load) -> None:
    load(WITH_KEY)
    assert "variant strong" in describe_readers()["dropout.strength"]
    settings = ("dropout.variant=strong", "dropout.strength=2.0")
    fleet = Fleet(make_runs(*settings), torch.device("cpu"))
    assert [place[0].strength for place in fleet.model.places()[1:]] == [2.0, 2.0]
    default, spelled_out = (
        single_cell(make_config("dropout.variant=strong", *more))[0].settings
        for more in ((), ("dropout.strength=0.5",))
    )
    assert default == spelled_out  # its own default, not that of shakeout
    with pytest.raises(Exception, match=r"is needing, which needs dropout.strength"):
        make_config("dropout.variant=needing")


def test_a_byte_order_mark_is_no_obstacle(load) -> None:
    assert load("\ufeff" + plugin_of_the_readme()) == ["pairs"]


def test_the_source_is_part_of_its_run_ids_and_of_no_other(load, own_variants) -> None:
    ids = []
    for text in ("", "# mended\n"):
        load(text + plugin_of_the_readme())
        (run,) = make_runs("dropout.variant=pairs")
        (other,) = make_runs("dropout.variant=inverted")
        ids.append((run.run_id, other.run_id))
        own_variants()
    (first, inverted), (second, same) = ids
    assert first != second
    assert inverted == same


def test_it_trains_in_a_fleet_as_alone(load, small_splits: Splits) -> None:
    load(plugin_of_the_readme())
    cells = [
        cell
        for p in ("0.0", "0.5")
        for cell in single_cell(make_config("dropout.variant=pairs", f"dropout.p={p}", epochs=1))
    ]
    fleet = Fleet(runs_of(cells[1:], (0, 1)), torch.device("cpu"))
    alone = Fleet(runs_of(cells[1:], (1,)), torch.device("cpu"))
    for each in (fleet, alone):
        list(train(each, small_splits))
    for ours, theirs in zip(fleet.model.weights, alone.model.weights, strict=True):
        torch.testing.assert_close(ours[1], theirs[0], rtol=1e-3, atol=1e-5)


def test_variants_that_are_not_built_in_have_looks_of_their_own(load) -> None:
    load(WITH_KEY)
    load(plugin_of_the_readme(), "pairs.py")
    looks = {n: (style.variant_colour(n), style.variant_marker(n)) for n in CATALOGUE}
    assert len(set(looks.values())) == len(CATALOGUE)
    own = {looks.pop(name) for name in ("needing", "pairs", "strong")}
    assert len({colour for colour, _ in own}) == len({marker for _, marker in own}) == 3
    assert not {colour for colour, _ in own} & {colour for colour, _ in looks.values()}
    assert not {marker for _, marker in own} & {marker for _, marker in looks.values()}


def test_one_that_takes_the_entry_of_a_built_in_variant_has_the_defaults_of_plugins(load) -> None:
    """Its memory, colour and marker are those of no built-in variant, and are not recorded."""
    load(plugin_of_the_readme(), "pairs.py")
    load(
        "from dataclasses import replace\n"
        "from dropout_lab.layers import InvertedDropout\n\n"
        "class Mine(InvertedDropout):\n"
        '    name = "mine"\n'
        '    variant = replace(InvertedDropout.variant, formula="x k / q")\n'
    )
    mine, pairs, inverted = (
        need([make_config(f"dropout.variant={name}", "training.batch_size=500")])
        for name in ("mine", "pairs", "inverted")
    )
    assert mine == pairs
    assert mine.each > inverted.each
    assert style.variant_look("mine") not in [style.variant_look(name) for name in BUILT_IN]
    for name in ("mine", "inverted"):
        kind = replace(CATALOGUE[name], source="0" * 64)
        entry = recorded_plugin("mine.py", kind)
        assert entry.variant.keys() == {field.name for field in fields(Variant)}


def test_what_a_manifest_records_of_it_is_json(load) -> None:
    load(WITH_KEY)
    kind = CATALOGUE["needing"]
    text = recorded_plugin("mine.py", kind).model_dump_json()
    entry = PluginEntry.model_validate_json(text)
    assert recorded_variants({"needing": entry}) == {"needing": kind}
    entry.variant["of_a_newer_version"] = 1
    assert recorded_variants({"needing": entry}) == {"needing": kind}
