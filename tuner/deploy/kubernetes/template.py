"""A Jinja template of YAML -> objects, so that no value can break out of its place, however it is quoted.

Values never meet the YAML parser. Whatever the template puts out is a token of letters and digits; the text
with tokens is parsed, and then each token in the tree becomes its value. A plain scalar that is one token
becomes the value with its type (a number, a list, a mapping); a quoted one, or a token in more text, is text.
What a macro, a set block or a filter block made is text too, never structure.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError, Undefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tuner.errors import UserError
from tuner.spec.document import YamlLoader

_DEEPEST = 60
_TEXT = "tag:yaml.org,2002:str"
_FAULTS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


def render(text: str, values: Mapping[str, Any], *, name: str) -> list[Any]:
    """The documents of `text`, empty ones left out.

    Args:
        values: what the template may use: text, numbers, lists, mappings, None.
        name: of the template, for errors.

    Raises:
        UserError: it does not render, or is no YAML; one line with the template's name and line.
    """
    return _Rendering(name).documents(text, values)


class _Rendering:
    def __init__(self, name: str) -> None:
        self._name = name
        self._mark = f"v{secrets.token_hex(12)}x"  # no value can hold what is drawn after it was given
        self._token = re.compile(rf"{self._mark}([0-9]+)z")
        self._values: list[Any] = []

    def documents(self, text: str, values: Mapping[str, Any]) -> list[Any]:
        loader = YamlLoader(self._rendered(text, values))
        found = []
        try:
            while loader.check_node():
                node = loader.get_node()
                found.append(self._value(node, loader, 0) if node is not None else None)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f" (line {mark.line + 1} of what it renders to)" if mark else ""
            raise self._error(f": no YAML{line}: {error.problem or error.context}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self._error(f": no YAML: {error}") from error
        return [document for document in found if document is not None]

    def _rendered(self, text: str, values: Mapping[str, Any]) -> str:
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=self._finalize()
        )
        # the value itself: how it is written is not the template's affair
        environment.filters["tojson"] = environment.filters["to_yaml"] = lambda value, *_, **__: value
        try:
            return environment.from_string(text).render(values)
        except TemplateError as error:
            raise self._error(f"{_line(error)}: {error}") from error
        except _FAULTS as error:
            raise self._error(f"{_line(error)}: {type(error).__name__}: {error}") from error

    def _finalize(self) -> Callable[[Context, Any], str]:
        @pass_context  # so that constants too are put out when it renders, not when Jinja compiles it
        def finalize(_: Context, value: Any) -> str:
            if isinstance(value, Undefined):
                str(value)  # a strict one raises
            self._values.append(_plain(value))
            return f"{self._mark}{len(self._values) - 1}z"

        return finalize

    def _value(self, node: yaml.Node, loader: YamlLoader, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST} levels")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loader, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, loader, depth + 1) for child in node.value]
        assert isinstance(node, yaml.ScalarNode)
        whole = self._token.fullmatch(node.value)
        if whole and node.style is None and node.tag == _TEXT:
            value = self._values[int(whole.group(1))]
            return self._text(value) if isinstance(value, str) else value
        if self._mark in node.value.lower():
            return self._text(node.value)
        return loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, loader: YamlLoader, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._value(key_node, loader, depth + 1)
            if not isinstance(key, str) or key in found:
                problem = f"the key {key!r} " + ("stands twice" if isinstance(key, str) else "is no text")
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            found[key] = self._value(value_node, loader, depth + 1)
        return found

    def _text(self, text: str) -> str:
        found = self._token.sub(lambda match: self._written(self._values[int(match.group(1))]), text)
        if self._mark in found.lower():
            raise ValueError("a filter block changes what was put out; would be right: {{ value | filter }}")
        return found

    def _written(self, value: Any) -> str:
        return self._text(value) if isinstance(value, str) else json.dumps(value)

    def _error(self, text: str) -> UserError:
        return UserError(" ".join(f"template {self._name}{text}".split())[:400])


def _plain(value: Any) -> Any:
    """`value` as JSON has it, read now: what a template changes afterwards does not count."""
    if isinstance(value, str):
        return str(value)  # also of Jinja's Markup
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot stand in a manifest")


def _line(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" line {line}" if line else ""
