"""Describe a comparison of studies in sentences; the first sentences say the answer."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics, style
from dropout_lab.analysis.joined_studies import data_digest
from dropout_lab.analysis.paired import seeds_option
from dropout_lab.analysis.study_comparison import StudyComparison, facts_of, number_ranges
from dropout_lab.analysis.tables import STUDY, StudyTables, describe_epoch, describe_missing_runs
from dropout_lab.results import counted

_VERSIONS = ("dropout-lab", "torch", "numpy", "processor")
_MAX_DIFFERENCES = 6  # keys in a sentence


def comparison_sentences(comparison: StudyComparison) -> list[str]:
    """Return the findings of a comparison of studies, as sentences."""
    first, *others = comparison.joined.names
    if comparison.fallback:
        answers = [
            f"No setting of {phrases.listed(others)} is in {first}, so each setting is compared "
            "with the baseline (no dropout) of its own study."
        ]
    else:
        answers = [text for name in (first, *others) for text in _answer(comparison, name)]
    return [
        *_incomplete(comparison),
        *answers,
        *_differing_settings(comparison),
        *_verdicts(comparison),
        *_seeds_needed(comparison),
        *_choices(comparison),
        *_caveats(comparison),
    ]


def _answer(comparison: StudyComparison, name: str) -> Iterator[str]:
    """Say how a study's cells differ from those of the other study that they are compared with."""
    cells = comparison.across[comparison.across[STUDY] == name]
    reference = (comparison.against or {}).get(STUDY, name)
    if cells.empty:
        if name != reference:
            yield f"No setting of {name} is compared with {reference}."
        return
    references = comparison.table.loc[cells["reference"].astype(int)]
    theirs = phrases.listed(list(dict.fromkeys(references[STUDY])))
    same, other = cells[cells["same_settings"]], cells[~cells["same_settings"]]
    if len(other):
        yield _directions(other, name, theirs)
    if len(same):
        swept = comparison.joined.tables.swept
        shared = [style.cell_name(cell, swept) for _, cell in same.iterrows()]
        yield _reproduction(same, name, theirs, shared, all_of_them=other.empty)
    if not comparison.against or set(comparison.against) != {STUDY}:
        return
    own = len(comparison.cells_of(name))
    if alone := own - len(cells):
        verb = "is" if alone == 1 else "are"
        yield f"{alone} of the {own} settings of {name} {verb} not in {theirs}."


def _reproduction(
    cells: pd.DataFrame, name: str, theirs: str, shared: Sequence[str], *, all_of_them: bool
) -> str:
    """Say whether a study gives the same numbers as another one with the same settings.

    Args:
        cells: The cells with the same settings.
        name: The study.
        theirs: The other study.
        shared: The names of the cells.
        all_of_them: Whether the studies have no compared cells with different settings.
    """
    settings = f"{counted(len(cells), 'setting')} ({phrases.join_some(shared)})"
    both = f"{name} and {theirs} share {settings}"
    pairs, identical = int(cells["pairs"].sum()), int(cells["identical_runs"].sum())
    if not pairs:
        return f"{both}, but no pair of runs: their seeds or their data differ."
    if identical == pairs:
        verb = "has" if pairs == 1 else "have"
        same = f"{counted(pairs, 'run')} {verb} identical numbers in every recorded epoch"
        if all_of_them:
            return f"{name} reproduces {theirs} exactly: {same}, in {settings}."
        return f"{both}, and {same}."
    differing, recorded = (int(cells[f"{kind}_epochs"].sum()) for kind in ("differing", "recorded"))
    verb = "have" if identical > 1 else "has"
    count = (
        f"{both}, and {identical or 'none'} of {counted(pairs, 'run')} {verb} identical numbers: "
        f"{differing} of {recorded} recorded epochs {'differs' if differing == 1 else 'differ'}."
    )
    largest = cells["largest_run_difference"].max()
    if largest == 0:
        return f"{count} The final test accuracies are equal in every run."
    means = cells["difference_mean"].dropna()
    mean = f"the mean of a setting by {_span(means)}"
    if len(means) == 1:
        mean = f"the mean by {phrases.signed(means.iloc[0])}"
    most = f"The test accuracy of a run differs by at most {phrases.points(largest)}"
    return f"{count} {most}, and {mean}."


