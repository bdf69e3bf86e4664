"""What the pictures with published values share: their diamonds, and what is said below."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dropout_lab.analysis import style
from dropout_lab.analysis.published import beside
from dropout_lab.analysis.tables import StudyTables, when
from dropout_lab.config.published import PublishedSettings


def footnote(study: StudyTables, table: pd.DataFrame, spread: str) -> str:
    """Return what the bars are and, where none of the numbers can be compared, why."""
    parts = [f"{when(study)}, dropout off", spread]
    compared = beside(study, table)
    if compared is not None:
        reasons = [set(row.reasons) for row in compared.rows if row.verdict == "not comparable"]
        common = set.intersection(*reasons) if reasons else set()
        if common:
            parts.append(f"published values are not comparable: {', '.join(sorted(common))}")
    return style.wrapped("; ".join(parts), 120)


def published_look(seen: bool) -> dict[str, Any]:
    """Return the look of a published value: a diamond, open where it is unverified."""
    return {
        "marker": "D",
        "markersize": 8,
        "markerfacecolor": style.PUBLISHED if seen else "none",
        "markeredgecolor": style.PUBLISHED,
        "linestyle": "none",
        "zorder": 4,
    }


def published_legend(figure: Figure, published: PublishedSettings | None) -> None:
    """Say what the diamonds are."""
    if published is None or not published.values:
        return
    kinds = sorted({value.seen for value in published.values}, reverse=True)
    words = {True: published.citation, False: f"{published.citation} (unverified)"}
    handles = [Line2D([], [], **published_look(seen)) for seen in kinds]
    labels = [style.wrapped(words[seen], 70) for seen in kinds]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(kinds))
