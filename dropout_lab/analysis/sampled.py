"""Compare Monte Carlo dropout with the mean network, in a sentence."""

import pandas as pd

from dropout_lab.analysis import phrases, statistics
from dropout_lab.analysis.tables import StudyTables, completed_rows, paired_differences


def sampling_sentence(study: StudyTables, cell: pd.Series) -> str:
    """Describe how sampling changes test error, and how many samples equal the mean network.

    Empty if the cell has no results of Monte Carlo dropout.

    Args:
        study: The study.
        cell: A row of the table of cells.
    """
    uses = completed_rows(study, study.inference, cell)
    if uses.empty or "monte_carlo" not in set(uses["inference"]):
        return ""
    rule, drawn = (
        uses[uses["inference"] == name].set_index("run_id") for name in ("mean", "monte_carlo")
    )
    pairs = -paired_differences(drawn, rule)
    mean, interval = float(pairs.mean()), statistics.t_interval(pairs)
    n = phrases.sample_size([len(pairs)], "paired seed")
    word = "less" if mean < 0 else "more"
    compared = f"{phrases.magnitude(mean, interval)} {word} test error than the mean rule"
    if mean == 0:
        compared = f"the same mean test error{phrases.interval_text(interval)} as the mean rule"
    sentence = (
        f"The average of {int(drawn['samples'].iloc[0]):,} sampled networks has {compared} "
        f"{phrases.cell_phrase(cell, study.swept)} ({n})."
    )
    return f"{sentence}{_samples_needed(study, cell, float(rule['test_accuracy'].mean()))}"


def _samples_needed(study: StudyTables, cell: pd.Series, accuracy: float) -> str:
    """Describe the smallest number of samples that is as accurate as the mean network."""
    curve = completed_rows(study, study.monte_carlo, cell)
    if curve.empty:
        return ""
    over_k = curve.groupby("samples")["test_accuracy_mean"].mean().round(12)
    reached = over_k[over_k >= round(accuracy, 12)]
    last = int(over_k.index.max())
    if reached.empty:
        return f" Averages of up to {last} networks have more test error than the mean rule."
    first = int(reached.index.min())
    return f" Averages of {first} networks are the smallest that have no more test error than it."
