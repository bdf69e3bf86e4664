"""Two examples for the help page of each command."""

_EXAMPLES: dict[str, tuple[str, str]] = {
    "train": (
        "train quickstart --p 0.3 --seed 7",
        "train quickstart --set 'model.hidden=[100,100]' --name small",
    ),
    "sweep": (
        "sweep quickstart",
        "sweep quickstart --p 0,0.2,0.5,0.8 --seeds 9 --name my_p",
    ),
    "init": ("init experiment.yaml", "init --from papers/jmlr2014_fig4"),
    "plot": ("plot results/quickstart", "plot results"),
    "report": (
        "report results/quickstart",
        "report results/quickstart --against dropout.p=0.25",
    ),
    "compare": (
        "compare results/quickstart results/my_quickstart",
        "compare results/a results/b results/c --against baseline",
    ),
    "doctor": ("doctor results", "doctor results/quickstart --fix"),
    "remove": (
        "remove results/quickstart dropout.p=0.5 --dry-run",
        "remove results/quickstart dropout.p=0.5",
    ),
    "lesson": ("lesson", "lesson masks --p 0.2,0.5"),
    "verify": ("verify inverted", "verify"),
    "variants": ("variants", "variants gaussian concrete"),
    "config check": ("config check experiment.yaml", "config check quickstart"),
    "config show": (
        "config show quickstart --changed-only",
        "config show --comments",
    ),
    "config schema": ("config schema", "config schema > schema.json"),
    "data list": ("data list", "data list --data-dir ~/data"),
    "data fetch": ("data fetch mnist", "data fetch fashion_mnist --data-dir ~/data"),
}


def examples_of(command: str) -> str:
    """Return the examples of a command, one a line."""
    return "\n".join(f"dropout-lab {example}" for example in _EXAMPLES[command])
