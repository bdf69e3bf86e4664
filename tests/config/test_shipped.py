"""The configs that come with the program are found in a clone and in an installed package."""

import tomllib
from pathlib import Path

import pytest

from dropout_lab.config import shipped_configs as shipped

ROOT = Path(__file__).parents[2]


def test_every_config_of_the_clone_has_a_name() -> None:
    files = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"{name}.yaml" for name in shipped.list_shipped()} == set(map(str, files))
    assert shipped.find_shipped("quickstart") == ROOT / "configs" / "quickstart.yaml"
    assert shipped.find_shipped("hinton2012") == shipped.find_shipped("papers/hinton2012")
    assert shipped.find_shipped("papers") is None
    assert shipped.find_shipped("configs/quickstart.yaml") is None
    assert shipped.find_shipped("geron_ch11") == shipped.find_shipped("teaching/geron_ch11")
    folders = [name.partition("/")[0] for name in shipped.list_shipped() if "/" in name]
    assert list(dict.fromkeys(folders)) == ["papers", "teaching", "theory"]
    assert "/" not in next(iter(shipped.list_shipped()))  # those without a folder come first


def test_the_wheel_has_them_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package has no clone next to it."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    (target,) = build["targets"]["wheel"]["force-include"].items()
    assert target == ("configs", "dropout_lab/configs")
    assert "/configs" in build["targets"]["sdist"]["include"]  # the wheel of an sdist has them too
    package = tmp_path / "site-packages" / "dropout_lab"
    (tmp_path / "site-packages" / target[1]).mkdir(parents=True)
    (package / "configs" / "one.yaml").write_text("name: one")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    assert shipped.list_shipped() == {"one": package / "configs" / "one.yaml"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("quikstart", ["quickstart"]),
        ("configs/quickstart.yaml", ["quickstart"]),
        ("MNIST.yml", ["mnist"]),
        ("jmlr2014_fig4.yaml", ["papers/jmlr2014_fig4"]),
        ("regularizers", ["mnist_regularizers"]),
        ("zzz", []),
    ],
)
def test_a_path_or_a_typo_is_answered_with_the_name(text: str, names: list[str]) -> None:
    assert shipped.find_similar_shipped(text) == names


def test_each_config_says_in_its_first_line_what_it_is_for() -> None:
    for path in shipped.list_shipped().values():
        assert len(shipped.read_first_comment(path)) > 20
        assert path.read_text().startswith("# ")