def _directions(cells: pd.DataFrame, name: str, theirs: str) -> str:
    """Say in how many settings a study has the higher and the lower test accuracy."""
    means = cells["difference_mean"].fillna(cells["unpaired_difference"]).dropna()
    higher, lower = means[means > 0], means[means < 0]
    if means.empty:
        return f"No setting of {name} and {theirs} has completed runs in both studies."
    words = [str(word) for word in cells.loc[cells["pairs"] > 0, "verdict"]]
    counts = [f"{word} in {words.count(word)}" for word in dict.fromkeys(words)]
    verdict = f" Verdict: {', '.join(counts)}." if counts else ""
    if len(means) == 1:
        value = float(means.iloc[0])
        size = f"{phrases.points(abs(value))} {'higher' if value > 0 else 'lower'} than"
        verdict = f" Verdict: {words[0]}." if words else ""
        label = size if value else "equal to that"
        return f"The mean test accuracy of {name} is {label} in {theirs}.{verdict}"
    parts = [
        f"{word} in {len(part) if len(part) < len(means) else 'all'} (by {_span(part.abs())})"
        for word, part in (("higher", higher), ("lower", lower))
        if len(part)
    ]
    parts += [f"equal in {len(means) - len(higher) - len(lower)}"] * bool((means == 0).any())
    return (
        f"Compared with {theirs} in {len(means)} settings, the mean test accuracy of {name} is "
        f"{phrases.listed(parts)}.{verdict}"
    )


def _differing_settings(comparison: StudyComparison) -> Iterator[str]:
    """List the keys that the studies set differently."""
    joined = comparison.joined
    differences = list(joined.differences.items())
    if len(differences) == 1:
        ((key, values),) = differences
        each = [f"{value} in {name}" for value, name in zip(values, joined.names, strict=True)]
        yield f"The studies differ in one key: {key} is {phrases.listed(each)}."
    elif differences:
        texts = [f"{key} ({'; '.join(values)})" for key, values in differences]
        more = len(texts) - _MAX_DIFFERENCES
        shown = texts[:_MAX_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])
        yield (
            f"The studies differ in {len(texts)} keys, here with the values of "
            f"{phrases.listed(joined.names)}: {', '.join(shown)}. Any of them may cause a "
            "difference."
        )


def _verdicts(comparison: StudyComparison) -> Iterator[str]:
    """List the comparisons by their verdict."""
    compared = comparison.table[comparison.table["pairs"] > 0]
    exact = compared["identical_runs"] == compared["pairs"]
    if compared.empty or exact.fillna(False).all():
        return
    parts = []
    for verdict, cells in compared.groupby("verdict", sort=False):
        order = cells["difference_mean"].abs().sort_values(ascending=False, kind="stable").index
        several = compared[STUDY].nunique() > 1
        labels = [_difference_words(comparison, cells.loc[i], several=several) for i in order]
        parts.append(f"{verdict} in {len(cells)} ({phrases.join_some(labels)})")
    n = phrases.sample_size(compared["pairs"], "paired seed")
    yield (
        f"Verdicts on {counted(len(compared), 'difference')}: {'; '.join(parts)} ({n}; sign-flip "
        f"tests, Holm's correction over {counted(comparison.planned, 'comparison')})."
    )


def _difference_words(comparison: StudyComparison, cell: pd.Series, *, several: bool) -> str:
    """Return a cell with its difference: ``p = 0.5: +0.43 pp [0.30, 0.56]``."""
    interval = (cell["difference_low"], cell["difference_high"])
    label = style.cell_name(cell, comparison.joined.tables.swept)
    name = f"{cell[STUDY]}, {label}" if several else label
    return f"{name}: {phrases.signed(cell['difference_mean'])}{phrases.interval_text(interval)}"


def _seeds_needed(comparison: StudyComparison) -> Iterator[str]:
    """Say how many seeds the comparisons need, with the option to type."""
    compared = comparison.table[comparison.table["pairs"] > 0]
    needed = statistics.min_seeds(max(1, comparison.planned))
    if compared.empty or compared["pairs"].max() >= needed:
        return
    exact = compared["identical_runs"] == compared["pairs"]
    if exact.fillna(False).all():
        return
    options = {seeds_option(study, needed) for study in comparison.joined.studies}
    option = f" Add {options.pop()} to the commands of the studies." if len(options) == 1 else ""
    have = phrases.sample_size(compared["pairs"], "paired seed").removeprefix("n = ")
    planned = comparison.planned
    yield (
        f"{have[0].upper()}{have[1:]} cannot show a significant difference: "
        f"{counted(planned, 'comparison')} need{'s' * (planned == 1)} {needed} paired seeds."
        f"{option}"
    )


