"""Wrong commands, and outputs of every kind; the numbers are those of FAULTS.md."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import SMALL
from tests.faults.test_inputs import refused

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["swep"], ["Did you mean 'sweep'?", "--help"], id="69-command"),
        pytest.param(["config", "chekc"], ["Did you mean 'check'?"], id="69-subcommand"),
        pytest.param(["train", "--epoch", "3"], ["--epochs"], id="69-option"),
        pytest.param(
            ["train", "--epochs", "x"], ["'--epochs'", "not a whole number"], id="69-value"
        ),
        pytest.param(["train", "--epochs"], ["requires an argument"], id="69-missing"),
        pytest.param(["config", "check"], ["dropout-lab config check FILE"], id="69-argument"),
        pytest.param(["sweep", "--p", "0", "0.5"], ["is followed by 0.5"], id="69-extra"),
        pytest.param(["variants", "gausian"], ["did you mean 'gaussian'?"], id="69-variant"),
        pytest.param(["\udcff"], ["No such command '\\udcff'"], id="69-bytes"),
    ],
)
def test_a_command_line_that_is_refused(
    arguments: list[str], words: list[str], run, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # no word is broken by a narrow terminal
    refused(run(*arguments), 2, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("plot A B", ["plot takes one folder", "dropout-lab plot results", "two cells in one"]),
        ("report A B", ["report takes one folder", "dropout-lab report results", "one study"]),
        ("doctor A B", ["doctor takes one folder", "dropout-lab doctor results"]),
        ("sweep --p 0 0.5", ["without spaces: --p 0,0.5\n"]),
        ("sweep a.yaml", ["a.yaml does not exist", "dropout-lab init --list"]),
        ("train --seeds 1 2 p=1", ["'1' is followed by 2", "--seeds 1,2\n"]),
        ("train b p=1 a.py 3", ["--set p=1", "train --plugin a.py", "--p 0,0.25,0.5"]),
        ("train results/x", ["dropout-lab train --out results/x"]),
        ("lesson masks l2", ["lesson takes one name", "dropout-lab verify"]),
        ("config show a b", ["config show takes one file"]),
        ("config schema a", ["dropout-lab config check FILE"]),
        ("data list mnist", ["dropout-lab data fetch NAME"]),
        ("data fetch mnist kmnist", ["data fetch takes one name"]),
    ],
)  # fmt: skip
def test_what_to_type_instead_of_an_argument_too_many(
    arguments: str, words: list[str], run, tmp_path: Path
) -> None:
    refused(run(*arguments.split()), 2, *words)
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_a_message_breaks_between_words(run, monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"results/{'x' * 60}"
    plain = run("train", long).err
    monkeypatch.setenv("COLUMNS", "40")
    assert run("train", long).err == plain  # a file gets one line for each sentence
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown = run("train", long).err
    assert " ".join(shown.split()) == " ".join(plain.split())
    assert all(len(line) <= 40 for line in shown.splitlines() if long not in line)
    assert len(shown.splitlines()) > len(plain.splitlines())


def test_69_without_arguments_the_help_is_printed(run) -> None:
    for arguments in ([], ["config"], ["data"]):
        result = run(*arguments)
        assert result.status == 2
        assert "Usage:" in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        pytest.param(["sweep", "--set", "a=1", "--p", "2"], 2, "is not a setting", id="71-config"),
        pytest.param(["train", "--epoch", "3"], 2, "No such option", id="71-usage"),
        pytest.param(["data", "fetch", "mnist_5k"], 2, "No such option: --json", id="71-no-json"),
        pytest.param(["plot"], 4, "is not a folder", id="71-storage"),
        pytest.param(["train", "--out", "f"], 4, "f is a file", id="71-out"),
        pytest.param(["variants", "x"], 2, "is not a variant", id="71-variants"),
        pytest.param(["verify", "x"], 2, "is not a variant or a lesson", id="71-verify"),
    ],
)  # fmt: skip
def test_json_is_json_when_something_is_wrong(
    arguments: list[str], status: int, words: str, run, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("")
    result = run(*arguments, "--json")
    told = json.loads(result.out)
    assert (result.status, told["exit_status"]) == (status, status)
    assert words in told["error"]
    assert words in result.err
    if "--set" in arguments:
        assert [text.split(":")[0] for text in told["mistakes"]] == ["--set a=1", "--p 2"]


def as_process(
    arguments: str, folder: Path, redirect: str = "", **environment: str
) -> tuple[str, str, str]:
    """Run a command of its own in a shell; return its exit status and both outputs."""
    command = f"{{ {sys.executable} -m dropout_lab {arguments}; echo $? > status; }} {redirect}"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return (folder / "status").read_text().strip(), done.stdout, done.stderr


@pytest.mark.parametrize("redirect", [
    "| true", "2>&1 | true", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full",
    ">/dev/full 2>&1",
], ids="40-{}".format)  # fmt: skip
@pytest.mark.parametrize("arguments", [
    pytest.param("variants", marks=pytest.mark.slow), "--help", "config schema", "swep", "plot",
])  # fmt: skip
def test_an_output_that_goes_nowhere_gives_no_traceback(
    arguments: str, redirect: str, tmp_path: Path
) -> None:
    """A long output, a short one and two errors; ``variants`` is as long as ``config schema``."""
    status, out, err = as_process(arguments, tmp_path, redirect)
    for bad in ("Traceback", "Exception ignored", "Errno"):
        assert bad not in out + err
    own = {"swep": "2", "plot": "4"}.get(arguments, "0")
    # 1: the reader went away before all was written; 4: the output could not be written.
    assert status in {own, "1" if "true" in redirect else own, "4" if "full" in redirect else own}
    assert "&-" not in redirect or status == own


ELSEWHERE = {
    "an ASCII terminal": {"PYTHONIOENCODING": "ascii"},
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "no colours": {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1", "COLUMNS": "40"},
}


@pytest.mark.parametrize("where", ELSEWHERE, ids="70-{}".format)
@pytest.mark.parametrize("arguments", ["--help", "variants", "config show c.yaml", "swep"])
def test_where_there_is_no_utf_8_all_is_plain_ascii(
    arguments: str, where: str, tmp_path: Path
) -> None:
    text = "about: é ± 🙂\n"
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    status, out, err = as_process(arguments, tmp_path, **ELSEWHERE[where])
    assert status == ("2" if arguments == "swep" else "0")
    assert (out + err).isascii()
    if arguments.startswith("config"):  # and what is printed is still the same config
        assert yaml.safe_load(out)["about"] == yaml.safe_load(text)["about"]


@pytest.mark.parametrize(
    ("given", "width"),
    [("0", 80), ("-5", 80), ("abc", 80), ("", 80), ("²", 80), ("00", 80),
     ("1", 20), ("99999999", 1_000), ("9" * 5_000, 1_000), ("60", 60), (" 60 ", 60)],
    ids=lambda value: str(value)[:10],
)  # fmt: skip
def test_the_width_is_bounded_whatever_the_environment_says(
    given: str, width: int, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", given)
    result = run("variants", "gaussian")
    assert (result.status, result.err) == (0, "")
    assert "gaussian" in "".join(result.out.split())
    assert max(map(len, result.out.splitlines())) <= width
    assert os.environ.get("COLUMNS") == (str(width) if width != 80 else None)


@pytest.mark.parametrize("command", ["--help", "variants", "report study", "lesson"])
def test_every_command_prints_80_columns_where_the_width_is_0(
    command: str, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "results" / "reference" / "quickstart", "study")
    monkeypatch.setenv("COLUMNS", "0")
    result = run(*command.split())
    assert len(result.out.splitlines()) > 3
    assert 60 < max(map(len, result.out.partition("Files:")[0].splitlines())) <= 80


@pytest.mark.parametrize("width", ["0", "abc"])
def test_the_help_is_printed_whatever_width_typer_is_told(width: str, tmp_path: Path) -> None:
    status, out, err = as_process("--help", tmp_path, TERMINAL_WIDTH=width, LINES="²")
    assert (status, err) == ("0", "")
    assert "sweep" in out


@pytest.mark.slow
def test_65_and_70_a_sweep_without_home_display_or_utf_8(tmp_path: Path) -> None:
    """With a matplotlibrc that asks for LaTeX, and for a font that nobody has."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: no such font\n")
    environment = {
        "HOME": "/nonexistent",
        "MPLCONFIGDIR": "/proc/none",
        "MPLBACKEND": "none of these",
        "DISPLAY": "",
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "40",
    }
    sampled = "--set evaluation.inference=monte_carlo --set evaluation.samples=2"
    arguments = f"sweep --p 0,0.5 --seeds 2 {' '.join(SMALL)} {sampled}"
    status, out, err = as_process(arguments, tmp_path, **environment)
    assert status == "0"
    assert (out + err).isascii()
    assert "+/-" in out
    assert "Traceback" not in err
    assert "test accuracy %: " in out
    assert "inference: monte carlo" in out
    assert "..." not in out, "no number is cut in a narrow terminal"
    assert max(map(len, out.split("Files:")[0].splitlines())) <= 40
    assert (tmp_path / "results" / "defaults" / "plots" / "cells.svg").exists()


