"""Small pieces of HTML. Whatever comes from an experiment or a log passes through `esc`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.results.plain_json import plain


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def esc(text: object) -> Markup:
    """`text` as HTML that shows it as it is; Markup passes through."""
    return text if isinstance(text, Markup) else Markup(html.escape(str(text)))


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """An element; `class_` is written class, `data_x` data-x."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(esc(part) for part in inside)}</{name}>")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, class_: str = "") -> Markup:
    """A table that scrolls by itself where it is too wide."""
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    columns = tag("thead", tag("tr", *(tag("th", cell) for cell in head))) if head else ""
    return tag("div", tag("table", columns, tag("tbody", *body), class_=class_ or None), class_="scroll")


def facts(rows: Mapping[str, object]) -> Markup:
    """Names and what they are."""
    return tag("dl", *(Markup(tag("dt", name) + tag("dd", value)) for name, value in rows.items()))


def details(summary: object, *inside: object, open_: bool = False) -> Markup:
    """Something to unfold."""
    return tag("details", tag("summary", summary), *inside, open="open" if open_ else None)


@dataclass(slots=True)
class Charts:
    """The charts of a page: each gets a place here and its figure at the end."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def place(self, name: str, figure: dict[str, Any] | None, *, height: int = 340) -> Markup:
        """The element in which `figure` (data and layout of plotly.js) is drawn; nothing for None."""
        if figure is None:
            return Markup("")
        self.figures[name] = figure
        return tag("div", id=f"chart-{name}", class_="chart", style=f"height:{height}px")

    def scripts(self) -> Markup:
        """The figures as JSON, safe inside a script element."""
        return Markup("".join(_json_script(name, figure) for name, figure in self.figures.items()))


def _json_script(name: str, figure: Mapping[str, Any]) -> str:
    text = json.dumps(plain(figure), allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" data-chart="chart-{html.escape(name)}">{safe}</script>\n'
