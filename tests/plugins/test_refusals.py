"""A plugin that will not do is refused with the place and the reason, and leaves nothing behind."""

import re
import sys
from pathlib import Path

import pytest

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.errors import ConfigError
from dropout_lab.layers import VARIANTS
from dropout_lab.plugins import LOADED, load_plugin, load_plugins

HEAD = """import torch
from dropout_lab.layers import Dropout, InvertedDropout, UnitDropout, Variant, WeightDropout

KIND = Variant(formula="x k", highest_p=0.9, beyond="too little is left")
"""
RIGHT = """
class Mine(UnitDropout):
    name = "mine"
    variant = KIND

    def drop(self, x):
        (p,) = self.broadcast_constants(x)
        return x * (self.uniform(x) >= p) / (1 - p)
"""


@pytest.fixture(autouse=True)
def _nothing_is_left(own_variants: None) -> None:
    """What is registered in a test goes with it."""


def refused(path: Path) -> list[str]:
    before = (list(CATALOGUE), list(VARIANTS), list(LOADED))
    with pytest.raises(ConfigError) as caught:
        load_plugin(path)
    assert (list(CATALOGUE), list(VARIANTS), list(LOADED)) == before
    return list(caught.value.mistakes)


def refused_text(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "mine.py"
    path.write_text(text)
    return [mistake.replace(f"{tmp_path}/", "") for mistake in refused(path)]


def variant(**changes: str) -> str:
    """Return a plugin whose Variant has some fields changed, in Python's spelling."""
    fields = {"formula": "'x k'", "highest_p": "0.9", "beyond": "'too little'"} | changes
    written = ", ".join(f"{key}={value}" for key, value in fields.items())
    return (HEAD + RIGHT).replace("= KIND", f"= Variant({written})")


def drop(body: str, **changes: str) -> str:
    """Return a plugin with another body of drop; its line is 12."""
    return variant(**changes).partition("        (p,)")[0] + f"        {body}\n"


def test_the_right_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + RIGHT)
    assert load_plugin(tmp_path / "mine.py") == ["mine"]


# The file


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(HEAD + RIGHT)
    (tmp_path / "latin.py").write_bytes("# \u00e9".encode("latin-1"))
    for name, words in (
        ("absent.py", "does not exist"),
        ("", "is a folder; give the Python file"),
        ("notes.txt", "is no Python file; its name must end in .py"),
        ("latin.py", "is not UTF-8, at byte 2; save it as UTF-8"),
    ):
        (mistake,) = refused(tmp_path / name)
        assert mistake.startswith(f"--plugin {tmp_path / name}")
        assert words in mistake


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import torch\ndef drop(x:\n", "mine.py:2: importing the plugin stops with SyntaxError: "),
        ("x = 1\nraise ValueError('not yet\\nmore')", "mine.py:2: importing the plugin stops with "
         "ValueError: not yet"),
        ("import absent_module", "mine.py:1: importing the plugin stops with ModuleNotFoundError"),
        ("import sys\n\nsys.exit(3)", "mine.py:3: importing the plugin stops with SystemExit: 3"),
        ("raise BaseException", "mine.py:1: importing the plugin stops with BaseException"),
        ("def f():\n    g()\ndef g():\n    1 / 0\nf()",
         "mine.py:4: importing the plugin stops with ZeroDivisionError"),
        ("\0", "importing the plugin stops with "),
    ],
)  # fmt: skip
def test_what_stops_the_import_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (mistake,) = refused_text(tmp_path, text)
    assert words in mistake
    assert "\n" not in mistake


def test_a_failed_import_can_be_mended_and_tried_again(tmp_path: Path) -> None:
    before = set(sys.modules)
    refused_text(tmp_path, HEAD + RIGHT + "1 / 0\n")
    refused_text(tmp_path, HEAD)
    refused_text(tmp_path, HEAD + "class Mine(UnitDropout): pass")
    assert set(sys.modules) == before
    (tmp_path / "mine.py").write_text(HEAD + RIGHT)
    assert load_plugin(tmp_path / "mine.py") == ["mine"]


def test_ctrl_c_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugin(tmp_path / "mine.py")


def test_a_file_without_a_variant_is_told_what_it_has(tmp_path: Path) -> None:
    (nothing,) = refused_text(tmp_path, "x = 1")
    assert "no variant found; it defines no class: write a class that derives" in nothing
    (imported,) = refused_text(tmp_path, HEAD + "class Mine(torch.nn.Module): pass")
    assert "it defines class Mine, and only imports Dropout, InvertedDropout" in imported


