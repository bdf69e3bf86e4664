"""The average of sampled networks against the mean rule, in a sentence."""

import pandas as pd

from dropout_lab.analysis import phrases, statistics
from dropout_lab.analysis.tables import StudyTables, completed_rows, paired_differences


def sampling_sentence(study: StudyTables, cell: pd.Series) -> str:
    """Say whether sampling beats the mean rule, and how many networks it takes to equal it.

    Empty if the networks of the cell were not sampled.

    Args:
        study: The study.
        cell: A row of its table of cells.
    """
    uses = completed_rows(study, study.inference, cell)
    if uses.empty or "monte_carlo" not in set(uses["inference"]):
        return ""
    rule, drawn = (
        uses[uses["inference"] == name].set_index("run_id") for name in ("mean", "monte_carlo")
    )
    pairs = -paired_differences(drawn, rule)
    mean, interval = float(pairs.mean()), statistics.t_interval(pairs)
    n = phrases.n_of([len(pairs)], "paired seed")
    word = "less" if mean < 0 else "more"
    compared = f"{phrases.size(mean, interval)} {word} test error than the mean rule"
    if mean == 0:
        compared = f"the same mean test error{phrases.band(interval)} as the mean rule"
    found = (
        f"The average of {int(drawn['samples'].iloc[0]):,} sampled networks has {compared} "
        f"{phrases.named(cell, study.swept)} ({n})."
    )
    return f"{found}{_number_it_takes(study, cell, float(rule['test_accuracy'].mean()))}"


def _number_it_takes(study: StudyTables, cell: pd.Series, accuracy: float) -> str:
    """Say from which number of networks on the average is as accurate as the mean rule."""
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
