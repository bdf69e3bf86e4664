"""Markers and footnotes of plots with published values."""

from typing import Any

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.published import compare_with_published
from dropout_lab.analysis.tables import StudyTables, describe_epoch


def published_footnote(study: StudyTables, table: pd.DataFrame, spread: str, diamonds: str) -> str:
    """Return a footnote about error bars, the source of published values, and comparability.

    Args:
        study: The study.
        table: The cells of the study.
        spread: A description of error bars or bands.
        diamonds: A description of the markers of published values.
    """
    parts = [
        f"{study.manifest.name}, {describe_epoch(study)}, dropout off",
        *([spread] if spread else []),
    ]
    comparison = compare_with_published(study, table)
    if comparison is not None and comparison.rows:
        seen = {row.seen for row in comparison.rows}
        marks = [
            *([diamonds] if True in seen else []),
            *(["crosses (unverified)"] if False in seen else []),
        ]
        parts.append(f"{' and '.join(marks)}: {comparison.citation}")
        reasons = [set(row.reasons) for row in comparison.rows if row.verdict == "not comparable"]
        common = set.intersection(*reasons) if reasons else set()
        if common:
            parts.append(f"not comparable: {', '.join(sorted(common))}")
    return "; ".join(parts)


def published_style(seen: bool, colour: str = style.PUBLISHED, marker: str = "D") -> dict[str, Any]:
    """Return the style of a published value: an open marker, or a cross if it is unverified."""
    return {
        "marker": marker if seen else "x",
        "markersize": 8,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.6,
        "color": colour,
        "linestyle": "none",
        "zorder": 4,
    }
