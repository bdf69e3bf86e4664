"""A variant of one's own from the first command to the last, as the README tells it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dropout_lab.catalogue import CATALOGUE
from tests.cli.conftest import SMALL
from tests.conftest import plugin_of_the_readme

PLUGIN = ["--plugin", "my_dropout.py"]
SWEEP = [
    "sweep", *SMALL, "--set", "dropout.variant=inverted,pairs", "--p", "0.5", "--quiet",
]  # fmt: skip
STUDY = Path("results/defaults")


@pytest.fixture
def plugin(tmp_path: Path, own_variants: Callable[[], None]) -> Callable[[], None]:
    """Write the README's plugin; return what forgets it, as the end of a process does."""
    (tmp_path / "my_dropout.py").write_text(plugin_of_the_readme())
    return own_variants


def statuses() -> dict[str, str]:
    with (STUDY / "runs.csv").open() as file:
        return {f"{r['dropout.variant']} {r['seed']}": r["status"] for r in csv.DictReader(file)}


def test_it_sweeps_beside_a_built_in_variant_and_is_drawn(run, plugin) -> None:
    result = run(*SWEEP, *PLUGIN, "--seeds", "1", "--json")
    data = json.loads(result.out)
    assert (result.status, data["trained"]) == (0, 3)
    assert sorted(statuses()) == ["inverted 0", "none 0", "pairs 0"]
    pictures = {Path(file).name: Path(file) for file in data["plots"]}
    for picture in ("gap.svg", "by_p.svg", "cells.svg"):
        assert "pairs" in pictures[picture].read_text()
    manifest = json.loads((STUDY / "manifest.json").read_text())
    entry = manifest["plugins"]["pairs"]
    assert entry["file"] == "my_dropout.py"
    assert entry["sha256"] == CATALOGUE["pairs"].source == entry["variant"]["source"]
    assert (STUDY / "plugins" / "pairs.py").read_text() == plugin_of_the_readme()

    plugin()
    again = run(*SWEEP, *PLUGIN, "--seeds", "1")
    assert "0 runs trained" in again.out
    assert "3 finished before" in again.out

    plugin()
    more = run(*SWEEP, "--plugin", str(STUDY / "plugins" / "pairs.py"), "--seeds", "2")
    assert "3 runs trained" in more.out  # the file that was kept goes on with the study
    assert set(statuses().values()) == {"completed"}


@pytest.mark.usefixtures("one_plot")
def test_results_are_read_drawn_and_extended_without_it(run, plugin) -> None:
    run(*SWEEP, *PLUGIN, "--seeds", "1")
    plugin()
    plotted = run("plot", str(STUDY))
    assert (plotted.status, plotted.err) == (0, "")
    plugin()
    without = [word.replace("inverted,pairs", "inverted,gaussian") for word in SWEEP]
    extended = run(*without, "--seeds", "1")
    assert extended.status == 0
    assert "1 run trained" in extended.out
    assert "pairs, p = 0.5" in extended.out
    assert statuses()["pairs 0"] == "completed"
    plugin()
    asked = run(*SWEEP, "--seeds", "1")
    assert asked.status == 2
    assert '"pairs"' in asked.err
    assert "A variant of your own needs --plugin FILE." in asked.err


@pytest.mark.usefixtures("one_plot")
def test_another_version_of_it_is_refused(run, plugin, tmp_path: Path) -> None:
    run(*SWEEP, *PLUGIN, "--seeds", "1")
    before = (STUDY / "manifest.json").read_text()
    plugin()
    (tmp_path / "my_dropout.py").write_text("# mended\n" + plugin_of_the_readme())
    for dry in ([], ["--dry-run"]):
        result = run(*SWEEP, *PLUGIN, "--seeds", "2", *dry)
        assert result.status == 4
        assert "was begun with another version of the variant pairs" in result.err
        assert "give another folder with --out" in result.err
        plugin()
    assert (STUDY / "manifest.json").read_text() == before
    assert (STUDY / "plugins" / "pairs.py").read_text() == plugin_of_the_readme()
    elsewhere = run(*SWEEP, *PLUGIN, "--seeds", "1", "--out", "elsewhere")
    assert elsewhere.status == 0
    pairs = json.loads(Path("elsewhere/manifest.json").read_text())["runs"]
    assert len(pairs.keys() - json.loads(before)["runs"].keys()) == 1  # its run has another id


@pytest.mark.usefixtures("one_plot")
def test_a_study_that_only_its_own_setting_names_it_in_is_read_without_it(run, plugin) -> None:
    train = ["train", *SMALL, "--set", "dropout.variant=pairs", "--seeds", "1", "--quiet"]
    assert run(*train, *PLUGIN).status == 0
    plugin()
    assert run("plot", str(STUDY)).status == 0
    damaged = json.loads((STUDY / "manifest.json").read_text())
    damaged["plugins"]["pairs"]["variant"] = "torn"
    (STUDY / "manifest.json").write_text(json.dumps(damaged))
    plugin()
    result = run("plot", str(STUDY))
    assert result.status == 1
    assert "cannot be read as a manifest" in result.err


