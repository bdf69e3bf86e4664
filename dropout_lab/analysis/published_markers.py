"""What the pictures with published values share: their diamonds, and what is said below."""

from typing import Any

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.published import beside
from dropout_lab.analysis.tables import StudyTables, when


def footnote(study: StudyTables, table: pd.DataFrame, spread: str, diamonds: str) -> str:
    """Return what the bars are, whose the published values, and why they cannot be compared.

    Args:
        study: The study.
        table: Its cells.
        spread: What bars or bands are.
        diamonds: What the published values are drawn as.
    """
    parts = [f"{study.manifest['name']}, {when(study)}, dropout off", *([spread] if spread else [])]
    compared = beside(study, table)
    if compared is not None and compared.rows:
        seen = {row.seen for row in compared.rows}
        marks = [
            *([diamonds] if True in seen else []),
            *(["crosses (unverified)"] if False in seen else []),
        ]
        parts.append(f"{' and '.join(marks)}: {compared.citation}")
        reasons = [set(row.reasons) for row in compared.rows if row.verdict == "not comparable"]
        common = set.intersection(*reasons) if reasons else set()
        if common:
            parts.append(f"not comparable: {', '.join(sorted(common))}")
    return "; ".join(parts)


def published_look(seen: bool, colour: str = style.PUBLISHED, marker: str = "D") -> dict[str, Any]:
    """Return the look of a published value: an open marker, a cross where it is unverified."""
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
