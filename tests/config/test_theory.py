"""The configs that test theory: right in every size, with departures, and with a finding."""

from pathlib import Path

import pytest

from dropout_lab.config.grid import sweep_cells
from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from tests.documents import PAGES, ROOT

THEORY = sorted((ROOT / "configs" / "theory").glob("*.yaml"))
FINDINGS = (PAGES / "results" / "findings.md").read_text(encoding="utf-8")
HOW_TO = (PAGES / "how-to" / "papers.md").read_text(encoding="utf-8")


def test_there_are_configs() -> None:
    assert [path.stem for path in THEORY] == ["condensation", "double_descent", "label_noise"]


@pytest.mark.parametrize("path", THEORY, ids=lambda path: path.stem)
def test_every_config_of_theory_is_right_and_has_a_finding(path: Path) -> None:
    for size in list_sizes(path):
        settings = () if size is None else (f"size={size}",)
        config = load(path, Changes(settings=settings, sweep=True))
        cells = sweep_cells(config)
        assert any(cell.settings.dropout.p == 0 for cell in cells)
        assert any(cell.settings.dropout.p > 0 for cell in cells)
        assert all(cell.settings.training.precision == "float32" for cell in cells)
        assert config.about
        assert config.published is not None
        assert config.published.departures
        assert f"results/reference/{config.name}/plots/" in FINDINGS
        assert (ROOT / "results" / "reference" / config.name / "manifest.json").exists()
    assert f"configs/theory/{path.name}" in FINDINGS
    assert f"configs/theory/{path.name}" in HOW_TO
