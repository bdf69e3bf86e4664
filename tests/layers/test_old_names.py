"""Old names of hooks and classes work as the new names do, and warn with the new name."""

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import dropout_lab.layers
import dropout_lab.layers.base
from dropout_lab.data import Splits
from dropout_lab.layers import (
    LearnedDropout,
    StandardDropout,
    UnitDropout,
    UnitInputs,
)
from dropout_lab.layers.old_names import RENAMED_CLASSES, RENAMED_HOOKS
from dropout_lab.plugins import load_plugin
from dropout_lab.training import Fleet, train
from tests.conftest import make_runs

ROOT = Path(__file__).parents[2]

# A variant of units that uses every hook: learned noise, submatrices, its own evaluation.
PLUGIN = """
import torch
from dropout_lab.layers import LearnedDropout, UnitDropout, UnitInputs, Variant


class Base(LearnedDropout, UnitDropout):
    rounds_p = True

    def on_p_set(self):
        self.set_parameter("shift", self.initial_p())

    def setup(self, weight, activation):
        self.units = weight.shape[-2]
        self.on_p_set()

    def learned_p(self):
        return self.shift.clamp(0, 0.9)

    def current_p(self):
        return super().current_p() * self.has_noise()

    def select_incoming(self, weight, bias):
        return super().select_incoming(weight * 0.5, bias)

    def select_outgoing(self, weight):
        return super().select_outgoing(weight) * 0.75

    def eval_forward(self, x):
        return super().eval_forward(x) * 0.9

    def drop(self, x):
        (active,) = self.broadcast_constants(x)
        noise = 1 + self.shift.view(-1, 1, 1) * (self.uniform(x) - 0.5)
        return torch.where(active, x * noise, x)

    def penalty(self, weight, progress):
        return self.shift.square() * self.noise_indicator(weight)

    def connect(self, x, weight, bias, entering=None):
        assert entering is None or isinstance(entering, UnitInputs)
        return super().connect(x, weight, bias, entering)


class Derived(Base):
    name = "derived"
    variant = Variant(formula="x r", highest_p=0.9, beyond="too much", learned="p", biased="a test")

    def eval_forward(self, x):
        return super().eval_forward(x) + 0.01
"""


def with_old_names(text: str) -> str:
    """Replace every new name by the old name."""
    for old, new in {**RENAMED_HOOKS, **RENAMED_CLASSES}.items():
        text = re.sub(rf"\b{new}\b", old, text)
    return text


@pytest.fixture
def weights_of(
    own_variants: Callable[[], None], tmp_path: Path, small_splits: Splits
) -> Callable[[str], tuple[list[object], list[Tensor]]]:
    """Return a function that trains the variant of a plugin's text."""

    def trained(text: str) -> tuple[list[object], list[Tensor]]:
        own_variants()
        path = tmp_path / "plugin.py"
        path.write_text(text)
        assert load_plugin(path) == ["derived"]
        runs = make_runs("dropout.variant=derived", "training.epochs=1", seeds=(0, 1))
        fleet = Fleet(runs, torch.device("cpu"))
        records: list[object] = [
            (record.noisy_train_loss, record.test_accuracy, record.p)
            for epoch in train(fleet, small_splits)
            for record in epoch.records.values()
        ]
        return records, list(fleet.model.state_dict().values())

    return trained


def test_a_plugin_with_old_names_trains_to_the_same_numbers_and_warns(weights_of) -> None:
    with warnings.catch_warnings(record=True) as quiet:
        warnings.simplefilter("always")
        records, weights = weights_of(PLUGIN)
    assert [
        str(warning.message) for warning in quiet if "is now called" in str(warning.message)
    ] == []
    with pytest.warns(DeprecationWarning, match="is now called") as caught:
        old_records, old_weights = weights_of(with_old_names(PLUGIN))
    assert len(records) == 2  # one epoch of two runs
    assert records == old_records
    for ours, theirs in zip(weights, old_weights, strict=True):
        assert torch.equal(ours, theirs)
    messages = [str(warning.message) for warning in caught]
    defined = ["begin", "restart", "needed", "leaving", "rest", "p_in_force", "coins"]
    called = ["placed", "dropped", "started", "active"]
    for name in defined:
        assert any(f"Base.{name} is now called {RENAMED_HOOKS[name]};" in m for m in messages), name
    for name in called:
        assert any(f"Derived.{name} is now called {RENAMED_HOOKS[name]};" in m for m in messages)
    assert any("Entering is now called UnitInputs" in message for message in messages)
    assert all(
        w.filename.endswith("plugin.py") for w in caught if "is now called" in str(w.message)
    )


