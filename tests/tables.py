"""A table as a user has one."""

from pathlib import Path

import numpy as np
import pandas as pd


def write_table(path: Path, *, rows: int = 300, classes: int = 3) -> Path:
    """A table with numbers, of which some are missing, text, and classes named by text."""
    draws = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    frame = pd.DataFrame(draws.normal(size=(rows, 4)) + 2 * labels[:, None], columns=list("abcd"))
    frame.loc[draws.permutation(rows)[:30], "b"] = np.nan
    frame["color"] = np.where(draws.random(rows) < 0.5, "red", "blue")
    frame["kind"] = [f"kind {label}" for label in labels]
    frame.to_csv(path, index=False)
    return path