def _choices(comparison: StudyComparison) -> Iterator[str]:
    """Name the cell that validation chose in each study."""
    swept = comparison.joined.tables.swept
    parts = []
    for name, cells in comparison.chosen.items():
        for cell in cells if len(comparison.cells_of(name)) > 1 else ():
            value = phrases.percent(cell["test_accuracy_mean"])
            n = phrases.sample_size([cell["seeds"]], "seed")
            parts.append(f"{style.cell_name(cell, swept)} in {name} ({value} test accuracy, {n})")
    if parts:
        epoch = describe_epoch(comparison.joined.tables)
        yield f"Validation chose {phrases.listed(parts)}; values {epoch}."


def _incomplete(comparison: StudyComparison) -> Iterator[str]:
    """Say which studies are incomplete."""
    for name, study in zip(comparison.joined.names, comparison.joined.studies, strict=True):
        if words := describe_missing_runs(study):
            yield f"{name} is {words}. Run its command again to finish it; this page can change."


def _caveats(comparison: StudyComparison) -> Iterator[str]:
    """Say where runs are not paired, and which differences can come from versions or devices."""
    names, studies = comparison.joined.names, comparison.joined.studies
    yield from _seeds_caveats(names, studies)
    for name, study in zip(names[1:], studies[1:], strict=True):
        yield from _data_caveat(names[0], studies[0], name, study)
    facts = [facts_of(study) for study in studies]
    differing = [
        f"{key} {_by_study([each.get(key) or 'not recorded' for each in facts], names)}"
        for key in _VERSIONS
        if len({each.get(key, "") for each in facts}) > 1
    ]
    if differing:
        yield (
            f"The studies were trained with different versions: {'; '.join(differing)}. Equal "
            "settings and seeds may then differ in the last digits, which changes the class of a "
            "few images."
        )
    devices = [each.get("device") or "not recorded" for each in facts]
    if len(set(devices)) > 1:
        yield (
            f"The studies were trained on different devices: {_by_study(devices, names)}. Runs "
            "with the same seed share initial weights and data order, but not the masks."
        )
    unpaired = int(comparison.table["unpaired_difference"].notna().sum())
    if unpaired:
        verb = "is" if unpaired == 1 else "are"
        yield (
            f"{counted(unpaired, 'difference')} {verb} not paired: the "
            "interval is Welch's, and there is no p-value."
        )


def _seeds_caveats(names: Sequence[str], studies: Sequence[StudyTables]) -> Iterator[str]:
    seeds = [sorted({run.seed for run in study.runs_by_id.values()}) for study in studies]
    if len({tuple(each) for each in seeds}) > 1:
        shared = set(seeds[0]).intersection(*seeds[1:])
        words = _by_study([number_ranges(each) for each in seeds], names)
        pairs = f"only seeds {number_ranges(sorted(shared))} are in all of them"
        if len(studies) == 2:
            pairs = f"{counted(len(shared), 'seed')} {'is' if len(shared) == 1 else 'are'} in both"
        if not shared:
            pairs = "no seed is in " + ("both" if len(studies) == 2 else "all of them")
        yield f"The studies have different seeds: {words}; {pairs}."


def _data_caveat(
    first_name: str, first: StudyTables, name: str, study: StudyTables
) -> Iterator[str]:
    """Say which equal settings of the data gave different data, or unrecorded data."""
    found = []
    for each in (first, study):
        runs = {run.settings.dataset: run for run in each.runs_by_id.values()}
        found.append({data: data_digest(each, run) for data, run in runs.items()})
    shared = [data for data in found[0] if data in found[1]]
    for data in shared:
        one, other = found[0][data], found[1][data]
        if one and other and one != other:
            yield (
                f"The data differ: {data.name} has the SHA-256 {one[:12]}… in {first_name} and "
                f"{other[:12]}… in {name}. Runs on them are not paired."
            )
    unknown = [
        each
        for each, digests in ((first_name, found[0]), (name, found[1]))
        if any(not digests[data] for data in shared)
    ]
    if unknown:
        who = phrases.listed(unknown)
        yield f"{who} did not record the SHA-256 of the data; equal data are assumed."


def _by_study(values: Sequence[str], names: Sequence[str]) -> str:
    """Return a value for each study: ``2.14.1 in A, 2.15.0 in B``."""
    return ", ".join(f"{value} in {name}" for value, name in zip(values, names, strict=True))


def _span(values: "pd.Series[float]") -> str:
    """Return the range of differences: ``0.10 to 0.48 pp``, ``0.10 pp``."""
    low, high = phrases.hundredths(float(np.min(values))), phrases.hundredths(float(np.max(values)))
    return f"{low} pp" if low == high else f"{low} to {high} pp"
