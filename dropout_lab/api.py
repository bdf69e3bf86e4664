"""Train, load, compare and plot studies from Python.

import dropout_lab as dl

study = dl.sweep("configs/quickstart.yaml", p=[0, 0.25, 0.5], epochs=5)
study.cells
study.plot("gap")
"""

import html
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dropout_lab.analysis.comparison_plot import comparison_style, draw_comparison
from dropout_lab.analysis.conclusions import short_conclusions
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.plots import draw_plots
from dropout_lab.analysis.tables import (
    STUDY,
    StudyTables,
    read_study,
    summarize_cells,
)
from dropout_lab.config.document import Document, read_document
from dropout_lab.config.grid import Cell
from dropout_lab.config.load import check_with_cells, name_from_path
from dropout_lab.config.messages import unknown_dotted
from dropout_lab.config.overrides import choose_size
from dropout_lab.config.schema import KEYS, Config
from dropout_lab.datasets import data_folder
from dropout_lab.errors import ConfigError
from dropout_lab.plugins import load_plugins
from dropout_lab.report.comparison import Comparison as ComparisonReport
from dropout_lab.report.comparison import build_comparison, comparison_folder
from dropout_lab.report.report import Report, build_report
from dropout_lab.study import Study as StudyRequest
from dropout_lab.study import run_study
from dropout_lab.study.fleet_runner import QuietEvents

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_TOP_LEVEL = ("name", "about", "seeds", "size")

ConfigSource = str | Path | Mapping[str, Any] | None


