"""Plot the mean of a unit with dropout on and off for each p."""

from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.scaling.experiment import DROPOUT_RATES, SCALINGS, ScaledUnit


def draw_figure(table: dict[str, list[ScaledUnit]], draws: int) -> Figure:
    """Draw a panel for each kind of scaling; each row of ``table`` has a unit for each p."""
    figure = style.new_figure(10, 4.2)
    panels = figure.subplots(1, len(table), sharey=True)
    for axes, (name, row) in zip(panels, table.items(), strict=True):
        colour, marker = style.variant_look(name)
        axes.plot(
            DROPOUT_RATES,
            [unit.eval_value for unit in row],
            color=style.WITHOUT,
            label="dropout off",
        )
        axes.errorbar(
            DROPOUT_RATES,
            [unit.mean for unit in row],
            yerr=[ERRORS * unit.standard_error for unit in row],
            fmt=marker,
            color=colour,
            label="dropout on",
        )
        axes.set_title(f"{name}:\n{SCALINGS[name]}")
        axes.set_xlabel("dropout rate p")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.15)
        axes.legend(loc="lower left")
    panels[0].set_ylabel("mean of a unit of value 1")
    style.heading(figure, "Scaling: the mean of a unit in training and in evaluation")
    style.footnote(
        figure, f"dropout on: n = {draws:,} draws at each p; bars: 5 standard errors of the mean"
    )
    return figure
