"""YAML with the line of every key. Scalars follow YAML 1.2: only true and false are booleans.

YAML 1.1, PyYAML's default, reads `on`, `off`, `yes` as booleans (engine flags take them as words), `1e-3` as
text and `22:00` as the number 1320.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tuner.errors import SpecError
from tuner.spec.faults import Path

_DEEPEST = 40
_MOST_NODES = 200_000  # aliases of aliases grow without a bound


class YamlLoader(yaml.SafeLoader):
    """A safe loader with YAML 1.2's rules: a date is text, `on` is text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as its base


class _Dumper(
    yaml.SafeDumper
):  # with YAML 1.1's rules too, so that words like `on` are quoted for its readers
    def ignore_aliases(self, data: object) -> bool:
        return True


# What other readers take for a boolean or a number, such as the one that kubectl has.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:y|Y|n|N)$"), list("yYnN"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?0o?[0-7_]+$"), list("-+0"))

for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    for _class in (YamlLoader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}",
            re.compile(f"^(?:{_pattern})$"),
            [c if c != "\0" else "" for c in _first],
        )


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        source: the file's name, for people.
        data: plain Python values.
        lines: path -> 1-based line of its key (of the item, in a list), or the `--set` that gave it.
        origins: path in `data` -> path in the file, where the file had another form.
    """

    source: str
    data: Any
    lines: dict[Path, int | str]
    origins: dict[Path, Path] = field(default_factory=dict)

    def place(self, path: Path) -> int | str | None:
        """The line, or the `--set`, nearest to `path`."""
        for length in range(len(path), -1, -1):
            head = path[:length]
            if isinstance(found := self.lines.get(head), str):
                return found
            origin = self.origins.get(head)
            if origin is not None:
                found = next(
                    (self.lines[origin[:n]] for n in range(len(origin), -1, -1) if origin[:n] in self.lines),
                    None,
                )
            if found is not None:
                return found
        return None

    def error(self, path: Path, message: str) -> SpecError:
        """The one line for a fault at `path`."""
        place = self.place(path)
        if isinstance(place, str):
            return SpecError(f"{place}: {dotted(path)}: {message}")
        return SpecError(f"{dotted(path)}: {message}" if path else message, source=self.source, line=place)


def dotted(path: Path) -> str:
    """`path` as a person writes it: search.trials, workload[1].scenario."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.removeprefix(".")


def parse(text: str, source: str) -> Document:
    """Parse YAML or JSON.

    Raises:
        SpecError: with the line, when it does not parse, repeats a key, or has a key that is not text.
    """
    try:
        as_json = json.loads(text)
    except (ValueError, RecursionError):
        as_json = None
    else:
        text = text.replace("\t", " ")  # in JSON a tab can only stand between tokens; YAML refuses it there
    try:
        node = yaml.compose(text, Loader=YamlLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise SpecError(
            f"this is no YAML: {error.problem or error.context}", source=source, line=line
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"this is no YAML: {str(error).splitlines()[0]}", source=source) from error
    if node is None:
        raise SpecError(
            "the file is empty; an experiment has at least model, parameters and workload", source=source
        )
    lines: dict[Path, int | str] = {}
    found = _Reader(source, lines).value(node, ())
    return Document(source, as_json if as_json is not None else found, lines)


def parse_value(text: str) -> Any:
    """One YAML value, as `--set` takes it.

    Raises:
        SpecError: it does not parse.
    """
    return parse(text, "").data if text.strip() else None


def dump(value: Any) -> str:
    """YAML that `parse` reads back to an equal value; keys keep their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=110)


class _Reader:
    def __init__(self, source: str, lines: dict[Path, int | str]) -> None:
        self._source = source
        self._lines = lines
        self._nodes = 0
        self._scalars = YamlLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > _DEEPEST:
            raise self._error(
                node, f"nested deeper than {_DEEPEST} levels, or aliases that grow without a bound"
            )
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self._error(node, f"got {node.value!r}, which cannot be read as {node.tag}") from error

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self.value(key_node, (*path, "?"))
            self._lines.pop((*path, "?"), None)
            if not isinstance(key, str):
                raise self._error(
                    key_node, f"got the key {key!r}; would be right: text, such as '{key}' in quotes"
                )
            if key in seen:
                raise self._error(key_node, f"{dotted((*path, key))} stands twice; would be right: once")
            seen.add(key)
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            yield key, self.value(value_node, (*path, key))

    def _error(self, node: yaml.Node, message: str) -> SpecError:
        return SpecError(message, source=self._source, line=node.start_mark.line + 1)
