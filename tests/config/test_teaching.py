"""The configs of textbook exercises: right in every size, and one of them from end to end."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dropout_lab.analysis.published import label_of_value
from dropout_lab.config.grid import canonicalize, sweep_cells, with_values
from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.evaluation import inferences
from dropout_lab.config.sizes import is_evaluated, training_examples, training_length
from dropout_lab.data import load as load_data
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.documents import PAGES, ROOT

TEACHING = sorted((ROOT / "configs" / "teaching").glob("*.yaml"))
PAGE = PAGES / "teach" / "exercises.md"
IMDB = ROOT / "configs" / "teaching" / "chollet_imdb.yaml"


def write_imdb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the script in the config, with a stand-in for the data; return a copy of the config.

    There are 700 reviews to train and 700 to test. A review has 100 of the 5,500 words of its
    class, of which 1,000 are words of both classes.
    """

    def load_data(num_words: int) -> tuple[tuple[list[list[int]], np.ndarray], ...]:
        draws, labels = np.random.default_rng(0), np.arange(700) % 2
        return tuple(
            ([list(draws.integers(4500 * k, 4500 * k + 5500, 100)) for k in labels], labels)
            for _ in range(2)
        )

    comment = [line[2:] for line in IMDB.read_text().splitlines() if line.startswith("# ")]
    script = "\n".join(line.removeprefix("  ") for line in comment if line.startswith("  "))
    assert "dropout-lab init --from teaching/chollet_imdb\n" in script
    script = script[script.index("import numpy") :]
    imdb = SimpleNamespace(load_data=load_data)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keras.datasets", SimpleNamespace(imdb=imdb))
    monkeypatch.chdir(folder)
    exec(compile(script, IMDB.name, "exec"), {})
    copy = folder / IMDB.name
    copy.write_text(IMDB.read_text())
    return copy


@pytest.mark.parametrize("path", TEACHING, ids=lambda path: path.stem)
def test_every_exercise_is_right_in_every_size(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer: tuple[str, ...] = ()
    if path == IMDB:
        path, fewer = write_imdb(tmp_path, monkeypatch), ("dataset.validation_size=100",)
    for size in list_sizes(path):
        settings = fewer if size is None else (f"size={size}",)
        config = load(path, Changes(settings=settings, sweep=True))
        cells = sweep_cells(config)
        by_label = {cell.label: cell.settings for cell in cells}
        own = Settings(**{key: getattr(config, key) for key in Settings.model_fields})
        assert config.about
        assert config.published is not None
        assert config.published.departures
        for value in config.published.values:
            if isinstance(value.cell, str):
                settings_of_value = by_label[value.cell]
            else:
                settings_of_value = canonicalize(with_values(own, value.cell))
                assert settings_of_value in [cell.settings for cell in cells]
            assert value.inference in inferences(settings_of_value.evaluation)
            last, _ = training_length(settings_of_value, training_examples(settings_of_value))
            if value.epoch is not None and value.epoch <= last:
                assert is_evaluated(value.epoch, last, settings_of_value)


def test_the_table_has_every_published_number_of_every_exercise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import exercise_parts as parts  # type: ignore[import-not-found]

    assert "<!-- generated: exercises -->" in PAGE.read_text(encoding="utf-8")
    lines = parts.exercises_part().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert {len(row) for row in rows} == {len(parts.HEADS)} == {8}
    named = [row[1] for row in rows if row[1]]
    sizes = [(path, size) for path in TEACHING for size in list_sizes(path)]
    assert named == [f"`{p.stem}`" + (f", size `{size}`" if size else "") for p, size in sizes]
    published = [parts.read_published(*each)[1] for each in sizes]
    theirs = [row[3] for row in rows if row[3] != "no number"]
    assert theirs == [
        f"{value.value * (1 if each.unit == '%' else 100):.2f}"
        for each in published
        for value in each.values
    ]
    assert [row for row in rows if row[4] == "not measured"] != rows


def test_every_verdict_of_the_table_follows_from_its_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And each of our results is of a number, or of a setting, that a config has."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import exercise_parts as parts

    known: dict[str, dict[tuple[str, str, str], float]] = {}
    for path in TEACHING:
        for size in list_sizes(path):
            study, published = parts.read_published(path, size)
            known[study] = {
                (label_of_value(each), each.quantity, each.inference): each.value
                for each in published.values
            }
    results = parts.read_results()
    assert len(results) == len({(r.study, r.label, r.quantity, r.inference) for r in results})
    for result in results:
        values = known[result.study]
        assert result.low <= result.ours <= result.high
        assert result.n >= 2
        if not values:
            assert result.verdict == ""
            continue
        value = values[(result.label, result.quantity, result.inference)]
        inside = result.low <= value <= result.high
        better = "better" if result.ours > value else "worse"
        expected = "within our interval" if inside else better
        assert result.verdict == ("not comparable" if result.reasons else expected), result


def test_the_exercise_on_imdb_runs_on_what_its_script_writes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run,  # noqa: F811
) -> None:
    copy = write_imdb(tmp_path, monkeypatch)
    small = ("--set", "dataset.validation_size=100", "--epochs", "8", "--seeds", "2")
    config = load(copy, Changes(settings=("dataset.validation_size=100",)))
    splits = load_data(data_dir=tmp_path, say=print, **config.dataset.model_dump())
    assert (splits.shape, splits.classes, len(splits.test)) == ((10_000,), 2, 700)
    assert splits.pixels(splits.train.images).unique().tolist() == [0, 1]
    done = run("train", str(copy), *small)  # which draws no plots
    assert done.status == 0, done.err
    runs = pd.read_csv(tmp_path / "results" / "chollet_imdb" / "runs.csv")
    assert len(runs) == 2
    assert set(runs["status"]) == {"completed"}
    assert runs["test_accuracy"].min() > 0.7