def test_a_user_sees_the_warning_of_a_plugin(tmp_path: Path) -> None:
    """Python hides DeprecationWarning by default; the plugin's file and line are shown."""
    path = tmp_path / "mine.py"
    path.write_text(with_old_names(PLUGIN))
    command = [sys.executable, "-m", "dropout_lab", "variants", "derived", "--plugin", str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"{path}:6: DeprecationWarning: Base.begin is now called setup;" in result.stderr
    assert result.stderr.count("Base.coins is now called rounds_p") == 1


def test_an_old_hook_reaches_its_base_class_by_super() -> None:
    """Standard dropout multiplies by 1 - p in evaluation; the derived layer adds 1."""
    with pytest.warns(DeprecationWarning, match=r"Old\.rest is now called eval_forward"):

        class Old(StandardDropout):
            def rest(self, x: Tensor) -> Tensor:
                y: Tensor = super().rest(x)
                return y + 1

    with pytest.warns(DeprecationWarning, match=r"Old\.rest is now called eval_forward"):
        y = Old(0.25).eval()(torch.full((3,), 4.0))
    assert y.tolist() == [4.0, 4.0, 4.0]


def test_a_layer_with_old_names_compiles() -> None:
    with pytest.warns(DeprecationWarning, match=r"Old\.rest is now called eval_forward"):

        class Old(UnitDropout):
            def rest(self, x: Tensor) -> Tensor:
                y: Tensor = x * self.placed(x)[0] + super().rest(x)
                return y

    torch._dynamo.reset()
    compiled = torch.compile(Old(0.25).eval(), backend="eager", fullgraph=True)
    assert compiled(torch.ones(2, 3)).tolist() == [[1.25] * 3] * 2


def test_an_old_hook_of_a_mixin_is_found() -> None:
    class Doubled:
        def rest(self, x: Tensor) -> Tensor:
            return 2 * x

    with pytest.warns(DeprecationWarning, match=r"Mixed\.rest is now called eval_forward"):

        class Mixed(Doubled, UnitDropout):
            pass

    assert Mixed(0.5).eval()(torch.ones(2)).tolist() == [2, 2]


def test_a_class_with_both_names_uses_the_new_one_and_does_not_warn() -> None:
    class Both(UnitDropout):
        def rest(self, x: Tensor) -> Tensor:
            return 2 * x

        def eval_forward(self, x: Tensor) -> Tensor:
            return 3 * x

    assert Both(0.5).eval()(torch.ones(2)).tolist() == [3, 3]
    with pytest.warns(DeprecationWarning, match=r"Both\.rest is now called eval_forward"):
        assert Both(0.5).rest(torch.ones(2)).tolist() == [3, 3]


def test_a_new_class_may_derive_from_an_old_one() -> None:
    with pytest.warns(DeprecationWarning, match="is now called eval_forward"):

        class Old(UnitDropout):
            def rest(self, x: Tensor) -> Tensor:
                return 2 * x

    class New(Old):
        def eval_forward(self, x: Tensor) -> Tensor:
            return super().eval_forward(x) + 1

    assert New(0.5).eval()(torch.ones(2)).tolist() == [3, 3]


def test_a_method_with_an_old_name_of_a_hook_that_a_layer_lacks_is_its_own() -> None:
    """Only learned variants had ``active`` and ``started``."""

    class Mine(UnitDropout):
        def active(self) -> str:
            return "mine"

    assert Mine(0.5).active() == "mine"
    assert not hasattr(Mine, "noise_indicator")


@pytest.mark.parametrize("old", [name for name in RENAMED_HOOKS if name != "coins"])
def test_every_hook_can_be_called_by_its_old_name(old: str) -> None:
    kinds = (UnitDropout, StandardDropout, LearnedDropout)
    kind = next(kind for kind in kinds if hasattr(kind, RENAMED_HOOKS[old]))
    alias = getattr(kind, old)
    assert alias.__wrapped__ is getattr(kind, RENAMED_HOOKS[old])


@pytest.mark.parametrize("module", [dropout_lab.layers, dropout_lab.layers.base])
def test_old_classes_are_found_in_their_modules(module) -> None:
    with pytest.warns(DeprecationWarning, match="Entering is now called UnitInputs") as caught:
        assert module.Entering is UnitInputs
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match="has no attribute 'Leaving'"):
        _ = module.Leaving


def test_the_page_lists_every_renamed_name() -> None:
    page = (ROOT / "docs/pages/how-to/layers.md").read_text().partition("## Renamed hooks")[2]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert rows == [*RENAMED_HOOKS.items(), *RENAMED_CLASSES.items()]
