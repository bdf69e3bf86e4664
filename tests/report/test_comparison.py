"""Several studies compared: pairs, differences, reproduced results, and what is said of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dropout_lab.analysis.comparison_plot import draw_comparison
from dropout_lab.analysis.study_comparison import number_ranges, welch_interval
from dropout_lab.config.grid import Run, section_data
from dropout_lab.errors import ConfigError, DamageError, StorageError
from dropout_lab.report.comparison import (
    Comparison,
    build_comparison,
    comparison_folder,
    study_names,
)
from dropout_lab.results import digest, read_manifest, read_rows
from tests.report.made import make_study

P = "0,0.3,0.6"


def first(run: Run) -> float:
    """Accuracies of the first study: by p and seed."""
    return round(0.90 - 0.01 * float(run.settings.dropout.p) + 0.001 * run.seed, 4)


def second(run: Run) -> float:
    """At p = 0.3 the second study is 1 to 6 thousandths better, by seed; at 0.6 all seeds equal."""
    gain = 0.001 * (run.seed + 1) if run.settings.dropout.p == 0.3 else 0.0
    return round(first(run) + gain, 4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The studies ``inverted`` and ``gaussian``, with six seeds and p = 0, 0.3 and 0.6."""
    root = tmp_path_factory.mktemp("studies")
    made = [
        make_study(root / name, f"dropout.variant={name}", p=P, seeds="6", accuracy=accuracy)
        for name, accuracy in (("inverted", first), ("gaussian", second))
    ]
    return made[0], made[1]


@pytest.fixture(scope="module")
def comparison(folders: tuple[Path, Path]) -> Comparison:
    return build_comparison(folders)


def table_of(comparison: Comparison) -> pd.DataFrame:
    return comparison.result.table.set_index(["study", "dropout.p"])


def findings(comparison: Comparison) -> str:
    return " ".join(comparison.conclusions)


def change(folder: Path, **changes: Any) -> None:
    """Change the last session of a manifest, or its ``data_digests``."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in changes.items():
        if key == "data_digests":
            manifest[key] = value
        else:
            manifest["sessions"][-1][key] = value
    path.write_text(json.dumps(manifest))


def test_cells_of_equal_keys_are_pairs_although_the_variants_differ(comparison: Comparison) -> None:
    """At p = 0.3 the differences are 1 to 6 thousandths: mean 0.0035, p-value 2 / 2^6."""
    table = table_of(comparison)
    cell = table.loc[("gaussian", 0.3)]
    assert cell["pairs"] == 6
    assert cell["difference_mean"] == pytest.approx(0.0035)
    assert cell["p_value"] == 2 / 2**6
    assert cell["p_holm"] == pytest.approx(3 * 2 / 2**6)  # three comparisons on the page
    assert comparison.result.planned == 3
    assert table.loc["inverted", "reference"].isna().all()
    assert not cell["same_settings"]
    assert pd.isna(cell["identical_runs"])
    assert comparison.result.joined.differences == {"dropout.variant": ("inverted", "gaussian")}


def test_the_first_finding_is_the_answer(comparison: Comparison) -> None:
    first_sentence = comparison.conclusions[0]
    assert first_sentence.startswith(
        "Compared with inverted in 2 settings, the mean test accuracy of gaussian is higher in 1 "
        "(by 0.35 pp) and equal in 1. Verdict: "
    )
    assert str(table_of(comparison).loc[("gaussian", 0.3)]["verdict"]) in first_sentence
    assert (
        "The studies differ in one key: dropout.variant is inverted in inverted and gaussian in "
        "gaussian." in findings(comparison)
    )
    assert "gaussian and inverted share 1 setting (no dropout), and 6 runs have identical" in (
        findings(comparison)
    )


def test_equal_studies_are_reproduced_to_the_last_number(tmp_path: Path) -> None:
    folders = [make_study(tmp_path / name, p=P, seeds="3") for name in ("a", "b")]
    result = build_comparison(folders)
    table = table_of(result).loc["b"]
    assert table["same_settings"].all()
    assert table["identical_runs"].tolist() == table["pairs"].tolist() == [3, 3, 3]
    assert result.conclusions[0] == (
        "b reproduces a exactly: 9 runs have identical numbers in every recorded epoch, in 3 "
        "settings (no dropout; p = 0.3; p = 0.6)."
    )
    assert "cannot show" not in findings(result)  # there is nothing to show


def test_a_number_that_differs_is_found_and_measured(tmp_path: Path) -> None:
    """One of the nine runs is 0.0012 better: by 0.12 pp, and its setting's mean by 0.04 pp."""

    def other(run: Run) -> float:
        return first(run) + 0.0012 * (run.settings.dropout.p == 0.6 and run.seed == 2)

    folders = [
        make_study(tmp_path / name, p=P, seeds="3", accuracy=accuracy)
        for name, accuracy in (("a", first), ("b", other))
    ]
    result = build_comparison(folders)
    assert table_of(result).loc["b", "identical_runs"].tolist() == [3, 3, 2]
    assert result.conclusions[0].startswith("b and a share 3 settings (no dropout; p = 0.3; p = ")
    assert result.conclusions[0].endswith(
        "8 of 9 runs have identical numbers: 3 of 27 recorded epochs differ. The test accuracy of "
        "a run differs by at most 0.12 pp, and the mean of a setting by 0.00 to 0.04 pp."
    )


