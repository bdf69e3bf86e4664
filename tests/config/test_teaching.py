"""The configs of textbook exercises: right in every size, and one of them from end to end."""

import json
from pathlib import Path

import pytest

from dropout_lab.config.grid import canonicalize, sweep_cells, with_values
from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.evaluation import inferences
from dropout_lab.config.sizes import is_evaluated, training_examples, training_length
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.documents import PAGES, ROOT

TEACHING = sorted((ROOT / "configs" / "teaching").glob("*.yaml"))
PAGE = PAGES / "teach" / "exercises.md"


@pytest.mark.parametrize("path", TEACHING, ids=lambda path: path.stem)
def test_every_exercise_is_right_in_every_size(path: Path) -> None:
    for size in list_sizes(path):
        settings = () if size is None else (f"size={size}",)
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


def test_every_exercise_has_its_command_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(TEACHING) >= 11
    for path in TEACHING:
        assert f"teaching/{path.name}" in page, path.name


@pytest.mark.usefixtures("one_plot")
def test_an_exercise_ends_with_ours_beside_the_published_numbers(run) -> None:  # noqa: F811
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