class Study:
    """A trained study: its tables, comparisons, plots and report.

    Args:
        path: The results folder.

    Raises:
        StorageError: The folder has no study, or the study is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.tables: StudyTables = read_study(self.path)

    @property
    def metrics(self) -> "pd.DataFrame":
        """The rows of metrics.csv: one for each run and evaluated epoch."""
        return self.tables.metrics

    @property
    def runs(self) -> "pd.DataFrame":
        """The rows of runs.csv: one for each run."""
        return self.tables.runs

    @property
    def inference(self) -> "pd.DataFrame":
        """The rows of inference.csv: one for each run and way to use the trained network."""
        return self.tables.inference

    @cached_property
    def cells(self) -> "pd.DataFrame":
        """A row for each setting (cell): mean and SD over seeds after the last epoch."""
        return summarize_cells(self.tables)

    @cached_property
    def _report(self) -> Report:
        return build_report(self.path)

    @property
    def headline(self) -> str:
        """The answer of the study as one sentence."""
        return short_conclusions(self.tables)[0]

    @property
    def conclusions(self) -> tuple[str, ...]:
        """The conclusions of the report, as sentences. The first is the headline."""
        return self._report.conclusions

    def compare(self, *, margin: float | None = None, **against: Any) -> "pd.DataFrame":
        """Compare each setting with a reference by pairs of runs with the same seed.

        The reference is the baseline (no dropout). With keyword arguments it is the setting with
        these values: ``study.compare(p=0.5)``. The p-values are corrected over all comparisons of
        the study (Holm). :mod:`~dropout_lab.analysis.paired` lists the columns.

        Args:
            margin: The largest difference that does not matter, in percentage points; by default
                the ``report.margin`` of the config. Without one, nothing is called equivalent.
            against: Values of the reference.

        Raises:
            ConfigError: No setting has these values, or the margin is not above 0 and at most 100.
        """
        values = {_full_key(key): value for key, value in against.items()}
        return compare_cells(self.tables, values or None, margin=_share(margin))

    @cached_property
    def plots(self) -> dict[str, "Figure"]:
        """The plots by name, such as ``curves``, ``gap``, ``by_p`` and ``cells``."""
        from matplotlib import pyplot

        figures = dict(draw_plots(self.tables))
        for figure in figures.values():
            pyplot.close(figure)  # else a notebook shows each of them twice
        return figures

    def plot(self, name: str) -> "Figure":
        """Return a plot as a matplotlib figure.

        Raises:
            ValueError: The study has no plot of this name; the message lists those it has.
        """
        if name not in self.plots:
            raise ValueError(f"no plot {name!r}; this study has {', '.join(self.plots)}")
        return self.plots[name]

    def report(self, folder: str | Path | None = None) -> Path:
        """Write report.html and the tables; return the path of report.html.

        Args:
            folder: Where to write; by default, the study's folder.

        Raises:
            StorageError: A file cannot be written.
        """
        return self._report.write(None if folder is None else Path(folder))[0]

    def __repr__(self) -> str:
        done = int((self.runs["status"] == "completed").sum())
        return f"Study({str(self.path)!r}: {len(self.cells)} settings, {done} completed runs)"

    def _repr_html_(self) -> str:
        """Return the table of settings for a notebook."""
        return f"<p>{html.escape(repr(self))}</p>{self.cells.to_html(index=False, border=0)}"


class Comparison:
    """Several studies, compared in pairs of runs with the same seed.

    Args:
        report: The compared studies.
        folder: Where :meth:`report` writes by default.
    """

    def __init__(self, report: ComparisonReport, folder: Path) -> None:
        self._report = report
        self._folder = folder

    @property
    def cells(self) -> "pd.DataFrame":
        """A row for each setting of each study, with its difference from the reference.

        :class:`~dropout_lab.analysis.study_comparison.StudyComparison` lists the columns.
        """
        return self._report.result.table

    @property
    def conclusions(self) -> tuple[str, ...]:
        """The findings, as sentences."""
        return self._report.conclusions

    def plot(self) -> "Figure":
        """Return the test accuracies and the differences as a matplotlib figure."""
        with comparison_style(self._report.result):
            return draw_comparison(self._report.result)

    def report(self, folder: str | Path | None = None) -> Path:
        """Write comparison.html and its tables; return the path of comparison.html.

        Args:
            folder: Where to write; by default, ``comparisons/A_B`` next to the first study A.

        Raises:
            StorageError: A file cannot be written.
        """
        return self._report.write(self._folder if folder is None else Path(folder))[0]

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self._report.result.joined.names)}: {len(self.cells)} cells)"

    def _repr_html_(self) -> str:
        """Return the table of cells for a notebook."""
        return f"<p>{html.escape(repr(self))}</p>{self.cells.to_html(index=False, border=0)}"


def sweep(
    config: ConfigSource = None,
    *,
    p: Sequence[float] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    plugins: Sequence[str | Path] = (),
    **overrides: Any,
) -> Study:
    """Train every setting of a config's sweep for each seed; return the study.

    The same call resumes an interrupted study and never retrains a completed run.

    Args:
        config: The path of a YAML file, a dict with the same keys, or None for the defaults.
        p: The dropout rates to sweep; with or without a baseline as ``sweep.baseline`` says.
        grid: Further keys to sweep, such as ``{"dropout.variant": ["inverted", "gaussian"]}``.
        out: The results folder; by default ``results/<name>``.
        data_dir: Where the data sets are; by default the user's cache.
        device: ``cpu`` or ``cuda``.
        plugins: Files with variants of your own.
        overrides: Values of single keys: ``epochs=5``, ``seeds=7``, ``name="mine"``, or with
            their section ``**{"training.epochs": 5}``.

    Raises:
        ConfigError: All mistakes in the config and the arguments.
        StorageError: The folder belongs to another study or cannot be written.
        DataError: A data set is absent or damaged.
    """
    load_plugins(map(Path, plugins))
    axes = {**({"p": p} if p is not None else {}), **(grid or {})}
    checked = _config(config, overrides, {_full_key(key): axes[key] for key in axes}, sweep=True)
    return _run("sweep", checked, out, data_dir, device)


def train(
    config: ConfigSource = None,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    plugins: Sequence[str | Path] = (),
    **overrides: Any,
) -> Study:
    """Train a config's own setting for each seed, without its sweep; return the study.

    The arguments and errors are those of :func:`sweep`; ``p=0.3`` sets the dropout rate.
    """
    load_plugins(map(Path, plugins))
    checked = _config(config, overrides, {}, sweep=False)
    return _run("train", checked, out, data_dir, device)


def load(path: str | Path) -> Study:
    """Load a study from its results folder.

    Raises:
        StorageError: The folder has no study, or the study is damaged.
    """
    return Study(path)


def compare(
    *studies: str | Path | Study,
    against: Mapping[str, Any] | str | None = None,
    margin: float | None = None,
) -> Comparison:
    """Compare the settings of several studies in pairs of runs with the same seed.

    The reference of a setting is the same setting of the first study. The p-values are corrected
    over all comparisons (Holm).

    Args:
        studies: The studies, or their results folders.
        against: Another reference: keys and values such as ``{"p": 0.5}`` within each study,
            ``{"study": "mine"}``, or ``"baseline"`` for the baseline of each study.
        margin: The largest difference that does not matter, in percentage points; by default the
            ``report.margin`` of the first study.

    Raises:
        ConfigError: The studies share no data set, or no setting has the values of ``against``.
        StorageError: A folder has no study, or a study is damaged.
    """
    if isinstance(against, Mapping):
        against = {key if key == STUDY else _full_key(key): value for key, value in against.items()}
    paths = [study.path if isinstance(study, Study) else Path(study) for study in studies]
    command = "dropout_lab.compare(...)  # Python"
    return Comparison(
        build_comparison(paths, against, command=command, margin=_share(margin)),
        comparison_folder(paths),
    )


def _share(margin: float | None) -> float | None:
    """Return a margin in percentage points as a fraction.

    Raises:
        ConfigError: It is not above 0 and at most 100.
    """
    if margin is not None and not 0 < margin <= 100:
        raise ConfigError([f"margin is {margin}; allowed: a number above 0 and at most 100."])
    return None if margin is None else margin / 100


def _config(
    source: ConfigSource,
    overrides: Mapping[str, Any],
    axes: Mapping[str, Sequence[Any]],
    *,
    sweep: bool,
) -> tuple[Config, list[Cell]]:
    if source is None:
        document = Document("the defaults")
    elif isinstance(source, Mapping):
        document = Document("the config", _plain(source))
    else:
        document = read_document(Path(source))
        document.data.setdefault("name", name_from_path(Path(source)))
    if "size" in overrides:
        document.set(("size",), overrides["size"], "size=")
    choose_size(document)
    grid = document.data.get("sweep", {}).get("grid") or {}
    for name, value in overrides.items():
        key = _full_key(name)
        if key != "size":
            document.set(tuple(key.split(".")), _plain(value), f"{name}=")
            grid.pop(key, None)  # the argument fixes what the config sweeps
    for key, values in axes.items():
        document.set(("sweep", "grid", key), _plain(values), f"grid {key}")
    return check_with_cells(document, sweep=sweep)


def _full_key(name: str) -> str:
    """Return the dotted key that a short name means: ``epochs`` is ``training.epochs``.

    Raises:
        ConfigError: No key has the name. The message suggests a similar key.
    """
    if name in (*KEYS, *_TOP_LEVEL):
        return name
    keys = [key for key in KEYS if key.rpartition(".")[2] == name]
    if len(keys) == 1:
        return keys[0]
    raise ConfigError([unknown_dotted(name, extra=_TOP_LEVEL)])


def _plain(value: Any) -> Any:
    """Return a value as YAML would give it: tuples and numpy arrays as lists, paths as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _run(
    function: str,
    checked: tuple[Config, list[Cell]],
    out: str | Path | None,
    data_dir: str | Path | None,
    device: str,
) -> Study:
    config, cells = checked
    request = StudyRequest(
        config=config,
        cells=cells,
        out=Path(out) if out is not None else Path("results") / config.name,
        data_dir=data_folder(None if data_dir is None else Path(data_dir)),
        device=torch.device(device),
        command=f"dropout_lab.{function}(...)  # Python",
    )
    events = QuietEvents()
    with redirect_stdout(sys.stderr):  # what a plugin prints is no result
        run_study(request, events, events.show)
    return Study(request.out)