def test_a_loss_that_differs_is_no_other_accuracy(tmp_path: Path) -> None:
    folders = [make_study(tmp_path / name, p="0,0.3", seeds="2") for name in ("a", "b")]
    rows = read_rows(folders[1] / "metrics.csv")
    row = ",".join(rows[0].values())
    changed = ",".join({**rows[0], "noisy_train_loss": "0.25"}.values())
    path = folders[1] / "metrics.csv"
    path.write_text(path.read_text().replace(row, changed, 1))
    result = build_comparison(folders)
    assert table_of(result).loc["b", "identical_runs"].tolist() == [1, 2]
    assert result.conclusions[0].endswith(
        "and 3 of 4 runs have identical numbers: 1 of 12 recorded epochs differs. The final test "
        "accuracies are equal in every run."
    )


def test_measuring_more_is_the_same_training(tmp_path: Path) -> None:
    one = make_study(tmp_path / "a", p="0,0.3", seeds="2")
    other = make_study(tmp_path / "b", "evaluation.train_examples=300", p="0,0.3", seeds="2")
    result = build_comparison([one, other])
    assert table_of(result).loc["b", "identical_runs"].tolist() == [2, 2]
    assert "evaluation.train_examples" in result.result.joined.differences


def test_only_seeds_in_both_studies_are_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_study(tmp_path / "b", "seeds=[4,5,6]", p=P, accuracy=second)
    result = build_comparison([folders[0], other])
    assert table_of(result).loc["b", "pairs"].tolist() == [2, 2, 2]
    assert (
        "The studies have different seeds: 0–5 in inverted, 4–6 in b; 2 seeds are in both."
        in findings(result)
    )


def test_without_common_seeds_the_interval_is_welchs(tmp_path: Path) -> None:
    """(0.90, 0.92) and (0.95, 0.97): 0.05 ± 4.3027 · sqrt(2 · 0.0002 / 2), 2 degrees of freedom."""
    accuracies = {0: 0.90, 1: 0.92, 2: 0.95, 3: 0.97}
    folders = [
        make_study(
            tmp_path / name, f"seeds={seeds}", p="0.3", accuracy=lambda run: accuracies[run.seed]
        )
        for name, seeds in (("a", "[0,1]"), ("b", "[2,3]"))
    ]
    result = build_comparison(folders)
    cell = table_of(result).loc[("b", 0.3)]
    assert cell["pairs"] == 0
    assert cell["unpaired_difference"] == pytest.approx(0.05)
    assert cell["unpaired_low"] == pytest.approx(0.05 - 0.060849, abs=1e-6)
    assert cell["unpaired_high"] == pytest.approx(0.05 + 0.060849, abs=1e-6)
    assert np.isnan(cell["p_value"])
    texts = [field.text for row in result.cells.rows for field in row.fields]
    assert "+5.00 [−1.08, 11.08] unpaired" in texts
    assert "no seed is in both" in findings(result)
    assert "2 differences are not paired" in findings(result)


def test_welchs_interval_of_equal_values_has_no_width() -> None:
    one, other = pd.Series([0.5, 0.5]), pd.Series([0.25, 0.25])
    assert welch_interval(one, other) == (0.25, 0.25)
    assert np.isnan(welch_interval(one, other[:1])).all()


