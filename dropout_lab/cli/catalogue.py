"""List the variants and the lessons in the terminal."""

import re
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dropout_lab.catalogue import COST_MEASURED
from dropout_lab.lessons import Lesson
from dropout_lab.variant import Variant

_TABLE_WIDTH = 150  # columns of a terminal from which six columns of text can be read


def print_overview(variants: Mapping[str, Variant]) -> None:
    """Print each variant in a line: its name, what it does, and the year of its paper."""
    console = Console(markup=False, highlight=False)
    names = max(map(len, variants))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, width=names)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, width=4)
    for name, kind in variants.items():
        table.add_row(name, kind.summary or kind.formula, _year(kind))
    console.print(table)
    console.print("\nFormula, options, cost and paper of a variant: dropout-lab variants NAME")


def _year(kind: Variant) -> str:
    """Return the year of a variant's paper; empty without a paper."""
    found = re.search(r"\b(?:19|20)\d\d\b", kind.paper)
    return found[0] if found else ""


def print_catalogue(chosen: Mapping[str, Variant]) -> None:
    """Print what each variant does, needs and costs, and how the cost was measured.

    A table where there is room for six columns, else blocks of lines.
    """
    console = Console(markup=False, highlight=False)
    if console.width >= _TABLE_WIDTH:
        _print_table(console, chosen)
    else:
        _print_blocks(console, chosen)
    console.print(f"cost: {COST_MEASURED}", style="dim")


def print_lessons(lessons: Mapping[str, Lesson]) -> None:
    """Print what each lesson claims, which p it takes, and how long it takes."""
    console = Console(markup=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, width=min(console.width, 120))
    table.add_column("lesson", no_wrap=True)
    table.add_column("claim", ratio=1, overflow="fold")
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for name, about in lessons.items():
        p = ",".join(f"{each:g}" for each in about.p)
        table.add_row(name, about.claim, p, f"{about.seconds[1]:.2g}")
    console.print(table)
    console.print(
        "Run a lesson with dropout-lab lesson NAME. p: the default of --p; "
        "seconds: on 2 cores, including the start (n = 1).",
        style="dim",
    )


def _print_table(console: Console, chosen: Mapping[str, Variant]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("variant", no_wrap=True)
    for column, ratio in (("formula", 5), ("p", 4), ("learned", 2), ("keys and remarks", 4)):
        table.add_column(column, ratio=ratio, overflow="fold")
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("paper", ratio=3, overflow="fold")
    for name, kind in chosen.items():
        called = f"also called {_other_names(kind)}" if kind.other_names else ""
        notes = "; ".join(filter(None, (_keys(kind), kind.remark, called)))
        table.add_row(name, kind.formula, kind.p, kind.learned, notes, _cost(kind), kind.paper)
    console.print(table)


def _print_blocks(console: Console, chosen: Mapping[str, Variant]) -> None:
    for name, kind in chosen.items():
        console.print(f"{name}  (cost {_cost(kind)})", style="bold")
        facts = {
            "": kind.formula,
            "p: ": kind.p,
            "learns: ": kind.learned,
            "keys: ": _keys(kind),
            "note: ": kind.remark,
            "paper: ": kind.paper,
            "also called: ": _other_names(kind),
        }
        for label, text in facts.items():
            if text:
                console.print(Padding(label + text, (0, 0, 0, 4), expand=False))


def _other_names(kind: Variant) -> str:
    """Return the other names of a variant, as a list in words."""
    return ", ".join(name.replace("_", " ") for name in kind.other_names)


def _cost(kind: Variant) -> str:
    return "not measured" if kind.source else f"{kind.cost:.3g}"


def _keys(kind: Variant) -> str:
    return ", ".join(
        f"dropout.{key}" + (" (needed)" if key in kind.needed else "") for key in kind.options
    )
