"""Read YAML as plain data, with the line of each value, and report errors in its form.

YAML is taken as data only: no tags, no aliases, no duplicate keys, scalars by the YAML 1.2 core
schema, so ``1e-3`` is a number, ``010`` is ten and ``no`` is a string.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dropout_lab.errors import ConfigError
from dropout_lab.files import open_file

KeyPath = tuple[str, ...]

LARGEST_BYTES = 2**17  # read in about a second, whatever is in it
DEEPEST_NESTING = 20
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")
_LONGEST_INTEGER = 4000  # digits; Python itself refuses longer ones


@dataclass
class Document:
    """A config as plain data, and where each key was given (``file:line`` or an option).

    ``labels_elsewhere`` are the labels of cells of the other sizes.
    """

    source: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    labels_elsewhere: set[str] = field(default_factory=set)

    def place(self, path: KeyPath) -> str:
        """Return where a path, or the nearest part of it, was given."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.source)

    def first(self, *paths: KeyPath) -> KeyPath:
        """Return the first of some paths that was given, or the first path if none was."""
        return next((path for path in paths if path in self.places), paths[0])

    def set(self, path: KeyPath, value: object, place: str) -> None:
        """Set the value of a path as if the file gave it."""
        node = self.data
        for key in path[:-1]:
            if node.get(key) is None:
                node[key] = {}
            if not isinstance(node[key], dict):
                return  # what stands there is a mistake, and will be told as one
            node = node[key]
        node[path[-1]] = value
        self.places = {p: at for p, at in self.places.items() if p[: len(path)] != path}
        self.places[path] = place


def read_document(path: Path) -> Document:
    """Read a config file.

    Raises:
        ConfigError: The file cannot be read as one YAML mapping. Mistakes that leave the rest
            readable (a duplicate key, a tag) are collected in the document instead.
    """
    try:
        if path.is_dir():
            raise ConfigError([f"{path} is a folder; give a YAML file."])
        with open_file(path) as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([f"{path} does not exist; give the path of a YAML file."]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError([f"{path} cannot be read: {reason}."]) from error
    if len(content) > LARGEST_BYTES:
        line = _line_at(content, LARGEST_BYTES)
        message = "the file is larger than 128 KiB, which end here; a config is a page of text."
        raise ConfigError([f"{path}:{line}: {message}"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(content, error.start)
        message = "this line is not UTF-8 text; save the file as UTF-8."
        raise ConfigError([f"{path}:{line}: {message}"]) from None
    return parse_document(text, str(path))


def parse_document(text: str, source: str) -> Document:
    """Parse YAML text; ``source`` is the name its mistakes are reported under.

    Raises:
        ConfigError: The text is not one YAML mapping.
    """
    document = Document(source)
    node = _compose(text, document)
    if node is None:
        raise ConfigError([f"{source}:1: the file is empty; give at least `name: my_study`."])
    if not isinstance(node, yaml.MappingNode):
        at = f"{source}:{_line_of_node(node)}"
        raise ConfigError([f"{at}: expected a mapping (lines of `key: value`) at the top."])
    document.data = _convert_node(node, (), document)
    return document


def parse_value(text: str, source: str) -> Any:
    """Parse one YAML value given on the command line, such as ``0.5`` or ``[512, 512]``.

    Raises:
        ConfigError: The text is not a YAML value.
    """
    document = Document(source)
    node = _compose(text, document)
    value = None if node is None else _convert_node(node, (), document)
    if document.mistakes:
        raise ConfigError(document.mistakes)
    return value


class _CheckedLoader(yaml.SafeLoader):
    """Check depth, aliases, tags and the number of documents while the nodes are made.

    The limit of the depth also limits the recursion of the loader.
    """

    def __init__(self, text: str, document: Document) -> None:
        super().__init__(text)
        self._document = document
        self._depth = self._documents = 0

    def get_event(self) -> yaml.Event:
        """Return the next event.

        Raises:
            ConfigError: The text has several documents, aliases or too many levels.
            yaml.YAMLError: The text is not YAML.
        """
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        at = f"{self._document.source}:{event.start_mark.line + 1}"  # type: ignore[union-attr]
        self._documents += isinstance(event, yaml.DocumentStartEvent)
        self._depth += isinstance(event, yaml.CollectionStartEvent)
        self._depth -= isinstance(event, yaml.CollectionEndEvent)
        if self._documents > 1:
            raise ConfigError([f"{at}: a second document begins; a config is one document."])
        if self._depth > DEEPEST_NESTING:
            raise ConfigError([f"{at}: nested deeper than {DEEPEST_NESTING} levels."])
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError([f"{at}: aliases (*{event.anchor}) are not allowed; repeat it."])
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._document.mistakes.append(f"{at}: tags ({tag}) are not allowed; drop it.")
        return event


def _compose(text: str, document: Document) -> yaml.Node | None:
    """Return the only node of a text, checked by :class:`_CheckedLoader`."""
    source = document.source
    try:
        node: yaml.Node | None = _CheckedLoader(text, document).get_single_node()
        return node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at, snippet = source, None
        if mark is not None:
            at, snippet = f"{source}:{mark.line + 1}:{mark.column + 1}", mark.get_snippet()
        message = f"{at}: not YAML: {error.problem}."
        raise ConfigError([f"{message}\n{snippet}" if snippet else message]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        message = "not YAML: this character is not allowed in YAML."
        raise ConfigError([f"{source}:{line}:{column}: {message}"]) from None


def _convert_node(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    """Convert a node to dictionaries, lists, strings, numbers, booleans and None."""
    if isinstance(node, yaml.MappingNode):
        return _convert_mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_convert_item(item, (*path, str(i)), document) for i, item in enumerate(node.value)]
    text: str = node.value
    if getattr(node, "style", None) in ("'", '"', "|", ">"):
        return text
    return _resolve_scalar(text)


def _convert_item(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    document.places[path] = f"{document.source}:{_line_of_node(node)}"
    return _convert_node(node, path, document)


def _convert_mapping(node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{document.source}:{_line_of_node(key_node)}"
        if not isinstance(key_node, yaml.ScalarNode):
            document.mistakes.append(f"{place}: a key must be a word, not a list or a mapping.")
            continue
        key = str(key_node.value)
        if key in mapping:
            first = document.places[(*path, key)]
            dotted = ".".join((*path, key))
            document.mistakes.append(f"{place}: {dotted} is given twice, first at {first}.")
            continue
        document.places[(*path, key)] = place
        mapping[key] = _convert_node(value_node, (*path, key), document)
    return mapping


def _resolve_scalar(text: str) -> Any:
    """Convert a plain scalar by the YAML 1.2 core schema (decimal numbers only)."""
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text) and len(text) < _LONGEST_INTEGER:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text) or _NOT_A_NUMBER.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


def _line_at(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _line_of_node(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
