"""The page as text: whole, escaped, the same again, and what it says of the study."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from dropout_lab import results
from dropout_lab.analysis.published import PublishedComparison, PublishedTable
from dropout_lab.analysis.tables import read_study
from dropout_lab.config.grid import Run, labelled_keys, runs_of, seeds_of, sweep_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.folder.manifest import (
    add_runs,
    join_study,
    label_runs,
    new_manifest,
    record_config,
)
from dropout_lab.report import inline_figures
from dropout_lab.report import page as page_module
from dropout_lab.report.page import UNVERIFIED
from dropout_lab.report.provenance import config_text
from dropout_lab.report.report import Report, build_report
from dropout_lab.results import Session
from tests.report.made import make_study
from tests.report.test_table import HOSTILE


class Page(HTMLParser):
    """A page as its tags and the text of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def ends(run: Run) -> tuple[str, str]:
    """One run diverges, one fails with a message that an attacker may have written."""
    if run.settings.dropout.p == 0.6 and run.seed < 2:
        return [("diverged", "the loss is not finite in epoch 2"), ("failed", HOSTILE)][run.seed]
    return "completed", ""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report") / "s"
    return build_report(
        make_study(folder, p="0,0.3,0.6", seeds="3", ends=ends), command="dropout-lab r"
    )


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    report.write()
    return (report.study.path / results.REPORT).read_text()


def test_the_page_has_everything_that_was_promised(report: Report, text: str) -> None:
    page = Page(text)
    for sentence in report.conclusions:
        assert sentence in page.text
    for line in report.cells.rows:
        assert all(field.text in page.text for field in line.fields)
    assert page.text.count("best with dropout, by validation") == 1
    assert "the loss is not finite in epoch 2" in page.text
    assert "dropout-lab sweep --config study.yaml\ndropout-lab r" in page.text
    assert "0123abc" in page.text
    manifest = json.loads((report.study.path / "manifest.json").read_text())
    runs = hashlib.sha256((report.study.path / "runs.csv").read_bytes()).hexdigest()
    for digest in (manifest["settings_digest"], "d" * 64, runs):
        assert digest in page.text


def test_what_stands_in_a_name_or_a_message_makes_no_tag(report: Report, text: str) -> None:
    """Every text of the study is made hostile; the page has the tags that it has without."""
    study = report.study
    session = Session(command=HOSTILE, packages={HOSTILE: HOSTILE}, machine={HOSTILE: 3})
    changes = {"name": HOSTILE, "about": HOSTILE, "data_digests": {HOSTILE: HOSTILE}}
    manifest = study.manifest.model_copy(update={**changes, "sessions": [session]})
    lines = tuple(
        replace(line, fields=(replace(line.fields[0], text=HOSTILE), *line.fields[1:]))
        for line in report.cells.rows
    )
    hostile = replace(
        report,
        study=replace(study, manifest=manifest, damage=(HOSTILE,)),
        cells=replace(report.cells, rows=lines, title=HOSTILE, note=HOSTILE),
        conclusions=(HOSTILE,),
        published=PublishedTable(HOSTILE, (HOSTILE,), (_compare(HOSTILE),)),
        command=HOSTILE,
    )
    hostile.write()
    page = Page((study.path / results.REPORT).read_text())
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not page.named("b")
    assert page.text.count(HOSTILE) > 12


def test_the_same_study_gives_the_same_bytes(report: Report, text: str) -> None:
    again = build_report(report.study.path, command="dropout-lab r")
    again.write()
    assert (report.study.path / results.REPORT).read_text() == text


