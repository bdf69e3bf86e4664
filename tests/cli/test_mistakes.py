"""What people type, and the answer: what was given, what is allowed, what to type instead."""

from pathlib import Path

import pytest

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.cli import encoding
from tests.cli.conftest import SMALL

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"

TYPED = [
    ("train a.yaml", "a.yaml does not exist"),
    ("sweep --p 0 0.25 0.5", "commas, without spaces: --p 0,0.25,0.5\n"),
    ("sweep --p 0, 0.25, 0.5", "commas, without spaces: --p 0,0.25,0.5\n"),
    ("sweep --p [0, 0.5]", "commas, without spaces: --p 0,0.5\n"),
    ("sweep quickstart --p 0 0.5", "commas, without spaces: --p 0,0.5\n"),
    ("sweep --seeds 3 7", "commas, without spaces: --seeds 3,7\n"),
    ("sweep --lr 0.1 0.2", "commas, without spaces: --lr 0.1,0.2\n"),
    ("train --p 0 0.5", "To train with each of them: dropout-lab sweep --p 0,0.5\n"),
    ("train --p 0,0.5", "To train with each of them: dropout-lab sweep --p 0,0.5\n"),
    ("train --lr 0.1,0.2", "To train with each of them: dropout-lab sweep --lr 0.1,0.2\n"),
    ("train --p 0.2,0.5", "For one list of them: --set 'dropout.p=[0.2,0.5]'."),
    ("sweep --set training.epochs 5", "Write: --set training.epochs=5\n"),
    ("sweep --set training.epochs = 5", "Write: --set training.epochs=5\n"),
    ("sweep --set model.activation tanh", "Write: --set model.activation=tanh\n"),
    ("sweep --set dropout.p=0 0.5", "--set dropout.p=0,0.5\n"),
    ("sweep 0.25 --p 0", "--p 0,0.25,0.5"),
    ("sweep training.epochs=5", "dropout-lab sweep --set training.epochs=5\n"),
    ("sweep my.py", "dropout-lab sweep --plugin my.py\n"),
    ("sweep results/x", "dropout-lab sweep --out results/x."),
    ("sweep here", "here is a folder, not a config"),
    ("sweep quickstart mnist", "sweep takes one config."),
    ("sweep configs/quickstart.yaml", "Did you mean dropout-lab sweep quickstart?\n"),
    ("sweep quikstart", "Did you mean dropout-lab sweep quickstart?\n"),
    ("sweep here/mine.yml", "Did you mean dropout-lab sweep here/mine.yaml?\n"),
    ("config check quikstart", "Did you mean dropout-lab config check quickstart?\n"),
    ("config show configs/mnist.yaml", "Did you mean dropout-lab config show mnist?\n"),
    ("config check", "Write dropout-lab config check FILE\n"),
    ("here/mine.yaml", "To train a config: dropout-lab sweep here/mine.yaml\n"),
    ("sweep -c quickstart mnist", "Two configs are given: mnist and --config quickstart."),
    ("train --dropout 0.5", "No such option: --dropout. Write --p 0.5\n"),
    ("train --learning-rate=0.1", "No such option: --learning-rate. Write --lr 0.1\n"),
    ("train --batch-size 32", "Write --set training.batch_size=32\n"),
    ("train --optimizer Adam", "Write --set training.optimizer=adam\n"),
    ("train --hidden 100", "Write --set 'model.hidden=[100]'\n"),
    ("train --wd 0.1", "Write --set regularization.l2=0.1\n"),
    ("train --random-state 3", "Write --seed 3\n"),
    ("train --num-seeds 3", "Write --seeds 3\n"),
    ("train --output-dir x", "Write --out x\n"),
    ("train --keep-prob 0.8", "for keep_prob: 0.8 write p: 0.2"),
    ("train --gpu", "Write --device cuda\n"),
    ("train --variant gaussian", "Write --set dropout.variant=gaussian\n"),
    ("train --epochs", "requires an argument"),
    ("train --frobnicate", "No such option: --frobnicate"),
    ("train --epochs ten", "'ten' is not a whole number."),
    ("train --workers 0", "'0' is not a whole number of at least 1 and at most 1024."),
    ("train --device GPU", "write cuda; allowed: auto, cpu, cuda."),
    ("train --device CUDA", "did you mean 'cuda'?"),
    ("train --seed 1,2", "such as --seed 7; for several seeds write --seeds 5"),
    ("train --seed x", "give one seed"),
    ("train --seed 1 --seeds 3", "--seed 1 and --seeds 3: give one of them."),
    ("train --p 0.3 --set dropout.p=0.5", "--p 0.3 sets dropout.p too; give one of them."),
    ("sweep --lr 1 --set training.learning_rate=2", "--lr 1 sets training.learning_rate too"),
    ("train --name a --set name=b", "--name a sets name too; give one of them."),
    ("train --name a/b", 'name is "a/b"; allowed: up to 100 letters'),
    ("variants dropout", "did you mean 'inverted'?"),
    ("variants Gaussian", "did you mean 'gaussian'?"),
    ("variants targeted", "did you mean 'targeted_weight' or 'targeted_unit'?"),
    ("verify variationl_a", "did you mean 'variational_a'?"),
    ("lesson mask", "did you mean 'masks'?"),
    ("data fetch MNIST", "did you mean 'mnist'?"),
    ("data fetch imagenet", "known: mnist_5k, mnist, fashion_mnist, kmnist, qmnist, emnist"),
    ("data fetch imagenet", "For files of your own: dataset.name: arrays."),
    ("data fetch arrays", "For files of your own: dataset.name: arrays."),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "answer"), TYPED, ids=[typed for typed, _ in TYPED])
