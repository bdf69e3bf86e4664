"""What a user gets wrong at the command line; the ids begin with the fault's number in FAULTS.md.

Each is answered by its message and its exit status, without a traceback, and leaves nothing behind.
"""

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from dropout_lab.results import read_rows
from tests.cli.conftest import SMALL, Result

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def refused(result: Result, status: int, *words: str) -> None:
    """A message on stderr with these words, this exit status, nothing on stdout."""
    assert result.status == status
    for word in words:
        assert word in result.err
    assert "Traceback" not in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", ["c.yaml:1: the file is empty"], id="2-empty"),
        pytest.param("# a comment\n", ["c.yaml:1: the file is empty"], id="2-comment"),
        pytest.param("name: a\n---\nname: b\n", ["c.yaml:2: a second document"], id="2-documents"),
        pytest.param("- a\n", ["c.yaml:1: expected a mapping"], id="2-list"),
        pytest.param(
            "name: [1,\n  b: }\n", ["c.yaml:2:6: not YAML", "b: }\n         ^"], id="3-syntax"
        ),
        pytest.param("dropout:\n\tp: 1\n", ["c.yaml:2:1: not YAML", "^"], id="3-tab"),
        pytest.param("droput: {p: 1}", ["c.yaml:1: droput", "mean 'dropout'?"], id="4-unknown"),
        pytest.param(
            "dropout:\n  p: 0\n  p: 1\n", ["c.yaml:3: dropout.p is given twice"], id="5-twice"
        ),
        pytest.param("dropout: {p: 1:30}", ['dropout.p is "1:30"'], id="6-sexagesimal"),
        pytest.param("dropout: {variant: no}", ['variant is "no"'], id="6-no"),
        pytest.param("dropout: {input_p: -0.1}", ["input_p is -0.1", "from 0 to 1"], id="7-below"),
        pytest.param("dropout: {input_p: 1.5}", ["input_p is 1.5"], id="7-above"),
        pytest.param("dropout: {input_p: .nan}", ["input_p is NaN"], id="7-nan"),
        pytest.param("dropout: {input_p: .inf}", ["input_p is Infinity"], id="7-inf"),
        pytest.param("dropout: {input_p: true}", ["input_p is true"], id="7-true"),
        pytest.param("dropout: {input_p: 0.5x}", ['input_p is "0.5x"'], id="7-text"),
        pytest.param("dropout: {input_p: null}", ["input_p is null"], id="7-null"),
        pytest.param(
            "dropout: {variant: concrete}\nsweep: {grid: {dropout.p: [0.5, 1]}}",
            ["dropout.p is 1", "give"],
            id="8-concrete",
        ),
        pytest.param("sweep: {grid: {dropout.p: [0.5, 0.50]}}", ["names 0.5 twice"], id="11-twice"),
        pytest.param("sweep: {grid: {dropout.p: []}}", ["the axis dropout.p is []"], id="11-empty"),
        pytest.param(
            "seeds: 100000\nsweep: {grid: {dropout.p: '0:0.9:0.1'}}",
            ["the sweep has 1,000,000 runs; at most 100,000"],
            id="12-a-million",
        ),
        pytest.param(
            "dropout: {placement: [0, 3]}", ["layer 3", "output layer is never dropped"], id="13"
        ),
        pytest.param(
            "sweep: {grid: {dropout.p: [[0.1, 0.2, 0.3], 0.5]}}",
            ["dropout.p lists 3 values for 2 places (1, 2)"],
            id="13-list-in-a-grid",
        ),
        pytest.param("training: {batch_size: 0}", ["batch_size is 0"], id="15-zero"),
        pytest.param("training: {batch_size: 3001}", ["more than the 3000"], id="15-above"),
        pytest.param("training: {epochs: 0}", ["training.epochs is 0"], id="16-epochs"),
        pytest.param("training: {updates: 9e999}", ["updates is Infinity"], id="16-updates"),
        pytest.param("training: {learning_rate: 0}", ["learning_rate is 0"], id="16-zero"),
        pytest.param("training: {learning_rate: -1}", ["learning_rate is -1"], id="16-minus"),
        pytest.param("training: {learning_rate: .nan}", ["learning_rate is NaN"], id="16-nan"),
        pytest.param("model: {hidden: []}", ["model.hidden is []"], id="16-hidden"),
        pytest.param("seeds: -1", ["seeds is -1"], id="17-minus"),
        pytest.param("seeds: [9223372036854775808]", ["below 2**63"], id="17-large"),
        pytest.param("seeds: 1.5", ["seeds is 1.5"], id="17-float"),
        pytest.param("seeds: null", ["seeds is null"], id="17-null"),
        pytest.param("seeds: random", ['seeds is "random"'], id="17-random"),
        pytest.param(BOMB, ["c.yaml:2: aliases (*a) are not allowed"], id="18-bomb"),
        pytest.param("a: &a [*a]", ["aliases (*a) are not allowed"], id="18-recursive"),
        pytest.param("a: " + "[" * 5000, ["nested deeper than 20"], id="18-deep"),
        pytest.param(
            "\n".join(" " * i + "a:" for i in range(400)), ["nested deeper than 20"], id="18-steps"
        ),
        pytest.param(
            "name: a\0b", ["c.yaml:1:8: not YAML: this character is not allowed"], id="18-nul"
        ),
        pytest.param("name: a".encode("utf-16"), ["is not UTF-8 text"], id="18-utf-16"),
        pytest.param(b"name: caf\xe9", ["is not UTF-8 text"], id="18-latin-1"),
        pytest.param(b"#" * 100_000_000, ["larger than 128 KiB"], id="18-100-MB"),
        pytest.param("seeds: " + "9" * 5000, ["seeds is Infinity"], id="18-digits"),
        pytest.param("dropout: {p: 1e400}\nseeds: 0", ["seeds is 0"], id="18-1e400"),
        pytest.param('"\\e[31m": 1', [":1: \\x1b[31m is not a setting"], id="18-terminal-codes"),
        pytest.param('about: "\\ud800"', ['about is "\\ud800"'], id="18-half-a-character"),
        pytest.param(
            "name: !!python/object/apply:os.system ['touch pwned']", ["tags"], id="19-tag"
        ),
        pytest.param("name: a/b", ['name is "a/b"'], id="22-slash"),
        pytest.param("name: ..", ['name is ".."'], id="22-dots"),
        pytest.param("name: /etc/x", ['name is "/etc/x"'], id="22-absolute"),
        pytest.param('name: "a\\0b"', ['name is "a\\u0000b"'], id="22-nul"),
        pytest.param('name: "a\\n"', ['name is "a\\n"'], id="22-newline"),
        pytest.param("name: con.txt", ["some systems reserve"], id="22-device"),
        pytest.param("name: a.", ['name is "a."'], id="22-dot"),
        pytest.param(f"name: {'a' * 300}", ["up to 100 letters"], id="22-long"),
        pytest.param("name: 🙂", ["name is"], id="22-emoji"),
        pytest.param("name: -x", ['name is "-x"'], id="22-dash"),
        pytest.param("dataset: {train_size: 3001}", ["3000 examples of mnist_5k"], id="30"),
    ],
)
def test_a_config_that_is_refused(
    content: str | bytes, words: list[str], run, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    began = time.perf_counter()
    refused(run("sweep", "--config", "c.yaml"), 2, "nothing was run.", *words)
    assert time.perf_counter() - began < 10
    assert [left.name for left in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    "path", ["no.yaml", ".", "", "a" * 5000, "/proc/self/mem"], ids="1-{}".format
)
def test_a_config_that_cannot_be_read(path: str, run, tmp_path: Path) -> None:
    refused(run("train", "--config", path), 2, "nothing was run.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--p", "0:0.9"], ["write start:stop:step"], id="11-range"),
        pytest.param(["--p", "0,0.0,-0.0"], ["names 0.0 twice"], id="10-zeros"),
        pytest.param(["--p", "0:1:0.001"], ["more than 1000 values"], id="12-range"),
        pytest.param(["--set", "dropout.p=[0.1,0.2,0.3]"], ["3 values for 2 places"], id="13-list"),
        pytest.param(["--epochs", "9" * 400], ["training.epochs is 9"], id="16-digits"),
        pytest.param(["--set", f"training.updates={'9' * 400}"], ["2**31"], id="16-updates"),
        pytest.param(["--seeds", "1,1"], ["name each seed once"], id="17-twice"),
        pytest.param(["--seeds", "-1"], ["seeds is -1"], id="17-minus"),
        pytest.param(["--p", "[" * 5000], ["nested deeper than 20"], id="18-deep"),
        pytest.param(["--p", "&a [*a]"], ["aliases"], id="18-alias"),
        pytest.param(["--set", "dropout.p=!!python/name:os.system x"], ["tags"], id="18-tag"),
        pytest.param(["--seeds", "{" * 3000], ["nested deeper than 20"], id="18-braces"),
        pytest.param(["--seeds", "1" + "0" * 5000], ["seeds is Infinity"], id="18-digits"),
        pytest.param(["--p", "1e400"], ["dropout.p is Infinity"], id="18-1e400"),
        pytest.param(["--p", f"0:1{'0' * 5000}:1"], ["is not a range"], id="18-range-digits"),
        pytest.param(["--p", "0:1e999999999:1"], ["is not a range"], id="18-range-overflow"),
        pytest.param(["--p", "0:1:1e-999999999"], ["is not a range"], id="18-range-underflow"),
        pytest.param(["--p", "0:1_0:1"], ["is not a range"], id="18-range-underscore"),
        pytest.param(["--p", "0\n---\n1"], ["--p 0\\n---\\n1:2:1: not YAML"], id="18-lines"),
        pytest.param(["--p", "0 #"], ["not YAML"], id="18-comment"),
        pytest.param(["--p", "\udcff"], ["--p \\udcff:1:2: not YAML"], id="18-bytes"),
        pytest.param(["--seeds", "\udcff"], ["--seeds \\udcff:1:2: not YAML"], id="18-seed-bytes"),
        pytest.param(["--set", "\udcff=1"], ["\\udcff is not a setting"], id="18-key-bytes"),
        pytest.param(["--set", f"dropout.p={'1' * 100_000}"], ["…", "is Infinity"], id="18-long"),
        pytest.param(["--set", "dropout.p"], ["write --set key=value"], id="21-no-value"),
        pytest.param(["--set", "dropout.p="], ["dropout.p has no value"], id="21-empty"),
        pytest.param(["--set", "dropout.q=1"], ["dropout.q is not a setting"], id="21-no-key"),
        pytest.param(["--set", "training.epochs=two"], ['epochs is "two"'], id="21-type"),
        pytest.param(["--set", "a="], ["a is not a setting"], id="21-neither"),
        pytest.param(["--device", "\udcff"], ["--device is"], id="33-device"),
    ],
)
def test_an_option_that_is_refused(
    arguments: list[str], words: list[str], run, tmp_path: Path
) -> None:
    result = run("sweep", *arguments)
    refused(result, 2, "nothing was run.", *words)
    assert len(result.err) < 1000, "what was given is repeated in short"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        pytest.param("dropout: {p: 1e-3}", "dropout", "p", 0.001, id="6-1e-3"),
        pytest.param("training: {momentum: 5e-1}", "training", "momentum", 0.5, id="6-5e-1"),
        pytest.param("training: {epochs: 010}", "training", "epochs", 10, id="6-010"),
        pytest.param("dropout: {p: 1}", "dropout", "p", 1.0, id="8-bernoulli"),
        pytest.param("dropout: {p: -0.0}", "dropout", "p", 0.0, id="10-minus-zero"),
        pytest.param("\ufeffdropout: {p: 0.5}", "dropout", "p", 0.5, id="18-mark"),
    ],
)  # fmt: skip
def test_a_value_that_is_taken(
    text: str, section: str, key: str, value: float, run, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    result = run("config", "show", "c.yaml")
    assert result.status == 0
    shown = yaml.safe_load(result.out)[section][key]
    assert (str(shown), type(shown)) == (str(value), type(value))


def test_10_a_range_is_counted_in_decimals(run) -> None:
    plan = json.loads(run("sweep", "--p", "0:0.9:0.1", "--dry-run", "--json").out)
    assert [cell["dropout.p"] for cell in plan["cells"]] == [
        0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
    ]  # fmt: skip


def test_20_another_setting_in_the_same_folder_is_refused_with_its_keys(run) -> None:
    assert run("train", *SMALL, "--seeds", "1").status == 0
    before = Path("results/defaults/manifest.json").read_bytes()
    again = run("train", *SMALL, "--seeds", "1", "--set", "training.momentum=0.5")
    refused(again, 4, "training.momentum", "--name defaults_momentum_0.5")
    assert Path("results/defaults/manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("out", "words"),
    [
        pytest.param("a" * 300, "File name too long", id="22-long"),
        pytest.param("..", "is not the folder of a study", id="22-up"),
        pytest.param("file", "is a file", id="22-file"),
        pytest.param("file/x", "file/x cannot be written", id="22-below-a-file"),
        pytest.param("/dev/null", "is a file", id="22-device"),
    ],
)
def test_a_results_folder_that_is_refused(out: str, words: str, run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "cwd").mkdir()
    os.chdir(tmp_path / "cwd" if out == ".." else tmp_path)
    refused(run("train", "--out", out, *SMALL), 4, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cwd", "file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        pytest.param("caf\udce9.yaml", "caf", id="22-bytes"),
        pytest.param("🙂.yaml", "study", id="22-emoji"),
        pytest.param("a b\nc.yaml", "a_b_c", id="22-newline"),
        pytest.param("..yaml", "study", id="22-dots"),
        pytest.param("$x_{.yaml", "x", id="22-signs"),
        pytest.param(f"{'a' * 240}.yaml", "a" * 100, id="22-long"),
    ],
)
def test_the_name_of_any_file_makes_a_name_of_a_study(
    file: str, name: str, run, tmp_path: Path
) -> None:
    (tmp_path / file).write_text("seeds: 1\n")
    plan = json.loads(run("train", "--config", file, "--dry-run", "--json").out)
    assert (plan["name"], plan["out"]) == (name, f"results/{name}")


