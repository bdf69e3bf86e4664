"""Check the rules between keys, and find keys that nothing reads."""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from dropout_lab.config.conditional_keys import describe_readers, keys_read
from dropout_lab.config.schema import SECTIONS, Settings, get_value
from dropout_lab.config.sections import (
    dataset,
    dropout,
    evaluation,
    model,
    regularization,
    training,
)
from dropout_lab.config.types import Complaint, Section

RULES = [
    (rule, sections)
    for section in (dataset, model, dropout, training, regularization, evaluation)
    for rule, sections in section.RULES.items()
]


def check_rules(
    settings: Settings, *, except_sections: frozenset[str] = frozenset()
) -> list[Complaint]:
    """Return the violations of rules between keys of sections without mistakes of their own."""
    sound = [name for name in SECTIONS if name not in except_sections]
    missing = [*chain(*(_find_missing_keys(name, getattr(settings, name)) for name in sound))]
    if any(key == "dataset.name" for key, _ in missing):
        except_sections |= {"dataset"}  # without its file, nothing is known of the data
    rules = [rule(settings) for rule, sections in RULES if not sections & except_sections]
    return [*missing, *chain(*rules)]


def _find_missing_keys(name: str, section: Section) -> Iterator[Complaint]:
    """Yield a complaint for each missing key that the value of another key needs."""
    for key, values in section.needed_keys.items():
        value = getattr(section, key)
        for other, example in values.get(value, {}).items():
            if getattr(section, other) is None:
                message = f"{name}.{key} is {value}, which needs {name}.{other}, e.g. {other}: "
                yield f"{name}.{key}", f"{message}{example}."


def find_unread_keys(
    settings: Settings, cells: Iterable[Settings], swept: Collection[str]
) -> Iterator[Complaint]:
    """Yield a complaint for each key that is given and that no setting of the study reads.

    ``cells`` are the settings of a sweep that is run, and ``swept`` the keys that it varies.
    """
    read = {key for each in (settings, *cells) for key in keys_read(each)}
    for key, words in describe_readers().items():
        given = get_value(settings, key) is not None or key in swept
        if given and key not in read:
            yield key, f"{key} is given, and nothing here reads it; it is for {', '.join(words)}."


def find_cautions(cells: Iterable[Settings]) -> list[str]:
    """Return a warning for each value that is allowed but rarely intended, each warning once."""
    sections = (dropout, evaluation, training)
    return list(
        dict.fromkeys(text for cell in cells for s in sections for text in s.find_cautions(cell))
    )
