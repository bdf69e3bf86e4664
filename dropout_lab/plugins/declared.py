"""What a variant of a plugin says of itself, checked against what the program will ask of it."""

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from dropout_lab.catalogue import BUILT_IN
from dropout_lab.config.allowed_values import describe_allowed, list_choices
from dropout_lab.config.messages import suggest_nearest
from dropout_lab.config.sections.dropout import DropoutSettings
from dropout_lab.layers import Dropout, UnitDropout
from dropout_lab.layers.sample_inputs import required_options
from dropout_lab.printable import shown
from dropout_lab.variant import Variant

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOT_WORDS = {"null", "true", "false", "nan", "inf"}  # in YAML or CSV
_METHODS = ("drop", "connect")
_INPUTS = ("x", "weight", "bias")


def mistakes_in(kind: type[Dropout]) -> Iterator[str]:
    """Yield the mistakes in a class's declaration, before the class is used."""
    yield from _name_mistakes(kind)
    yield from _method_mistakes(kind)
    variant = _own(kind, "variant")
    if not isinstance(variant, Variant):
        given = "has no variant" if variant is None else f"has a variant that is {variant!r}"
        yield (
            f"class {kind.__name__} {given}; write variant = Variant(formula='...') in it, with "
            "Variant from dropout_lab.layers."
        )
        return
    wrong = [*_field_mistakes(variant)]
    yield from wrong
    if wrong:
        return
    wrong = [*_option_mistakes(variant)]
    yield from wrong or _constructor_mistakes(kind, variant)
    if not issubclass(kind, UnitDropout) and not variant.between:
        yield (
            f"class {kind.__name__} acts on weights, so it cannot come before the "
            "activation; write between=True in its Variant, or derive it from UnitDropout."
        )


def _name_mistakes(kind: type[Dropout]) -> Iterator[str]:
    name = _own(kind, "name")
    if name is None:
        yield f'class {kind.__name__} has no name; write name = "my_dropout" in it.'
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        yield (
            f"name is {name!r}; it must begin with a small letter; after that come small letters, "
            "digits and '_', 40 at most."
        )
    elif name in _NOT_WORDS:
        yield f"name is {name!r}, which is no word in YAML or CSV; take another."


def _method_mistakes(kind: type[Dropout]) -> Iterator[str]:
    given = [vars(base).get(name) for base in (Dropout, UnitDropout) for name in _METHODS]
    written = [name for name in _METHODS if getattr(kind, name, None) not in given]
    if not written and _own(kind, "forward") is None:
        yield (
            f"class {kind.__name__} writes neither drop nor connect; a layer of units writes "
            "drop(self, x), one of weights connect(self, x, weight, bias, entering=None)."
        )


def _field_mistakes(variant: Variant) -> Iterator[str]:
    hints = get_type_hints(Variant)
    for field in fields(Variant):
        value = getattr(variant, field.name)
        try:
            TypeAdapter(hints[field.name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            yield f"variant.{field.name} is {shown(value)}; {message[0].lower()}{message[1:]}."
            return
    if not 0 < variant.highest_p <= 1:
        yield f"variant.highest_p is {variant.highest_p:g}; it must lie in (0, 1]."
    elif variant.highest_p < 1 and not variant.beyond:
        yield f"variant.highest_p is {variant.highest_p:g}; say why not more: beyond='...'."
    if not 0 < variant.cost < math.inf:
        yield f"variant.cost is {variant.cost:g}; it must be above 0, and 1 is that of none."
    activations = list_choices("model.activation")
    for key, values, known in (
        ("activations", variant.activations, activations),
        ("surrogate", variant.surrogate, _INPUTS),
        ("needed", variant.needed, tuple(variant.options)),
    ):
        for value in values:
            if value not in known:
                among = ", ".join(known) or "none, since it has no options"
                yield f"variant.{key} names {value!r}; known: {among}."


def _option_mistakes(variant: Variant) -> Iterator[str]:
    """Yield mistakes in the options: a plugin can only use keys of the section dropout."""
    known = sorted({key for kind in BUILT_IN.values() for key in kind.options})
    for key, default in variant.options.items():
        if key not in known:
            yield (
                f"variant.options names {key!r}, which is no key of the section dropout for "
                f"variants;{suggest_nearest(key, known)} known: {', '.join(known)}."
            )
        elif default is None and key not in variant.needed:
            yield f"variant.options gives {key!r} no default; name it in needed, or give one."
        elif default is not None and not _is_allowed(key, default):
            words = describe_allowed(f"dropout.{key}")
            yield f"variant.options gives {key!r} the default {shown(default)}; allowed: {words}."


def _is_allowed(key: str, value: object) -> bool:
    try:
        DropoutSettings.model_validate({key: value})
    except ValidationError:
        return False
    return True


def _constructor_mistakes(kind: type[Dropout], variant: Variant) -> Iterator[str]:
    options: Mapping[str, Any] = {**variant.options, **required_options(variant)}
    signature = inspect.signature(kind)
    arguments = ", ".join(["p", *(f"{key}=..." for key in ("mask", "noise", *options))])
    try:
        signature.bind(0.5, mask="element", noise=None, **options)
    except TypeError as error:
        yield (
            f"class {kind.__name__} must be made as {kind.__name__}({arguments}), but: {error}; "
            "leave __init__ out, or take them and hand p, mask and noise to super().__init__."
        )
        return
    for key, default in variant.options.items():
        parameter = signature.parameters.get(key)
        if parameter is not None and default is not None and parameter.default != default:
            own = "none" if parameter.default is parameter.empty else repr(parameter.default)
            yield (
                f"variant.options gives {key!r} the default {default!r} and __init__ has {own}; "
                "they must be the same."
            )


def _own(kind: type[Dropout], attribute: str) -> Any:
    """Return what the class or a base in its own file says; None if only ours do."""
    for each in kind.__mro__:
        if each.__module__ == kind.__module__ and attribute in vars(each):
            return vars(each)[attribute]
    return None