FULL = (
    "import tempfile\n"
    "def full(*args, **kwargs):\n    raise FileNotFoundError(2, 'No usable temporary directory')\n"
    "tempfile.mkdtemp = full\n"
)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("data list", 3, "there is no home directory. Name the folder"),
        ("data fetch mnist_5k", 0, "nothing to fetch"),
        (f"train -q --seeds 1 {' '.join(SMALL)}", 0, "1 run trained"),
        ("train --dry-run", 0, "Nothing was trained"),
        ("train --set dataset.name=mnist", 3, "--data-dir or DROPOUT_LAB_DATA"),
        ("train --data-dir ~/d --set dataset.name=kmnist", 3, "~/d cannot be found"),
        ("lesson overfitting --quick --data-dir ~/d", 3, "~/d cannot be found"),
    ],
)
def test_a_user_without_a_home_directory_gets_no_traceback(
    arguments: str, status: int, words: str, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "DROPOUT_LAB_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    result = run(*arguments.split())
    assert result.status == status
    assert words in result.out + result.err
    assert len(result.err.splitlines()) == (status != 0) + arguments.startswith("lesson")


def test_where_matplotlib_has_no_folder_to_write_its_reason_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results" / "reference" / "quickstart", tmp_path / "study")
    (tmp_path / "sitecustomize.py").write_text(FULL)
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "MPLCONFIGDIR": "/proc/none"}
    status, out, err = as_process("plot study", tmp_path, **environment)
    assert (status, out) == ("4", "")
    assert "MPLCONFIGDIR" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder that is in use")
