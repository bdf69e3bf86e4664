"""``dropout-lab init`` writes a config that works, and replaces nothing unasked."""

import re
from pathlib import Path

import pytest
import yaml

from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import KEYS, SECTION_CLASSES
from dropout_lab.config.shipped_configs import list_shipped
from dropout_lab.errors import DataError

CONFIGS = list_shipped()


def test_the_starter_is_right_annotated_and_small(run) -> None:
    done = run("init")
    assert (done.status, done.err) == (0, "")
    assert done.out == "Wrote experiment.yaml.\nNext: dropout-lab sweep experiment.yaml\n"
    assert run("config", "check", "experiment.yaml").status == 0
    text = Path("experiment.yaml").read_text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    for index, line in enumerate(lines):
        if found := re.match(r"  ([a-z]\w*):", line):
            assert lines[index - 1].startswith("  # "), f"{found[1]} has no comment"
    data = yaml.safe_load(text)
    assert data["name"] == "experiment"
    for section, keys in data.items():
        for key in keys if section in SECTION_CLASSES else ():
            assert f"{section}.{key}" in KEYS
            about = SECTION_CLASSES[section].model_fields[key].description or ""
            assert about.split(".")[0] in " ".join(text.replace("#", " ").split())


def test_the_starter_is_the_quickstart_with_a_name_of_its_own(run) -> None:
    """So it trains in under a minute, and its report reaches a verdict."""
    run("init", "my first.yaml")
    mine, quickstart = load(Path("my first.yaml")), load(CONFIGS["quickstart"])
    assert mine.name == "my_first"
    assert mine.model_copy(update={"name": "quickstart"}) == quickstart
    assert (mine.dataset.name, mine.dataset.train_size) == ("mnist_5k", 1000)  # no download


def test_the_starter_trains(run) -> None:
    run("init", "e.yaml")
    done = run("sweep", "e.yaml", "--epochs", "1", "--seeds", "1", "--set", "model.hidden=[8]")
    assert done.status == 0
    assert "Report: dropout-lab report results/e" in done.out


def test_nothing_is_replaced_without_force(run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mine")
    (tmp_path / "a_2.yaml").symlink_to("nowhere")
    done = run("init", "a.yaml")
    assert done.status == 2
    assert "a.yaml exists. Give another name: dropout-lab init a_3.yaml\n" in done.err
    assert "To replace it: dropout-lab init a.yaml --force\n" in done.err
    assert (tmp_path / "a.yaml").read_text() == "mine"
    assert run("init", "a_2.yaml").status == 2
    assert run("init", "a.yaml", "--force").status == 0
    assert load(tmp_path / "a.yaml").name == "a"
    again = run("init", "--from", "mnist", "a.yaml")
    assert "dropout-lab init --from mnist a_3.yaml" in again.err


@pytest.mark.parametrize("name", CONFIGS)
def test_a_shipped_config_is_copied_byte_by_byte(name: str, run, tmp_path: Path) -> None:
    done = run("init", "--from", name)
    assert done.status == 0
    copied = tmp_path / CONFIGS[name].name
    assert copied.read_bytes() == CONFIGS[name].read_bytes()
    assert f"Next: dropout-lab sweep {copied.name}" in done.out
    if name == "teaching/chollet_imdb":  # the user writes its data
        with pytest.raises(DataError, match=r"imdb\.npz cannot be read: No such file"):
            load(copied)
        return
    for size in list_sizes(copied):
        load(copied, Changes(settings=() if size is None else (f"size={size}",), sweep=True))


def test_the_list_names_every_shipped_config(run) -> None:
    done = run("init", "--list")
    assert done.status == 0
    for name, path in CONFIGS.items():
        assert re.search(rf"^{name} ", done.out, re.MULTILINE)
        first = path.read_text().partition("\n")[0].removeprefix("# ")
        assert first in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("quickstart", ["dropout-lab init quickstart.yaml", "init --from quickstart\n"]),
        ("notes.txt", ["notes.txt does not end in .yaml. Write dropout-lab init notes.txt.yaml"]),
        ("--from quikstart", ["Did you mean dropout-lab init --from quickstart?", "--list\n"]),
        ("--from configs/mnist.yaml", ["Did you mean dropout-lab init --from mnist?"]),
        ("--from zzz", ["'zzz' is not a shipped config.\n", "dropout-lab init --list\n"]),
        ("folder", ["folder is a folder. Name a file: dropout-lab init folder/experiment.yaml"]),
        ("a.yaml b.yaml", ["init writes one file", "dropout-lab init --from NAME"]),
    ],
)
def test_what_to_type_instead(arguments: str, words: list[str], run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = run("init", *arguments.split())
    assert done.status == 2
    assert all(word in done.err for word in words), done.err
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_is_not_there_is_exit_4(run) -> None:
    done = run("init", "absent/e.yaml")
    assert done.status == 4
    assert "absent/e.yaml cannot be written" in done.err