def test_a_mistake_is_answered_with_what_to_type(
    typed: str, answer: str, run, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.yaml").write_text("name: mine")
    done = run(*typed.split())
    assert done.status == 2
    assert answer in done.err
    assert not done.out
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_wrong_variant_gives_the_nearest_names_and_not_all(run) -> None:
    for arguments in (["variants", "gausian"], ["train", "--set", "dropout.variant=gausian"]):
        done = run(*arguments)
        assert "did you mean 'gaussian'?" in done.err
        assert "dropout-lab variants\n" in done.err
        assert sum(name in done.err for name in CATALOGUE) <= 2  # gaussian, and in a path


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (["quickstart.yaml"], ["--config", "quickstart.yaml"]),
        (["quickstart.yaml", "--config", "./quickstart.yaml"], ["-c", "quickstart.yaml"]),
        (["quickstart"], ["--config", "quickstart"]),
        (["quickstart.yaml", "--p", "0.3"], ["-c", "quickstart.yaml", "--set", "dropout.p=0.3"]),
        (["quickstart", "--lr", "0.3"], ["quickstart", "--set", "training.learning_rate=0.3"]),
        (["quickstart", "--seed", "7"], ["quickstart", "--set", "seeds=[7]"]),
        (["quickstart", "--name", "x"], ["quickstart", "--set", "name=x"]),
    ],
)
def test_what_is_short_means_what_is_long(
    given: list[str], same: list[str], run, tmp_path: Path
) -> None:
    (tmp_path / "quickstart.yaml").write_bytes(QUICKSTART.read_bytes())
    plans = [run("train", "--dry-run", "--json", *words) for words in (given, same)]
    assert [plan.status for plan in plans] == [0, 0]
    assert plans[0].out == plans[1].out


def test_a_sweep_takes_them_too(run, tmp_path: Path) -> None:
    plans = [
        run("sweep", "quickstart", "--dry-run", "--json", *words).out
        for words in (
            ["--lr", "0.1,0.2", "--seed", "3", "--name", "x"],
            ["--set", "training.learning_rate=0.1,0.2", "--set", "seeds=[3]", "--set", "name=x"],
        )
    ]
    assert plans[0] == plans[1]
    named = run("sweep", "papers/jmlr2014_fig4", "--name", "123", "--dry-run").out
    assert named.startswith("123: ")  # without the name of the size


def test_a_file_goes_before_a_shipped_config(run, tmp_path: Path) -> None:
    (tmp_path / "quickstart").write_text("name: my_own")
    assert run("train", "quickstart", "--dry-run").out.startswith("my_own: ")