def test_31_a_diverged_run_ends_alone_and_the_others_go_on(run) -> None:
    options = [*SMALL, "--seeds", "1", "--set", "training.learning_rate=0.1,1e20", "--p", "0.5"]
    result = run("sweep", *options)
    assert result.status == 1
    assert "the loss is not finite" in result.err
    rows = read_rows(Path("results/defaults/runs.csv"))
    assert sorted(row["status"] for row in rows) == 2 * ["completed"] + 2 * ["diverged"]
    assert Path("results/defaults/plots/cells.png").exists()


def test_32_a_layer_that_drops_nearly_every_unit_trains_to_finite_numbers(run) -> None:
    options = [*SMALL, "--seeds", "1", "--set", "dropout.p=0.99", "--set", "model.hidden=[2]"]
    assert run("train", *options, "--set", "training.batch_size=1", "--epochs", "1").status == 0
    (row,) = read_rows(Path("results/defaults/runs.csv"))
    assert float(row["test_loss"]) < 100


def test_33_a_device_that_is_not_there(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused(run("train", "--device", "cuda"), 2, "torch finds no CUDA device")
    assert not list(tmp_path.iterdir())


def test_36_the_number_of_threads_is_recorded(run) -> None:
    run("train", *SMALL, "--seeds", "1")
    assert '"threads": ' in Path("results/defaults/manifest.json").read_text()


def test_37_a_clock_that_is_put_back_shortens_no_time(run, monkeypatch) -> None:
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    result = run("train", *SMALL, "--seeds", "1", "--json")
    assert json.loads(result.out)["seconds"] > 0
    (row,) = read_rows(Path("results/defaults/runs.csv"))
    assert float(row["seconds"]) > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fleet", "0"], ["--fleet", "-1"], ["--fleet", "x"], ["--workers", "0"],
        ["--workers", "x"],
        ["--memory", "8"], ["--memory", "0G"], ["--memory", "-1G"], ["--memory", "x"],
        ["--memory", ""], ["--memory", "1e3G"], ["--memory", "nanG"], ["--memory", "8P"],
        ["--memory", "999999999T"], ["--memory", "0.0000001K"],
    ],
    ids="59-{}".format,
)  # fmt: skip
def test_a_number_of_runs_at_once_that_is_refused(arguments: list[str], run, tmp_path) -> None:
    refused(run("train", *arguments), 2, arguments[0], "--help")
    assert not list(tmp_path.iterdir())


def test_59_more_runs_at_once_than_there_are_is_all_of_them(run) -> None:
    plan = json.loads(run("train", "--fleet", "9" * 30, "--dry-run", "--json").out)
    assert [len(fleet) for fleet in plan["fleets"]] == [3]
