"""What to type instead of arguments that a command does not take."""

import re
from collections.abc import Sequence

from dropout_lab.datasets import DATASETS

_FOLDERS = (
    "{command} takes one folder: a study's, or one with several studies in it, such as "
    "dropout-lab {command} results"
)
_COMPARE = (
    "To compare two settings, train them as one study: as two values of an axis or as two cells in "
    "one config, and run dropout-lab sweep. Their runs are then paired by seed."
)
_DOWNLOADED = [name for name, dataset in DATASETS.items() if not dataset.package]
_ADVICE: dict[str, tuple[str, ...]] = {
    "plot": (_FOLDERS, _COMPARE),
    "report": (_FOLDERS, _COMPARE),
    "doctor": (_FOLDERS,),
    "lesson": ("lesson takes one name. To run all of them: dropout-lab verify",),
    "show": ("config show takes one file.",),
    "schema": ("config schema takes no file. To check one: dropout-lab config check FILE",),
    "fetch": (f"data fetch takes one name: {', '.join(_DOWNLOADED[:-1])} or {_DOWNLOADED[-1]}.",),
    "list": ("data list takes no name. To download a data set: dropout-lab data fetch NAME",),
}
_VALUE = re.compile(r"[-+.,:\d\[\]eE]*\d[-+.,:\d\[\]eE]*")


def advice(command: str, arguments: Sequence[str]) -> list[str]:
    """Return lines that say what to type instead of arguments that a command does not take."""
    if command not in ("train", "sweep"):
        return [line.format(command=command) for line in _ADVICE.get(command, ())]
    return list(dict.fromkeys(_instead(command, argument) for argument in arguments))


def _instead(command: str, argument: str) -> str:
    """Return what to type instead of one argument of train or sweep, which take only options."""
    if argument.endswith((".yaml", ".yml")):
        return f"Give a config with --config: dropout-lab {command} --config {argument}"
    if argument.endswith(".py"):
        return f"Give a plugin with --plugin: dropout-lab {command} --plugin {argument}"
    if "=" in argument:
        return f"Give a key with --set: dropout-lab {command} --set {argument}"
    if _VALUE.fullmatch(argument):
        return (
            "Write a list without spaces: --p 0,0.25,0.5 or --seeds 0,1,2. Write a key and its "
            "value with an equals sign: --set training.epochs=5"
        )
    return f"{command} takes only options. To name the results folder: --out {argument}"
