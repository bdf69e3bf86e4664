"""The keys of a config, section by section, and those above the sections."""

from typing import Annotated, Any

from pydantic import Field

from dropout_lab.config.published import FigureSettings, PublishedSettings
from dropout_lab.config.report import ReportSettings
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.config.sections.dropout import DropoutSettings
from dropout_lab.config.sections.evaluation import EvaluationSettings
from dropout_lab.config.sections.model import ModelSettings
from dropout_lab.config.sections.regularization import RegularizationSettings
from dropout_lab.config.sections.training import TrainingSettings
from dropout_lab.config.sweep import SweepSettings
from dropout_lab.config.types import Section, Seeds

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?$"


class Settings(Section):
    """Everything that decides a run's numbers, save its seed."""

    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    dropout: DropoutSettings = Field(default_factory=DropoutSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    regularization: RegularizationSettings = Field(default_factory=RegularizationSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)


class Config(Settings):
    """A study: settings, what to vary, and how often to repeat."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)] = Field(
        "defaults", description="Name of the study. Its results go to results/<name>."
    )
    about: str = Field(
        "", max_length=500, description="One sentence about the study, shown in its report."
    )
    seeds: Annotated[int, Field(ge=1, le=100_000)] | Seeds = Field(
        3,
        description="Number of seeds (0, 1, ...), or a list of seeds. Each setting is trained "
        "once for each seed.",
    )
    sweep: SweepSettings = Field(default_factory=SweepSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    size: str | None = Field(None, description="Which entry of `sizes` to run. null: the first.")
    sizes: dict[str, Any] = Field(
        default_factory=dict,
        description="Named sizes of the study, each with the keys it changes. The study is called "
        "<name>_<size>.",
    )
    published: PublishedSettings | None = Field(
        None, description="Numbers of a paper, to compare with those measured here."
    )
    figure: FigureSettings | None = Field(
        None, description="Axes of the figure that the study is made for."
    )


SECTIONS: tuple[str, ...] = tuple(Settings.model_fields)
SECTION_CLASSES: dict[str, type[Section]] = {
    section: field.annotation  # type: ignore[misc]  # each field of Settings is a section
    for section, field in Settings.model_fields.items()
}
# Sections of a study that no run depends on. Their keys cannot be swept.
STUDY_SECTIONS: dict[str, type[Section]] = {"sweep": SweepSettings, "report": ReportSettings}
KEYS: tuple[str, ...] = tuple(
    f"{section}.{key}" for section, kind in SECTION_CLASSES.items() for key in kind.model_fields
)


def validate_value(key: str, value: Any) -> Any:
    """Return a value of a dotted key in canonical form.

    Raises:
        pydantic.ValidationError: The key does not allow the value.
    """
    section, _, name = key.partition(".")
    return getattr(SECTION_CLASSES[section].model_validate({name: value}), name)


def get_value(settings: Settings, key: str) -> Any:
    """Return the value of a dotted key."""
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)