@pytest.mark.usefixtures("one_plot")
def test_an_exercise_ends_with_ours_beside_the_published_numbers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run,  # noqa: F811
) -> None:
    """In the report, and in the table of the page."""
    config = ROOT / "configs" / "teaching" / "geron_ch11.yaml"
    small = [
        *("dataset.name=mnist_5k", "dataset.train_size=200", "dataset.validation_size=100"),
        *("model.hidden=[8,8]", "evaluation.samples=3", "seeds=2"),
    ]
    options = [word for setting in small for word in ("--set", setting)]
    done = run("sweep", str(config), *options, "--epochs", "1", "--name", "small")
    assert done.status == 0, done.err
    told = json.loads(run("report", "results/small", "--json").out)
    (report,) = told.values() if "published" not in told else (told,)
    rows = report["published"]["rows"]
    measured = {(row["quantity"], row["inference"], row["label"].startswith("max")) for row in rows}
    assert measured == {
        ("noisy_train_accuracy", "mean", False),
        ("train_accuracy", "mean", False),
        ("validation_accuracy", "mean", False),
        ("test_accuracy", "mean", False),
        ("test_accuracy", "monte_carlo", False),
        ("validation_accuracy", "mean", True),
    }
    for row in rows:
        assert row["n"] == 2
        assert 0 < row["ours"] < 100
        assert row["verdict"] == "not comparable"
        assert "data: mnist_5k instead of fashion_mnist" in row["reasons"]
    assert report["published"]["departures"]
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import exercise_parts as parts
    import exercise_results as script  # type: ignore[import-not-found]

    table = tmp_path / "exercises.csv"
    table.write_bytes(parts.RESULTS.read_bytes())
    for module in (parts, script):
        monkeypatch.setattr(module, "RESULTS", table)
    before = parts.read_results()
    monkeypatch.setattr(sys, "argv", ["exercise_results.py", "results/small"])
    script.main()
    after = parts.read_results()
    assert [each for each in after if each.study != "small"] == before
    ours = [each for each in after if each.study == "small"]
    assert [each.ours for each in ours] == [pytest.approx(row["ours"], abs=1e-4) for row in rows]
    assert {each.verdict for each in ours} == {"not comparable"}
    assert all(each.low <= each.ours <= each.high for each in ours)
    script.main()
    assert parts.read_results() == after