@pytest.mark.parametrize(
    ("digests", "pairs", "words"),
    [
        (("a" * 64, "a" * 64), 2, ""),
        (("a" * 64, "b" * 64), 0, f"mnist_5k has the SHA-256 {'a' * 12}… in a and {'b' * 12}…"),
        (("a" * 64, None), 2, "b did not record the SHA-256 of the data; equal data are assumed."),
    ],
)
def test_runs_are_pairs_if_their_data_agree(
    tmp_path: Path, digests: tuple[str | None, ...], pairs: int, words: str
) -> None:
    folders = []
    for name, sha256 in zip(("a", "b"), digests, strict=True):
        folder = make_study(tmp_path / name, p="0,0.3", seeds="2")
        manifest = read_manifest(folder)
        assert manifest is not None
        run = next(iter(manifest.list_runs().values()))
        key = digest(section_data("dataset", run.settings.dataset))[:12]
        change(folder, data_digests={} if sha256 is None else {key: sha256})
        folders.append(folder)
    result = build_comparison(folders)
    assert table_of(result).loc["b", "pairs"].tolist() == [pairs, pairs]
    assert words in findings(result)
    assert ("SHA-256" in findings(result)) == bool(words)


def test_other_versions_and_devices_are_named(tmp_path: Path) -> None:
    folders = [make_study(tmp_path / name, p="0,0.3", seeds="2") for name in ("a", "b")]
    change(
        folders[1],
        packages={"torch": "2.7.0", "numpy": "2.0.0"},
        machine={"processor": "a CPU", "device": "cuda"},
    )
    told = findings(build_comparison(folders))
    assert "different versions: torch 2.6.0 in a, 2.7.0 in b." in told
    assert "different devices: cpu in a, cuda in b. Runs with the same seed share initial" in told


