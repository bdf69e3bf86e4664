"""The generated parts of the reference: command line, config, variants, columns, lists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from page_parts import ROOT, cell, code, table

# The command line


def cli_part(_: str = "") -> str:
    """Return each command with its arguments and options."""
    import typer

    from dropout_lab.cli.app import app

    return "\n\n".join(_commands(typer.main.get_command(app), ["dropout-lab"]))


def _commands(command: Any, path: list[str]) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _commands(each, [*path, name])
        return
    parts = [f"## {' '.join(path[1:])}", _joined(command.help or "")]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    shown = " ".join(f"[{_metavar(each)}]" for each in arguments)
    parts.append("```text\n" + " ".join([*path, "[OPTIONS]", shown]).rstrip() + "\n```")
    rows = [
        [
            code(_metavar(each)) if each in arguments else code(", ".join(_spellings(each))),
            "" if each in arguments or getattr(each, "is_flag", False) else code(_metavar(each)),
            _joined(each.help or ""),
        ]
        for each in command.params
        if not getattr(each, "hidden", False)
    ]
    parts.append(table(["argument or option", "value", "meaning"], rows))
    if command.epilog:
        parts.append("```text\n" + command.epilog.strip() + "\n```")
    yield "\n\n".join(parts)


def _spellings(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).strip("[]")


def _joined(text: str) -> str:
    """Return paragraphs without the line breaks inside them."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\f", "").strip())
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


# The config


def config_part(_: str = "") -> str:
    """Return each section of the config with its keys, from the JSON Schema."""
    from dropout_lab.config.schema import Config

    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    top = {key: each for key, each in schema["properties"].items() if _model(each) is None}
    sections = [("Keys outside sections", "", top)]
    for key, each in schema["properties"].items():
        if (name := _model(each)) is not None:
            model = definitions[name]
            sections.append((f"`{key}`", model.get("description", ""), model["properties"]))
    value = definitions["PublishedValue"]
    sections.append(("An entry of `published.values`", value["description"], value["properties"]))
    return "\n\n".join(
        f"## {title}\n\n{_joined(about)}\n\n{_keys(properties)}"
        for title, about, properties in sections
    )


def _model(schema: dict[str, Any]) -> str | None:
    """Return the name of the model that a key holds; None if the key holds no model."""
    for each in [schema, *schema.get("anyOf", [])]:
        if str(each.get("$ref", "")).endswith("Settings"):
            return str(each["$ref"]).rpartition("/")[2]
    return None


def _keys(properties: dict[str, Any]) -> str:
    rows = [
        [
            code(key),
            code(_yaml(each.get("default", ""))),
            _allowed(each),
            each.get("description", ""),
        ]
        for key, each in properties.items()
    ]
    return table(["key", "default", "allowed", "meaning"], rows)


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _allowed(schema: dict[str, Any]) -> str:
    """Return which values a key may have, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(filter(None, map(_allowed, schema["anyOf"]))))
    if "enum" in schema or "const" in schema:
        return ", ".join(code(each) for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"a list of: {_allowed(items)}" if items else "a list"
    if kind in ("number", "integer"):
        return f"{'number' if kind == 'number' else 'whole number'}{_range(schema)}"
    return {
        "boolean": "`true`, `false`",
        "string": "text",
        "null": "`null`",
        "object": "a mapping",
    }.get(kind or "", "")


def _range(schema: dict[str, Any]) -> str:
    words = {
        "exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"
    }  # fmt: skip
    limits = [
        f"{word} {schema[key]:g}"
        for key, word in words.items()
        if key in schema and abs(schema[key]) < 2**31
    ]
    return " " + " ".join(limits) if limits else ""


def mistakes_part(_: str = "") -> str:
    """Return what ``config check`` says about a config with two mistakes."""
    from dropout_lab.config.load import load
    from dropout_lab.errors import ConfigError

    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_text("dropout:\n  variant: gausian\n  p: 3\n", encoding="utf-8")
        try:
            load(path)
        except ConfigError as error:
            return "```text\n" + str(error).replace(f"{folder}/", "") + "\n```"
    raise RuntimeError("The example of a wrong config is accepted.")


# Variants, columns, shipped configs


def variants_part(_: str = "") -> str:
    """Return the catalogue of variants: a table, and a section for each variant."""
    from dropout_lab.catalogue import CATALOGUE, COST_MEASURED

    overview = [
        [code(name), getattr(kind, "summary", "") or code(kind.formula), kind.paper]
        for name, kind in CATALOGUE.items()
    ]
    sections = [table(["variant", "what it does", "paper"], overview)]
    for name, kind in CATALOGUE.items():
        options = ", ".join(
            f"`dropout.{key}`" + (" (required)" if key in kind.needed else "")
            for key in kind.options
        )
        facts = {
            "Formula": code(kind.formula),
            "p": kind.p if kind.noisy else "",
            "Largest p": f"{kind.highest_p:g}" + (f": {kind.beyond}" if kind.beyond else ""),
            "Learned": kind.learned,
            "Keys of its own": options,
            "Time of a training step": f"{kind.cost:.3g} × no dropout",
            "Remark": kind.remark,
            "Paper": kind.paper,
            "Also called": ", ".join(name.replace("_", " ") for name in kind.other_names),
        }
        lines = [f"- **{label}**: {cell(text)}" for label, text in facts.items() if text]
        sections.append(f"### `{name}`\n\n" + "\n".join(lines))
    return "\n\n".join([*sections, f"How the time was measured: {COST_MEASURED}."])


def columns_part(_: str = "") -> str:
    """Return the columns of every table of a study."""
    from dropout_lab.results.columns import TABLES

    parts = []
    for name, columns in TABLES.items():
        rows = [
            [
                code(each.name),
                each.about + (f" One of: {', '.join(each.words)}." if each.words else ""),
            ]
            for each in columns
        ]
        parts.append(f"### `{name}`\n\n" + table(["column", "meaning"], rows))
    return "\n\n".join(parts)


def configs_part(folder: str = "") -> str:
    """Return the shipped configs of a folder with their first comment."""
    files = sorted((ROOT / "configs" / folder).glob("*.yaml"))
    rows = [[code(path.stem), path.read_text().partition("\n")[0].strip("# ")] for path in files]
    return table(["config", "what it is for"], rows)


def datasets_part(_: str = "") -> str:
    """Return the data sets that have a name."""
    from dropout_lab.datasets import DATASETS

    rows = [
        [
            code(name),
            each.about,
            " × ".join(map(str, each.shape)) if each.is_image else f"{each.features} numbers",
            str(each.classes),
            f"{each.train:,}",
            f"{each.test:,}",
            "download" if each.downloadable else each.distribution or "generated",
        ]
        for name, each in DATASETS.items()
    ]
    heads = ["data set", "what", "example", "classes", "training", "test", "from"]
    return table(heads, rows)


def lessons_part(_: str = "") -> str:
    """Return the list of lessons, each with its claim."""
    from dropout_lab.lessons import LESSONS

    rows = [
        [f"[`{name}`](lessons/{name}.md)", about.claim, f"{about.seconds[1]:.0f}"]
        for name, about in LESSONS.items()
    ]
    return table(["lesson", "claim", "seconds"], rows)
