"""A pipe or a socket in the place of a file: refused at once, not waited for."""

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from dropout_lab.cli import main
from dropout_lab.config.document import read_document
from dropout_lab.errors import ConfigError
from dropout_lab.files import open_file, read_file
from dropout_lab.plugins.source import read_text

PACKAGE = Path(__file__).parents[2] / "dropout_lab"
ASKED = [
    "train", "--set", "dataset.train_size=300", "--set", "dataset.validation_size=100", "--set",
    "model.hidden=[8]", "--set", "evaluation.at_end=[features,predictions,histograms,reliability]",
    "--seeds", "1", "--epochs", "1", "--save-models",
]  # fmt: skip
COMMANDS = {
    "manifest.json": ("doctor", "report", "train"), "metrics.csv": ("doctor", "report", "train"),
    "runs.csv": ("doctor",), "inference.csv": ("doctor",), "activations.csv": ("doctor",),
    "reliability.csv": ("doctor",), "report.html": ("doctor",), ".lock": ("doctor", "train"),
    ".writer": ("doctor", "train"), "plugins/own.py": ("doctor",),
    "runs/*/weights.pt": ("doctor", "train"), "runs/*/features.npz": ("doctor",),
    "runs/*/predictions.npz": ("doctor",), "runs/*/checkpoint_1.pt": ("doctor",),
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipes") / "s"
    assert status_of(*ASKED, "--out", str(folder)) == 0
    (folder / "report.html").write_text("a page")
    return folder


def status_of(*arguments: str) -> int:
    """Run a command in this process; return its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dropout-lab", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_waits_for_a_pipe_in_a_study(name: str, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(study, folder)
    (run,) = (folder / "runs").iterdir()
    path = folder / name.replace("*", run.name)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in COMMANDS[name]:
        asked = [*ASKED, "--out"] if command == "train" else [command]
        assert status_of(*asked, str(folder)) in (0, 1, 4)


@pytest.mark.timeout(60)
def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    pipe, plugin, unix = (tmp_path / name for name in ("pipe", "plugin.py", "socket"))
    os.mkfifo(pipe)
    os.mkfifo(plugin)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(unix))
        with pytest.raises(OSError, match="It is a socket, not a file"):
            read_file(unix)
    with pytest.raises(OSError, match="It is a device, not a file"):
        open_file(Path("/dev/zero"))
    with pytest.raises(OSError, match="It is a named pipe, not a file"):
        read_file(pipe)
    with pytest.raises(ConfigError, match="cannot be read: It is a named pipe, not a file"):
        read_document(pipe)
    with pytest.raises(ConfigError, match="cannot be read: It is a named pipe, not a file"):
        read_text(plugin)


OTHERWISE = re.compile(r"\.read_(?:bytes|text)\(|\bpath\.open\(|\.open\([\"']r|\)\.open\(")
OWN = {
    "files.py",  # the one place
    "report/page.py",  # a file of the package
    "study/machine.py", "folder/manifest.py",  # files of the system, in /proc and /sys
}  # fmt: skip


def test_every_file_is_read_through_one_place() -> None:
    texts = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert {name for name, text in texts.items() if OTHERWISE.search(text)} == OWN