# What the class says of itself


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("3", "name is 3; it must begin with a small letter"),
        ("'Mine'", "name is 'Mine'; it must begin with a small letter"),
        ("'my dropout'", "name is 'my dropout'; it must begin"),
        ("'m' * 41", "40 at most"),
        ("'null'", "name is 'null', which is no word in YAML or CSV; take another"),
        ("'gaussian'", "name is 'gaussian', which is built in; take another"),
    ],
)
def test_a_name_must_be_one_and_free(tmp_path: Path, name: str, words: str) -> None:
    (mistake,) = refused_text(tmp_path, HEAD + RIGHT.replace('"mine"', name))
    assert mistake.startswith("mine.py:6: ")
    assert words in mistake


def test_a_name_of_another_plugin_or_class_is_taken(tmp_path: Path) -> None:
    first = tmp_path / "first.py"
    first.write_text(HEAD + RIGHT)
    assert load_plugin(first) == load_plugin(first) == ["mine"]  # twice is once
    (mistake,) = refused_text(tmp_path, HEAD + RIGHT + "\n")
    assert f"name is 'mine', which {first.name} has; take another" in mistake
    other = RIGHT.replace('"mine"', '"other"')
    both = refused_text(tmp_path, HEAD + other + other.replace("Mine", "Too"))
    assert [m for m in both if "which class Too has too" in m]
    assert [m for m in both if "which class Mine has too" in m]


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    mistakes = refused_text(tmp_path, HEAD + "class Mine(UnitDropout): pass")
    assert len(mistakes) == 3
    assert 'class Mine has no name; write name = "my_dropout" in it.' in mistakes[0]
    assert "class Mine writes neither drop nor connect" in mistakes[1]
    assert "class Mine has no variant; write variant = Variant(formula='...')" in mistakes[2]
    (mistake,) = refused_text(tmp_path, HEAD + RIGHT.replace("= KIND", "= 'inverted'"))
    assert "has a variant that is 'inverted'" in mistake


def test_the_variant_of_a_built_in_base_is_not_its_own(tmp_path: Path) -> None:
    text = HEAD + "class Mine(InvertedDropout):\n    name = 'mine'\n"
    (mistake,) = refused_text(tmp_path, text)
    assert "class Mine has no variant" in mistake


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1 / 0")
    with pytest.raises(ConfigError) as caught:
        load_plugins([tmp_path / "a.py", tmp_path / "b.py"])
    assert len(caught.value.mistakes) == 2
    assert "2 mistakes; nothing was run." in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("formula", "3", "variant.formula is 3; input should be a valid string"),
        ("cost", "'much'", 'variant.cost is "much"; input should be a valid number'),
        ("keep_rate", "1", "variant.keep_rate is 1; input should be a valid boolean"),
        ("highest_p", "1.5", "variant.highest_p is 1.5; it must lie in (0, 1]"),
        ("highest_p", "float('nan')", "variant.highest_p is nan; it must lie in (0, 1]"),
        ("beyond", "''", "variant.highest_p is 0.9; say why not more: beyond='...'"),
        ("cost", "0.0", "variant.cost is 0; it must be above 0"),
        ("activations", "('rellu',)", "variant.activations names 'rellu'; known: relu, logistic"),
        ("surrogate", "('z',)", "variant.surrogate names 'z'; known: x, weight, bias"),
        ("needed", "('share',)", "variant.needed names 'share'; known: none"),
        ("options", "{'strenght': 1.0}", "did you mean 'strength'? known: alpha_per, kl_warmup"),
        ("options", "{'cutoff': 3}", "names 'cutoff', which is no key of the section dropout for"),
        ("options", "{'strength': None}", "gives 'strength' no default; name it in needed"),
        ("options", "{'strength': -1.0}", "gives 'strength' the default -1.0; allowed: a number"),
    ],
)
def test_a_field_that_cannot_be_meant_is_named(
    tmp_path: Path, field: str, value: str, words: str
) -> None:
    (mistake,) = refused_text(tmp_path, variant(**{field: value}))
    assert words in mistake


def test_weights_cannot_stand_before_an_activation(tmp_path: Path) -> None:
    text = HEAD + RIGHT.replace("UnitDropout", "WeightDropout")
    assert any("writes neither drop nor connect" not in m for m in refused_text(tmp_path, text))
    assert any("write between=True in its Variant" in m for m in refused_text(tmp_path, text))


INIT = """
    def __init__(self, p=0.5, *, {arguments}):
        super().__init__(p, mask=mask, noise=noise)
"""


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ("mask='element'", "{}", "must be made as Mine(p, mask=..., noise=...), but: got an unexp"),
        ("mask='element', noise=None", "{'slope': 1.0}", "Mine(p, mask=..., noise=..., slope=...)"),
        ("mask='element', noise=None, slope=2.0", "{'slope': 1.0}",
         "gives 'slope' the default 1.0 and __init__ has 2.0; they must be the same"),
    ],
)  # fmt: skip
def test_the_constructor_takes_what_it_will_be_given(
    tmp_path: Path, arguments: str, options: str, words: str
) -> None:
    text = variant(options=options) + INIT.format(arguments=arguments)
    (mistake,) = refused_text(tmp_path, text)
    assert words in mistake