def test_studies_without_a_common_cell_are_compared_with_their_baselines(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    other = make_study(tmp_path / "wide", "model.hidden=[8],[24]", p="0,0.3", seeds="3")
    result = build_comparison([folders[0], other])
    assert result.conclusions[0].startswith("No setting of wide is in inverted, so each setting ")
    references = result.result.table["reference"].dropna().astype(int)
    assert result.result.table["is_baseline"].iloc[references].all()
    assert len(references) == 2 + 2


@pytest.mark.parametrize(
    ("against", "name"),
    [
        ({"study": "gaussian"}, ["gaussian, 0.0", "gaussian, 0.3", "gaussian, 0.6"]),
        ("baseline", ["inverted, 0.0", "gaussian, 0.0"]),
        ({"dropout.p": 0.6}, ["inverted, 0.6", "gaussian, 0.6"]),
        ({"study": "inverted", "dropout.p": 0.3}, ["inverted, 0.3"]),
    ],
)
def test_against_names_the_reference(
    folders: tuple[Path, Path], against: Any, name: list[str]
) -> None:
    table = build_comparison(folders, against).result.table
    references = table.loc[table["reference"].dropna().astype(int)]
    assert {f"{row['study']}, {row['dropout.p']}" for _, row in references.iterrows()} == {*name}


def test_a_margin_makes_small_differences_equivalent(folders: tuple[Path, Path]) -> None:
    """All six differences at p = 0.6 are 0: below any margin with a p-value of 2^-6."""
    result = build_comparison(folders, margin=0.02)
    cell = table_of(result).loc[("gaussian", 0.6)]
    assert cell["p_equivalence"] == 2**-6
    assert (cell["verdict"], cell["margin"]) == ("equivalent", 0.02)
    assert result.result.margin == 0.02
    assert "± 2 pp, the margin" in draw_comparison(result.result).get_supxlabel()
    assert build_comparison(folders).result.margin is None


def test_three_studies_are_one_family(folders: tuple[Path, Path], tmp_path: Path) -> None:
    third = make_study(tmp_path / "third", p=P, seeds="6", accuracy=first)
    result = build_comparison([*folders, third])
    assert result.result.planned == 6
    assert table_of(result).loc[("gaussian", 0.3), "p_holm"] == pytest.approx(6 * 2 / 2**6)
    heads = [column.name for column in result.table.columns]
    assert heads[:4] == ["cell", "inverted", "gaussian", "third"]
    assert "third: verdict" in heads


def test_the_short_table_has_the_studies_side_by_side(comparison: Comparison) -> None:
    heads = [column.name for column in comparison.table.columns]
    assert heads == ["cell", "inverted", "gaussian", "vs inverted, pp", "p-value, Holm", "verdict"]
    texts = [[field.text for field in row.fields] for row in comparison.table.rows]
    rows = {row[0]: row for row in texts}
    assert list(rows) == ["no dropout", "p = 0.3", "p = 0.6"]
    assert rows["p = 0.3"][3].startswith("+0.35 [")
    assert rows["p = 0.3"][2].endswith(" (6) *")  # validation chose it in gaussian


def test_a_numeric_key_is_an_axis_and_other_cells_are_rows(
    comparison: Comparison, tmp_path: Path
) -> None:
    left, right = draw_comparison(comparison.result).axes
    assert left.get_xlabel() == "p, the probability of dropping"
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0", "0.3", "0.6"]
    assert "difference from inverted" in right.get_ylabel()
    folders = [
        make_study(tmp_path / name, "dropout.variant=inverted,gaussian", p="0.3", seeds="2")
        for name in ("a", "b")
    ]
    left, right = draw_comparison(build_comparison(folders).result).axes
    labels = [tick.get_text() for tick in left.get_yticklabels()]
    assert labels == ["no dropout", "inverted, p = 0.3", "gaussian, p = 0.3"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b"]


def test_all_mistakes_come_at_once_with_what_to_type(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    newer = make_study(tmp_path / "newer", p="0,0.3", seeds="1")
    text = (newer / "manifest.json").read_text()
    (newer / "manifest.json").write_text(text.replace('"format": 1', '"format": 2', 1))
    with pytest.raises(StorageError) as caught:
        build_comparison([folders[0], tmp_path / "absent", newer, folders[0].parent])
    told = str(caught.value).splitlines()
    assert len(told) == 3
    assert "absent' is not a folder" in told[0]
    assert "has format 2; this dropout-lab reads up to 1" in told[1]
    assert f"dropout-lab compare {folders[0].parent}/gaussian" in told[2]


def test_studies_of_different_data_are_not_compared(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = ("dataset.name=two_moons", "dataset.train_size=null")
    other = make_study(tmp_path / "moons", *settings, p="0.3", epochs=1, accuracy=lambda run: 1.0)
    for name in ("metrics.csv", "runs.csv"):
        (other / name).write_text((other / name).read_text().replace(",1.001", ",1.0"))
    with pytest.raises(ConfigError) as caught:
        build_comparison([folders[0], other])
    (mistake,) = caught.value.mistakes
    assert "inverted is trained on mnist_5k and moons on two_moons: they share no data" in mistake
    assert "dropout-lab sweep CONFIG --set dataset.name=mnist_5k" in mistake


@pytest.mark.parametrize("count", [0, 1])
def test_one_study_is_too_few(folders: tuple[Path, Path], count: int) -> None:
    with pytest.raises(ConfigError, match="needs at least two studies: dropout-lab compare "):
        build_comparison(folders[:count])


def test_a_study_given_twice_is_a_mistake(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="A study is given twice"):
        build_comparison([folders[0], folders[0].parent / "." / "inverted"])


def test_a_damaged_study_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_study(tmp_path / "b", p=P, seeds="1")
    (other / "manifest.json").write_text("torn")
    with pytest.raises(DamageError, match="cannot be read as a manifest"):
        build_comparison([folders[0], other])


def test_names_and_folder_come_from_the_paths() -> None:
    paths = [Path("mine/quick"), Path("theirs/quick")]
    assert study_names(paths) == ["mine/quick", "theirs/quick"]
    assert study_names([Path("r/a"), Path("r/b")]) == ["a", "b"]
    assert comparison_folder(paths) == Path("mine/comparisons/quick_quick")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([0, 1, 2, 3], "0–3"), ([5, 1, 3, 4], "1, 3–5"), ([7], "7"), ([1, 2], "1, 2"), ([], "")],
)
def test_number_ranges(numbers: list[int], words: str) -> None:
    assert number_ranges(numbers) == words


def test_the_folder_of_a_study_is_not_written_to(
    comparison: Comparison, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(StorageError, match="is the folder of a study; give another folder"):
        comparison.write(folders[0])


def test_many_differing_keys_are_counted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Eight keys differ, all cells are better, and the sentence stays short."""
    settings = (
        *("model.hidden=[8]", "training.batch_size=32", "training.learning_rate=0.02"),
        *("training.momentum=0.5", "regularization.l2=0.001", "dataset.train_size=300"),
        *("model.init=glorot", "model.activation=tanh"),
    )
    other = make_study(
        tmp_path / "b", *settings, p=P, seeds="2", accuracy=lambda run: round(first(run) + 0.01, 4)
    )
    result = build_comparison([folders[0], other])
    assert "of b is higher in all (by 1.00 pp)." in result.conclusions[0]
    assert (
        "The studies differ in 8 keys, here with the values of inverted and b: dataset.train_size "
        "(500; 300), " in findings(result)
    )
    assert ", 2 more. Any of them may cause a difference." in findings(result)
