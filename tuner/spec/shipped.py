"""Finds the templates and experiments that ship: in a checkout at its top, in a wheel under tuner/shipped."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOTS = (_PACKAGE.parent, _PACKAGE / "shipped")


def template(name: str) -> str:
    """The text of a template: a file of the person's own by that path, else one that ships.

    Raises:
        UserError: there is neither, or it cannot be read; names what ships.
    """
    path = _find("templates", name, "template")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"template {path} cannot be read: {error}") from error


def search_space(name: str) -> Path:
    """The path of an experiment, by the same rule; `quickstart` finds quickstart.yaml.

    Raises:
        UserError: there is none; names what ships.
    """
    return _find("search_spaces", name, "experiment", suffix=".yaml")


def _find(folder: str, name: str, kind: str, suffix: str = "") -> Path:
    own = Path(name).expanduser()
    if own.is_file():
        return own
    shipped = [root / folder for root in _ROOTS if (root / folder).is_dir()]
    if own.name == name or own.parts[0] == folder:  # search_spaces/x.yaml is meant from wherever it is typed
        for place in shipped:
            for candidate in (place / own.name, place / f"{own.name}{suffix}"):
                if candidate.is_file():
                    return candidate
    names = sorted({file.name for place in shipped for file in place.iterdir() if file.is_file()})
    raise UserError(f"{kind} {name}: no such file; these ship: {', '.join(names) or 'none'}")
