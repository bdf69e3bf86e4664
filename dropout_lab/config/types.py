"""What the sections of a config share: strictness, kinds of value, the form of their rules."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

LARGEST_SEED = 2**63  # beyond it, torch takes none
LARGEST_COUNT = 2**31  # beyond it, arithmetic of floats and tensors' sizes overflows
# Numbers are strict: true is not 1, and "0.5" is not 0.5. An integer passes where a float is meant.
_no_minus_zero = AfterValidator(lambda value: value + 0.0)  # -0.0 and 0.0 are one setting
Probability = Annotated[float, Field(ge=0, le=1), _no_minus_zero]
Strength = Annotated[float, Field(ge=0), _no_minus_zero]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=LARGEST_COUNT)]
NonNegativeInt = Annotated[int, Field(ge=0, lt=LARGEST_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=LARGEST_SEED)]
Share = Annotated[float, Field(gt=0, le=1)]
BetweenZeroAndOne = Annotated[float, Field(gt=0, lt=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1), _no_minus_zero]

# YAML's lists are taken as tuples; their items stay strict.
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1)]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
Probabilities = Annotated[tuple[Probability, ...], Field(strict=False, min_length=1)]
LayerIndices = Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1)]
ShareOfTraining = Annotated[float, Field(ge=0, le=1)]
Positives = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
Bounds = Annotated[tuple[Positive | None, ...], Field(strict=False, min_length=1)]
Strengths = Annotated[tuple[Strength, ...], Field(strict=False, min_length=1)]
Span = Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=2, max_length=2)]
WarmUp = Annotated[tuple[ShareOfTraining, ...], Field(strict=False, min_length=2, max_length=2)]


class KeyOf:
    """Allow the keys of a table, including keys that plugins add later."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self.table = table

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"enum": list(self.table), "type": "string"}

    def _check(self, key: str) -> str:
        if key not in self.table:
            raise ValueError("not in the table")  # config.messages says it in full
        return key


# For a key and a value of it, or ABOVE_0: other keys of the section.
ConditionalKeys = Mapping[str, Mapping[str, Mapping[str, Any]]]
ABOVE_0 = "above 0"


class Section(BaseModel):
    """A part of the config: no unknown key, no conversion, no infinite number, no change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    conditional_keys: ClassVar[ConditionalKeys] = {}  # read with this value only; their defaults
    needed_keys: ClassVar[ConditionalKeys] = {}  # needed with this value; an example of each


Complaint = tuple[str, str]  # the dotted key to blame, and the message without its place
# Each rule with the sections that it reads. It is checked if these have no mistake of their own.
Rules = Mapping[Callable[["Settings"], Iterator[Complaint]], set[str]]
