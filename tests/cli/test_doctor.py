"""doctor as a user meets it: its lines, its exit statuses, and what plot says of the same."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dropout_lab import results
from dropout_lab.results import METRICS, RUNS
from tests.analysis.test_tables import made_study
from tests.cli.conftest import SMALL
from tests.faults.operations import Operations
from tests.folder.test_study_folder import content

pytestmark = pytest.mark.usefixtures("one_plot")
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
SWEEP = ("sweep", "--quiet", *SMALL, "--p", "0,0.5", "--seeds", "1")


def damaged(path: Path) -> Path:
    """Cut a field off the first row of metrics.csv."""
    head, first, *rest = (path / METRICS).read_text().splitlines(keepends=True)
    row = first.rpartition(",")[0] + "\n"
    (path / METRICS).write_text("".join([head, row, *rest]))
    return path


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_published_studies_are_sound(run, monkeypatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = run("doctor", str(REFERENCE))
    assert (told.status, told.err) == (0, "")
    studies = len(list(REFERENCE.glob("*/manifest.json")))
    assert told.out.splitlines()[-1] == f"{studies} studies, nothing is damaged."


def test_damage_is_told_on_a_line_of_its_own_mended_once_and_then_none(run) -> None:
    assert run(*SWEEP).status == 0
    damaged(Path("results/defaults"))
    before = content(Path("results"))
    told = run("doctor")
    assert (told.status, told.err) == (1, "")
    first, second, last = told.out.splitlines()
    assert first.startswith("results/defaults/metrics.csv: line 2 (run ")
    assert ". With --fix: the intact rows are rewritten; the original is backed up." in first
    assert "metrics.csv lacks its epoch 1. With --fix: its rows are removed" in second
    assert last == "1 study, 2 damages. To repair: dropout-lab doctor --fix results"
    assert content(Path("results")) == before
    told = run("doctor", "--fix", "results/defaults")
    assert (told.status, told.err) == (0, "")
    assert told.out.count("Repaired: ") == 2
    assert (
        Path("results/defaults/metrics.csv.damaged").read_bytes() == before["defaults/metrics.csv"]
    )
    assert run("doctor").out == "1 study, nothing is damaged.\n"
    assert run("doctor", "--fix").out == "1 study, nothing is damaged.\n"
    told = run(*SWEEP)
    assert told.status == 0
    assert "1 run trained" in told.out
    assert run("doctor").out == "1 study, nothing is damaged.\n"


def test_json_is_pure_and_says_the_same(run, tmp_path: Path) -> None:
    damaged(made_study(tmp_path / "s", "dropout.p=0.5", accuracies=[0.9] * 4, epochs=3))
    told = run("doctor", str(tmp_path), "--json")
    data = json.loads(told.out)
    assert told.status == 1
    assert (data["studies"], data["problems"]) == (1, [])
    assert {"file", "words", "remedy", "damaged", "repaired"} == data["findings"][0].keys()


def test_a_study_without_its_manifest_is_found(run, tmp_path: Path) -> None:
    assert run(*SWEEP).status == 0
    Path("results/defaults/manifest.json").unlink()
    told = run("doctor")
    assert told.status == 1
    words = "manifest.json: is not there; the command that made the study rebuilds it."
    assert words in told.out
    assert run("doctor", "--fix").status == 0
    assert run(*SWEEP).status == 0
    assert run("doctor").status == 0


def test_what_cannot_be_read_has_status_4_and_hides_nothing(run, tmp_path: Path) -> None:
    shutil.copytree(REFERENCE / "quickstart", "a")
    shutil.copytree(REFERENCE / "quickstart", "b")
    manifest = Path("a", results.MANIFEST)
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 7'))
    (Path("b") / RUNS).write_text("")
    told = run("doctor", ".")
    assert told.status == 4
    assert "has format 7" in told.err
    assert "b/runs.csv: cannot be read: the file is empty" in told.out
    assert "nothing is damaged" not in told.out
    told = run("doctor", "--fix", ".")
    assert told.status == 4
    assert "Repaired: backed up and removed" in told.out
    assert '"format": 7' in manifest.read_text()


def test_a_folder_without_a_study_is_said_so(run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert run("doctor", "a").status == 4
    assert "holds no study" in run("doctor", "a").err
    assert "is not a folder" in run("doctor", "nowhere").err


def test_what_cannot_be_mended_has_status_4_with_fix(run, tmp_path: Path) -> None:
    shutil.copytree(REFERENCE / "quickstart", "s")
    Path("s", RUNS).unlink()
    Path("s", RUNS).mkdir()
    assert run("doctor", "s").status == 1
    told = run("doctor", "s", "--fix")
    assert told.status == 4
    assert "it cannot be repaired here" in told.out


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['dropout-lab', 'doctor', '--help']\n"
        "from dropout_lab.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_doctor_names_no_option_that_it_lacks(run, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(REFERENCE / "quickstart", "s")
    damaged(Path("s"))
    with Operations(Path("s").resolve(), 1, "gone", code=errno.EROFS):
        told = run("doctor", "--fix", "s")
    assert told.status == 4
    assert "cannot be written: " in told.err
    assert "--out" not in told.err
    assert "--out" not in run("doctor", "--fix", "s", "--json").out
    Path("s", RUNS).rename("elsewhere.csv")
    Path("s", RUNS).symlink_to(Path("elsewhere.csv").resolve())
    assert "--out" not in run("doctor", "s").out


@pytest.mark.parametrize("command", ["plot", "report"])
def test_a_lost_manifest_is_told_with_what_helps(run, command: str) -> None:
    """What the message advises is what then works."""
    train = ("train", "--quiet", *SMALL, "--seeds", "1", "--out", "my results/d 3")
    assert run(*train).status == 0
    Path("my results/d 3/manifest.json").unlink()
    told = run(command, "my results/d 3")
    assert told.status == 1
    assert told.err.startswith("my results/d 3 has the tables of a study, and its manifest.json is")
    assert "dropout-lab doctor 'my results/d 3' says what else is damaged." in told.err
    told = run("doctor", "my results/d 3")
    assert told.status == 1
    assert told.out.splitlines()[-1] == (
        "1 study, 1 damage. Run the command that made the study again: it repairs the rest."
    )
    told = run("doctor", "my results/d 3", "--fix")
    assert told.out.splitlines()[-1] == (
        "1 study: --fix has nothing to repair. Run the command that made the study again: it "
        "repairs the rest."
    )
    told = run(*train)
    assert (told.status, "0 runs trained" in told.out) == (0, True)
    assert run("doctor", "my results/d 3").out == "1 study, nothing is damaged.\n"


def test_what_cannot_be_mended_is_not_sent_to_fix(run) -> None:
    shutil.copytree(REFERENCE / "quickstart", "s")
    text = Path("s", METRICS).read_text().replace("\n", "%\n")
    Path("s", METRICS).write_text(text.replace("%", "", 1))
    told = run("doctor", "s")
    assert told.out.splitlines()[-1] == "1 study, 1 damage."
    assert "nothing was thrown away; save the table again with plain numbers" in told.out


# ------------------------------------------------------------------------------------------ plot


def test_plot_draws_into_another_folder(run, tmp_path: Path) -> None:
    made_study(tmp_path / "r" / "a", "dropout.p=0.5", accuracies=[0.9] * 4)
    before = content(tmp_path / "r")
    told = run("plot", "r/a", "--out", "b")
    assert (told.status, told.err, told.out) == (0, "", "r/a: 2 files in b/plots\n")
    assert run("plot", "r", "--out", "c").status == 0
    for folder in ("b", "c/a"):
        assert Path(folder, "plots", "curves.png").exists()
    assert content(tmp_path / "r") == before


def test_plot_names_a_damaged_run_and_draws_the_other_study(run, tmp_path: Path) -> None:
    made_study(tmp_path / "a", "dropout.p=0.5", accuracies=[0.9] * 4)
    damaged(made_study(tmp_path / "b", "dropout.p=0.5", accuracies=[0.9] * 4))
    told = run("plot", ".")
    assert told.status == 1
    assert "b is damaged.\nb/metrics.csv: line 2 (run " in told.err
    assert "To repair it: dropout-lab doctor b --fix" in told.err
    assert [line.split(":")[0] for line in told.out.splitlines()] == ["a"]
    assert Path("a/plots/curves.png").exists()
    assert not Path("b/plots").exists()


@pytest.mark.parametrize(
    "spoil",
    [lambda b: b"", lambda b: bytes(len(b)), lambda b: b.replace(b"run_id", b"run"),
     lambda b: b.split(b"\n", 1)[1], lambda b: b.replace(b"test_loss", b"loss")],
)  # fmt: skip
@pytest.mark.parametrize("name", [METRICS, RUNS])
def test_plot_names_the_file_that_is_not_ours_and_draws_the_other_study(
    run, tmp_path: Path, name: str, spoil
) -> None:
    made_study(tmp_path / "a", "dropout.p=0.5", accuracies=[0.9] * 4)
    path = made_study(tmp_path / "b", "dropout.p=0.5", accuracies=[0.9] * 4)
    (path / name).write_bytes(spoil((path / name).read_bytes()))
    told = run("plot", ".")
    assert told.status == 1
    assert told.err.startswith(f"b/{name} ")
    assert "dropout-lab doctor b" in told.err
    assert told.out.startswith("a: ")


def test_plot_reads_what_another_program_wrote_and_says_so(run, tmp_path: Path) -> None:
    path = made_study(tmp_path / "b", "dropout.p=0.5", accuracies=[0.9] * 4)
    for name in (METRICS, RUNS):
        head, rows = (path / name).read_text().replace(",", ";").split("\n", 1)
        (path / name).write_text("\n".join([head, rows.replace(".", ",")]))
    told = run("plot", "b")
    assert told.status == 0
    words = "was written by another program: its fields are separated by ';', its numbers have a"
    assert told.err.count(words) == 2


def test_plot_takes_the_later_of_two_rows_and_says_so(run, tmp_path: Path) -> None:
    path = made_study(tmp_path / "a", "dropout.p=0.5", accuracies=[0.9] * 4)
    head, *rows = (path / METRICS).read_text().splitlines()
    (path / METRICS).write_text("\n".join([head, *rows, rows[0], ""]))
    told = run("plot", "a")
    assert told.status == 0
    assert "is of epoch 1, there already in line 2; the later holds" in told.err


def test_plot_writes_no_pictures_through_a_file_or_a_link(run, tmp_path: Path) -> None:
    path = made_study(tmp_path / "a", "dropout.p=0.5", accuracies=[0.9] * 4)
    (path / "plots").write_text("mine")
    told = run("plot", "a")
    assert (told.status, (path / "plots").read_text()) == (4, "mine")
    assert "a/plots cannot be written: File exists" in told.err
    (path / "plots").unlink()
    (tmp_path / "outside").mkdir()
    (path / "plots").symlink_to(tmp_path / "outside")
    assert "a/plots is a symbolic link" in run("plot", "a").err
    assert not list((tmp_path / "outside").iterdir())


def test_json_is_one_document_where_the_pictures_cannot_be_saved(run) -> None:
    assert run(*SWEEP).status == 0
    picture = Path("results/defaults/plots/curves.png")
    picture.unlink()
    picture.mkdir()
    again = run(*SWEEP, "--json")
    assert again.status == 4
    assert json.loads(again.out)["plots"] == []
    assert "plots" in again.err
