"""What the design names and this version cannot do yet. Building a part deletes its rows.

A key that the models know is accepted when a file is read and refused when it is run; one that they do not
know is refused at once, as not built rather than as a typing mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tuner.errors import SpecError
from tuner.spec.faults import Path, show

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

# dotted path -> the values that are not built; () for every value but none
_UNBUILT: dict[str, tuple[str, ...]] = {}


def not_built(path: Path) -> bool:
    """Whether the key at `path` is one that a later version will know."""
    words = [str(p) for p in path if isinstance(p, str)]
    words = [w for i, w in enumerate(words) if (i, w) != (1, "points")]
    return ".".join(words) in _UNBUILT


def refuse_unbuilt(experiment: Experiment) -> None:
    """Refuse to run what this version cannot.

    Raises:
        SpecError: one line for the first such key.
    """
    content = experiment.resolved()
    for dotted, values in _UNBUILT.items():
        found = _value(content, dotted)
        if found is not None and (not values or found in values):
            got = show(found) if not isinstance(found, Mapping) else "a value"
            raise SpecError(
                f"{dotted}: got {got}, which is not built yet; would be right: without it",
                source=experiment.source,
            )


def _value(content: Any, dotted: str) -> Any:
    for word in dotted.split("."):
        if not isinstance(content, Mapping):
            return None
        content = content.get(word)
    return content