def test_config_check_and_show_take_both_forms(run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dropout: {p: 0.3}\n")
    shown = run("config", "show", "c.yaml")
    assert shown.out == run("config", "show", "--config", "c.yaml").out
    assert run("config", "check", "c.yaml", "-c", "./c.yaml").out.count("OK") == 1
    assert run("config", "show", "c.yaml", "--changed-only").out == (
        "name: c\nabout: ''\ndropout:\n  p: 0.3\n"
    )
    assert "  # Probability of DROPPING a unit" in run("config", "show", "--comments").out


def test_a_p_of_1_is_warned_of(run) -> None:
    done = run("sweep", "--p", "1", "--dry-run")
    words = "warning: p is 1 at layer 1 and layer 2: all is dropped there, so the network learns n"
    assert words in done.err
    targeted = ["--set", "dropout.variant=targeted_unit", "--set", "dropout.share=0.5"]
    assert "learns nothing" not in run("sweep", "--p", "1", *targeted, "--dry-run").err
    assert "warning" not in run("sweep", "--p", "0.9", "--dry-run").err


@pytest.mark.parametrize("asked", ["plot", "report", "doctor"])
def test_nobody_is_told_to_write_results_among_other_files(asked: str, run, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "c.yaml").write_text("name: c")
    for given in ("configs", "absent"):
        done = run(asked, given)
        assert done.status == 4
        assert done.err.endswith("Train a study first: dropout-lab sweep quickstart\n")
        assert "--out" not in done.err
    assert "To train this config: dropout-lab sweep c.yaml\n" in run(asked, "c.yaml").err
    run("train", *SMALL, "--seeds", "1", "--quiet")
    assert f"Studies are in results: dropout-lab {asked} results\n" in run(asked, "configs").err
    inside = "results/defaults/runs"
    told = f"part of the study results/defaults: dropout-lab {asked} results/defaults\n"
    assert told in run(asked, inside).err


def test_a_taken_folder_is_answered_with_a_command_that_works(run, tmp_path: Path) -> None:
    small = [*SMALL, "--seeds", "1"]
    assert run("train", *small, "--quiet").status == 0
    refused = run("train", *small, "--quiet", "--lr", "0.1")
    assert refused.status == 4
    command = refused.err.splitlines()[-1]
    assert command.startswith("  dropout-lab train ")
    assert command.endswith("--lr 0.1 --name defaults_learning_rate_0.1")
    assert run("train", *small, "--lr", "0.1", "--name", "defaults_learning_rate_0.1").status == 0
    again = run("train", *small, "--lr", "0.1", "--set", "model.activation=tanh", "--dry-run",
                "--out", "results/defaults", "--json")  # fmt: skip
    assert again.status == 4
    assert again.err.splitlines()[-1].endswith("--json --name defaults_2")
    elsewhere = run("train", *small, "--out", "results")
    assert elsewhere.err.splitlines()[-1].endswith("--out results_2")
    assert (
        run("train", *small, "--lr", "0.1", "--epochs", "3", "--name", "defaults").err.count(
            "--name"
        )
        == 1
    )  # the old name is replaced


def test_training_ends_with_what_to_type_next(run) -> None:
    small = [*SMALL, "--seeds", "1"]
    trained = run("train", *small, "--out", "a b").out
    assert trained.endswith("Report: dropout-lab report 'a b'\nPlots: dropout-lab plot 'a b'\n")
    assert run("report", "a b").status == 0
    assert "dropout-lab" not in run("train", *small, "--out", "a b", "--quiet").out
    assert "dropout-lab report" not in run("train", *small, "--out", "a b", "--json").out


def test_the_variants_are_listed_in_a_line_each(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("variants").out.splitlines()
    assert max(map(len, lines)) <= 80
    for line, (name, kind) in zip(lines, CATALOGUE.items(), strict=False):
        assert line.split()[0] == name
        assert kind.summary in line
        assert 0 < len(kind.summary) <= 60
        assert not kind.paper or line.split()[-1] in kind.paper
    assert lines[len(CATALOGUE) + 1].endswith("dropout-lab variants NAME")
    assert "E[1 - z]" not in run("variants").out
    assert "cost" in run("variants", "concrete").out


def test_a_command_at_the_end_of_a_message_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    long = "dropout-lab sweep quickstart --p 0,0.25,0.5 --seeds 7 --name a"
    told = encoding.wrapped(
        f"The folder holds something else. To train this study elsewhere: {long}"
    )
    assert told.splitlines()[-1] == f"  {long}"
    assert all(len(line) <= 40 for line in told.splitlines()[:-1])
    assert encoding.wrapped(f"  {long}") == f"  {long}"
    sentence = f"Run {long}. Then look at what it says, and go on from there."
    assert all(len(line) <= 40 for line in encoding.wrapped(sentence).splitlines())
