"""The columns of metrics.csv that the diagnostics of some settings add."""

from dropout_lab.config.inference_rules import diagnostics
from dropout_lab.config.schema import Settings, p_of_places

LAYER_COLUMNS = {
    "activations": ("mean_activation", "activation_sparsity"),
    "co_adaptation": ("unit_correlation", "effective_rank"),
}
GRADIENT_COLUMNS = ("gradient_norm", "gradient_direction_variance", "gradient_direction_error")
NOISE_COLUMNS = ("keep_rate", "noise_mean", "noise_variance")
REMOVED_PERCENTAGES = (10, 25, 50, 75)  # per cent of the units of each hidden layer


def diagnostic_columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns that the diagnostics of these settings fill, in order.

    Those of a layer end in its index.
    """
    layers = range(1, len(settings.model.hidden) + 1)
    columns = {
        name: [f"{measure}_{layer}" for measure in measures for layer in layers]
        for name, measures in LAYER_COLUMNS.items()
    }
    columns["co_adaptation"] += [f"removed_{share}_test_accuracy" for share in REMOVED_PERCENTAGES]
    columns["gradients"] = list(GRADIENT_COLUMNS)
    columns["noise"] = [
        f"{name}_{place}" for name in NOISE_COLUMNS for place in p_of_places(settings)
    ]
    return tuple(column for name in diagnostics(settings.evaluation) for column in columns[name])