def test_nothing_is_asked_of_any_network(text: str) -> None:
    page = Page(text)
    for _, attributes in page.tags:
        for key in ("src", "href", "action", "srcset", "poster", "data"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert not re.search(r"@import|url\((?!#)", text)
    (policy,) = (m for m in page.named("meta") if "http-equiv" in m)
    assert policy["content"].startswith("default-src 'none'; img-src data:; ")


def test_every_id_is_there_once_and_every_reference_leads_to_one(text: str) -> None:
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", text))
    for _, attributes in page.tags:
        wanted |= {attributes["href"][1:]} if attributes.get("href", "").startswith("#") else set()
        for key in ("aria-labelledby", "aria-describedby"):
            wanted |= set(attributes.get(key, "").split())
    assert wanted <= set(ids)


def test_every_picture_has_its_words(report: Report, text: str) -> None:
    page = Page(text)
    pictures_ = page.named("svg")
    assert len(pictures_) == len(page.named("figure")) > 3
    assert {svg["role"] for svg in pictures_} == {"img"}
    titles = re.findall(
        r'<title id="picture-(\w+)-title">([^<]+)</title><desc[^>]*>([^<]+)</desc>', text
    )
    names = [name for name, _, _ in titles]
    assert {"curves", "gap", "by_p", "cells"} <= set(names)
    (words,) = (words for name, _, words in titles if name == "by_p")
    assert "across: p, the probability of dropping, up: test accuracy (%)" in words
    assert "95% t interval of the mean over seeds" in words


def test_a_picture_beyond_the_size_of_a_page_is_named(
    report: Report, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline_figures, "_MAX_CHARACTERS", 40_000)
    report.write()
    page = Page((report.study.path / results.REPORT).read_text())
    assert len(page.named("svg")) < len(page.named("figure"))
    assert "writes it to plots/curves.svg" in page.text


def test_the_config_in_the_page_asks_for_the_same_runs(report: Report, tmp_path: Path) -> None:
    for name, settings in {
        "grid": ("dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5"),
        "seeds": ("seeds=[3,7]", "dropout.p=0.25,0.5"),
        "hidden": ("model.hidden=[16],[16,12]", "dropout.p=0.5"),
    }.items():
        folder = make_study(tmp_path / name, *settings)
        study = build_report(folder).study
        (tmp_path / f"{name}.yaml").write_text(config_text(study))
        config = load(tmp_path / f"{name}.yaml")
        asked = {run.run_id for run in runs_of(sweep_cells(config), seeds_of(config))}
        assert asked == set(study.manifest.runs)


@pytest.mark.parametrize("paper", ["hinton2012", "jmlr2014_table9", "jmlr2014_fig9b"])
def test_the_config_in_the_page_names_the_same_cells(tmp_path: Path, paper: str) -> None:
    """Listed cells are told with their labels, each once, and beside them the grid they meet."""
    own = load(Path(f"configs/papers/{paper}.yaml"), Changes(sweep=True))
    cells = sweep_cells(own)
    manifest = new_manifest(own)
    record_config(manifest, own)
    join_study(manifest, own, cells, tmp_path)
    runs = runs_of(cells, seeds_of(own))
    add_runs(manifest, [tuple(runs)])
    label_runs(manifest, runs)
    study = read_study(make_study(tmp_path / "s"))
    told = config_text(replace(study, manifest=manifest, swept=tuple(manifest.swept)))
    (tmp_path / "c.yaml").write_text(told)
    config = load(tmp_path / "c.yaml", Changes(sweep=True))
    assert sweep_cells(config) == cells
    assert set(labelled_keys(config)) == set(labelled_keys(own))


def test_cells_that_are_no_grid_come_one_by_one(report: Report, tmp_path: Path) -> None:
    """A study whose seed 1 and p = 0.6 were added later, each alone, is still told whole."""
    folder = make_study(tmp_path / "s", "dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5")
    study = build_report(folder).study
    runs = study.manifest.runs
    some = {
        run_id: entry
        for run_id, entry in runs.items()
        if entry.settings.get("dropout", {}) != {"variant": "gaussian"}
    }
    assert len(some) < len(runs)
    manifest = study.manifest.model_copy(update={"runs": some})
    data = yaml.safe_load(config_text(replace(study, manifest=manifest)))
    assert "grid" not in data["sweep"]
    assert len(data["sweep"]["cells"]) == 4
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(data))
    config = load(tmp_path / "c.yaml")
    assert {run.run_id for run in runs_of(sweep_cells(config), seeds_of(config))} == set(some)


def _compare(label: str, **changes: object) -> PublishedComparison:
    values: dict[str, object] = {
        "label": label, "quantity": "test_error", "inference": "mean", "published": 1.05,
        "published_sd": None, "seen": True, "ours": 1.2, "low": 1.1, "high": 1.3, "n": 6,
        "difference": 0.15, "verdict": "worse", "reasons": (),
    }  # fmt: skip
    return PublishedComparison(**(values | changes))


def test_published_values_are_told_as_they_are(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "inline_figures", lambda *_: [])
    nan = float("nan")
    rows = (
        _compare("dropout"),
        _compare("sigmoid", seen=False, inference="monte_carlo", published_sd=0.02),
        _compare("wide", ours=nan, low=nan, high=nan, n=0, difference=nan, verdict="not trained"),
        _compare("long", verdict="not comparable", reasons=("5 of 60 epochs", "other data")),
    )
    published = PublishedTable("Srivastava et al. (2014), table 9", ("no decay",), rows)
    replace(report, published=published).write()
    text = Page((report.study.path / results.REPORT).read_text()).text
    plain = " ".join(text.split())
    assert "Srivastava et al. (2014), table 9" in plain
    assert "no decay" in plain
    assert "1.05 1.2 [1.1, 1.3] (6) +0.15 worse" in plain
    assert f"test error (monte carlo) 1.05 ± 0.02{UNVERIFIED}" in plain
    assert "– (0) – not trained" in plain
    assert "not comparable: 5 of 60 epochs; other data" in plain


def test_a_failed_write_leaves_the_old_report(report: Report, text: str, tmp_path: Path) -> None:
    """The tables' folder is a link: nothing is written at all."""
    folder = make_study(tmp_path / "s", p="0,0.3", seeds="2")
    (tmp_path / "elsewhere").mkdir()
    (folder / "tables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="is a symbolic link"):
        build_report(folder).write()
    assert not (folder / results.REPORT).exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