@pytest.mark.parametrize("arguments", ["sweep", "data list", "doctor", "plot"])
def test_a_current_folder_that_is_gone_is_one_line(arguments: str, tmp_path: Path) -> None:
    gone = (
        f"sh -c 'mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m dropout_lab {arguments}'"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", gone],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("The current folder cannot be used: No such file or directory.")
    assert len(done.stderr.splitlines()) == 1


def test_72_a_traceback_shows_no_values(tmp_path: Path) -> None:
    code = (
        "import os, sys, dropout_lab.cli.config\n"
        "import dropout_lab.config.load as target\n"
        "def load(*args):\n"
        "    secret = os.environ['TOKEN'].upper()\n"
        "    raise RuntimeError('a mistake of ours')\n"
        "target.load = load\n"
        "sys.argv = ['dropout-lab', 'config', 'check', 'quickstart']\n"
        "from dropout_lab.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "TOKEN": "hunter2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: a mistake of ours" in done.stderr
    assert "HUNTER2" not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("module", ["typer", "yaml", "dropout_lab.config.schema", "pandas"])
def test_39_ctrl_c_anywhere_is_one_line(module: str, tmp_path: Path) -> None:
    """Pressed while a module is imported: before the command, for the config, for the pictures."""
    (tmp_path / "c.yaml").write_text("name: a\n")
    shutil.copytree(ROOT / "results" / "reference" / "quickstart", tmp_path / "results" / "a")
    command = "plot" if module == "pandas" else "config check c.yaml"
    code = (
        "import signal, sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        f"sys.argv = ['dropout-lab', *{command.split()!r}]\n"
        "from dropout_lab.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_68_nothing_is_called_significant(run) -> None:
    """Three seeds are too few for the word, whatever the numbers are."""
    result = run("sweep", "--p", "0,0.5", "--seeds", "3", *SMALL)
    assert "vs baseline" in result.out
    svgs = list(Path("results/defaults/plots").glob("*.svg"))
    assert svgs
    advice, _, err = result.err.partition("\n")
    assert advice.startswith("3 seeds: no comparison can be called significant. 1 comparison")
    texts = [result.out, err, *(svg.read_text(encoding="utf-8") for svg in svgs)]
    assert not any("signific" in text.lower() for text in texts)