def test_verify_finds_it_right_and_forgotten_scaling_wrong(run, plugin, tmp_path: Path) -> None:
    right = run("verify", "pairs", *PLUGIN)
    assert right.status == 0
    assert right.out.count(" ok\n") == 24
    assert max(map(len, right.out.splitlines())) <= 80
    plugin()
    text = plugin_of_the_readme().replace(" / (1 - p)\n", "\n")
    (tmp_path / "my_dropout.py").write_text(text)
    wrong = run("verify", "pairs", *PLUGIN)
    assert wrong.status == 1
    failed = [line for line in wrong.out.splitlines() if line.endswith("FAILED")]
    assert [line[21:46].strip() for line in failed] == [
        "noise mean is 1", "evaluation is the mean", "variance is p / (1 - p)",
    ]  # fmt: skip
    assert "; 1 is claimed" in wrong.out


@pytest.mark.usefixtures("one_plot")
def test_a_run_with_the_scaling_forgotten_is_marked(run, plugin, tmp_path: Path) -> None:
    """Its noise was measured: the message says where, and the command ends with 1."""
    wrong = plugin_of_the_readme().replace(" / (1 - p)\n", "\n")
    assert wrong != plugin_of_the_readme()
    (tmp_path / "my_dropout.py").write_text(wrong)
    measured = ["--set", "evaluation.diagnostics=[noise]"]
    result = run(*SWEEP, *PLUGIN, *measured, "--seeds", "1")
    assert result.status == 1
    words = "has a layer that does not do what it says: epoch 1, dropout at place 1: noise mean 0.5"
    assert result.err.count(words) == 1  # inverted, beside it, does what it says
    with (STUDY / "runs.csv").open() as file:
        rows = {row["dropout.variant"]: row for row in csv.DictReader(file)}
    assert rows["pairs"]["message"].endswith("; 1 is claimed")
    assert rows["pairs"]["status"] == "completed"
    assert rows["inverted"]["message"] == ""
    assert (
        0.4 < float(rows["pairs"]["noise_mean_1"]) < 0.6 < float(rows["inverted"]["noise_mean_1"])
    )
    again = run(*SWEEP, *PLUGIN, *measured, "--seeds", "1", "--json")
    assert again.status == 1
    assert list(json.loads(again.out)["marked"]) == [rows["pairs"]["run_id"]]


def test_verify_as_json_is_pure_and_names_must_be_known(run) -> None:
    result = run("verify", "none", "unscaled", "--json")
    data = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert data["failed"] == 0
    assert data["passed"] + data["not_applying"] == len(data["checks"]) == 48
    entry = data["checks"][0]
    assert list(entry) == ["check", "variant", "measured", "bound", "passed", "reason"]
    skipped = [c for c in data["checks"] if c["variant"] == "unscaled" and c["passed"] is None]
    assert "no scaling, an intentional mistake" in {check["reason"] for check in skipped}
    unknown = run("verify", "gausian")
    assert unknown.status == 2
    assert "did you mean 'gaussian'?" in unknown.err
    assert "A variant of your own needs --plugin FILE." in unknown.err


def test_configs_and_the_catalogue_know_it(run, plugin, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dropout: {variant: pairs, p: 0.3}")
    assert run("config", "check", "c.yaml").status == 2
    assert "c.yaml: OK: " in run("config", "check", "c.yaml", *PLUGIN).out
    plugin()
    assert "variant: pairs" in run("config", "show", "c.yaml", *PLUGIN).out
    plugin()
    schema = json.loads(run("config", "schema", *PLUGIN).out)
    assert "pairs" in schema["$defs"]["DropoutSettings"]["properties"]["variant"]["enum"]
    plugin()
    (entry,) = json.loads(run("variants", "pairs", "--json", *PLUGIN).out).values()
    assert (entry["keep_rate"], entry["biased"], len(entry["source"])) == (True, "", 64)
    plugin()
    assert "pairs  (cost not measured)" in run("variants", "pairs", *PLUGIN).out
    plugin()
    assert "pairs  (cost" not in run("variants").out


@pytest.mark.parametrize("where", ["plugin: my_dropout.py", "dropout: {plugins: [my_dropout.py]}"])
def test_a_yaml_file_cannot_name_it(run, plugin, where: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(where)
    result = run("train", "--config", "c.yaml")
    assert result.status == 2
    assert "is not a setting; a plugin is given on the command line only: --plugin FILE" in (
        result.err
    )


@pytest.mark.parametrize("command", ["train", "sweep", "verify", "variants"])
def test_a_bad_one_is_exit_2_and_nothing_is_written(run, command: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import absent_module")
    result = run(command, "--plugin", "bad.py", "--plugin", "absent.py")
    assert result.status == 2
    assert "bad.py:1: importing the plugin stops with ModuleNotFoundError" in result.err
    assert "--plugin absent.py does not exist." in result.err
    assert "2 mistakes; nothing was run." in result.err
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.py"]


def test_what_it_prints_does_not_get_into_json(run, plugin, tmp_path: Path) -> None:
    loud = "print('hello')\n" + plugin_of_the_readme().replace(
        "        (p,) =", "        print('drop')\n        (p,) ="
    )
    (tmp_path / "my_dropout.py").write_text(loud)
    result = run("variants", "pairs", "--json", *PLUGIN)
    assert json.loads(result.out)
    assert "hello" in result.err
    assert "drop" in result.err