# What the class does


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x * undefined", "mine.py:11: Mine, in use with x of shape (2, 4, 6), "
         "p = [0.0, 0.5] and mask element, stops with NameError"),
        ("raise SystemExit(0)", "stops with SystemExit"),
        ("return None", "stops with AttributeError"),
        ("return x[..., :3]", "stops with RuntimeError"),
        ("return x.double()", "stops with RuntimeError"),
        ("return x * float('nan')", "connect in training returns numbers that are not finite"),
        ("return x.detach() * 2", "in training lets no gradient through to x"),
        ("return x * (1 + torch.rand_like(x))", "comes out differently for the same seed; take all "
         "draws from self.noise"),
        ("return x * self.noise.normal(x.shape[1:], x.device)", "stops with ValueError: draws of "
         "shape"),
        ("return torch.where(x > 9, x, (x - x).sqrt() + x)", "in training has gradients that are "
         "not finite"),
    ],
)  # fmt: skip
def test_what_fails_on_a_small_fleet_is_refused(tmp_path: Path, body: str, words: str) -> None:
    (mistake,) = refused_text(tmp_path, drop(body))
    assert words in mistake
    assert re.match(r"mine.py:(6|11): Mine, in use with", mistake)


def test_a_forward_of_another_shape_or_dtype_is_refused(tmp_path: Path) -> None:
    """Such as one whose connect hides it."""
    connect = """
    def connect(self, x, weight, bias, entering=None):
        return {result}
"""
    for result, words in (
        ("x", "connect in training returns shape (2, 4, 6), not (2, 4, 3)"),
        ("(x @ weight).double()", "connect in training returns torch.float64 for torch.float32"),
        ("3", "connect in training returns int, not a tensor"),
        ("(x @ weight).detach()", "in training lets no gradient through"),
    ):
        (mistake,) = refused_text(tmp_path, HEAD + RIGHT + connect.format(result=result))
        assert words in mistake
        rested = f"x @ weight + bias if self.training else {result}"
        (mistake,) = refused_text(tmp_path, HEAD + RIGHT + connect.format(result=rested))
        assert words.replace("in training", "in evaluation") in mistake


def test_what_needs_more_than_it_says_is_refused(tmp_path: Path) -> None:
    """The input layer has nothing before it, and only hidden_only spares it that."""
    connect = """
    def connect(self, x, weight, bias, entering=None):
        return (x * entering.preactivation.sigmoid()) @ weight + bias
"""
    (mistake,) = refused_text(tmp_path, HEAD + RIGHT + connect)
    assert "stops with AttributeError: 'NoneType' object has no attribute" in mistake
    (tmp_path / "mine.py").write_text(variant(hidden_only="True") + connect)
    assert load_plugin(tmp_path / "mine.py") == ["mine"]


LEARNED = """
    def __init__(self, p=0.5, *, mask="element", noise=None):
        super().__init__(p, mask=mask, noise=noise)
        self.register_parameter("scale", torch.nn.Parameter(torch.ones({shape})))

    def eval_forward(self, x):
        return x * self.scale[:, None, None]

    def penalty(self, weight, progress):
        return {penalty}
"""


@pytest.mark.parametrize(
    ("learned", "shape", "penalty", "words"),
    [
        ("''", "2", "None", "has the parameters scale, but variant.learned is ''"),
        ("'scale'", "1", "None", "a parameter scale of shape (1,); its run axis must come first"),
        ("'scale'", "2", "self.scale.sum()", "penalty returns shape (), not one number for each"),
    ],
)
def test_what_is_learned_has_a_run_axis_and_is_said(
    tmp_path: Path, learned: str, shape: str, penalty: str, words: str
) -> None:
    text = variant(learned=learned) + LEARNED.format(shape=shape, penalty=penalty)
    (mistake,) = refused_text(tmp_path, text)
    assert words in mistake


def test_learned_but_without_parameters_is_refused(tmp_path: Path) -> None:
    (mistake,) = refused_text(tmp_path, variant(learned="'its scale'"))
    assert "has the parameters none, but variant.learned is 'its scale'" in mistake


def test_a_file_beside_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its changes would not show in the digest, and what was trained before passed for the same."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_mine.py").write_text("SCALE = 1.0\n")
    (tmp_path / "mine.py").write_text(HEAD + "import helper_of_mine\n" + RIGHT)
    (told,) = refused(tmp_path / "mine.py")
    assert "a plugin is one file, but it imports helper_of_mine from its folder" in told
    assert "helper_of_mine" not in sys.modules
