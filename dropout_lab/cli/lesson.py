"""``dropout-lab lesson``: test textbook claims step by step."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropout_lab.cli import options
from dropout_lab.cli.option_values import folder
from dropout_lab.errors import ConfigError

if TYPE_CHECKING:
    from dropout_lab.lessons import Lesson

FullMnist = Annotated[
    Path | None,
    typer.Option(
        help="Folder of full MNIST, for lessons that train. (default: 5,000 images)",
        metavar="DIR",
        parser=folder,
    ),
]
FigureFolder = Annotated[
    Path,
    typer.Option(
        help="Folder for the figure. (default: results/lessons)", metavar="DIR", parser=folder
    ),
]


def lesson(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Lesson to run. (default: list all lessons)"),
    ] = None,
    p: Annotated[
        str | None,
        typer.Option("--p", help="Dropout rate, for lessons that take one.", metavar="P|LIST"),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed. (default: 0)", min=0, max=2**31 - 1, metavar="N")
    ] = 0,
    out: FigureFolder = Path("results/lessons"),
    quick: options.QuickLessons = False,
    pause: Annotated[
        bool, typer.Option("--pause", help="Wait for Enter before each step.")
    ] = False,
    data_dir: FullMnist = None,
    json: options.Json = False,
) -> None:
    """Test a textbook claim about dropout with an experiment.

    A lesson prints its steps, draws a figure, and checks the claim. The exit status is 1 if a
    check fails.
    """
    from dropout_lab.lessons import LESSONS, LessonOptions

    if name is None:
        _list(LESSONS, json=json)
        return
    about = LESSONS[options.lesson_name(name)]
    mistakes: list[str] = []
    lesson_options = LessonOptions(_p(p, name, about, mistakes), seed, quick, data_dir)
    if data_dir is not None and not about.images:
        training = ", ".join(other for other, each in LESSONS.items() if each.images)
        mistakes.append(f"--data-dir: lesson {name} reads no images; these do: {training}.")
    if mistakes:
        raise ConfigError(mistakes)

    from dropout_lab.cli.lesson_page import run_lesson
    from dropout_lab.files import make_folder

    make_folder(out)  # before the lesson, to report an unusable folder at once
    told = run_lesson(name, about, lesson_options, out, quiet=json, pause=pause and not json)
    if json:
        typer.echo(json_module.dumps(told, indent=1))
    if not all(check["passed"] for check in told["checks"]):
        raise typer.Exit(1)


def _list(lessons: "dict[str, Lesson]", *, json: bool) -> None:
    from dataclasses import asdict

    if json:
        told = {name: asdict(about) for name, about in lessons.items()}
        typer.echo(json_module.dumps(told, indent=1))
        return
    from dropout_lab.cli.catalogue import print_lessons

    print_lessons(lessons)


def _p(text: str | None, name: str, about: "Lesson", mistakes: list[str]) -> tuple[float, ...]:
    """Return the values of --p or the lesson's defaults; append errors to ``mistakes``."""
    if text is None:
        return about.p
    if not about.p:
        mistakes.append(f"--p: lesson {name} takes no p; omit --p.")
        return ()
    from dropout_lab.config.grid import expand_axis

    wanted = "one number" if about.most == 1 else f"up to {about.most} different numbers"
    try:
        values = tuple(map(float, expand_axis(text) if ":" in text else text.split(",")))
    except ValueError:
        values = ()
    allowed = all(about.lowest <= each <= about.highest for each in values)
    if not (allowed and 1 <= len(values) <= about.most and len(set(values)) == len(values)):
        mistakes.append(
            f"--p is {text!r}; lesson {name} takes {wanted} from {about.lowest:g} to "
            f"{about.highest:g}, the probability of dropping."
        )
    return values
