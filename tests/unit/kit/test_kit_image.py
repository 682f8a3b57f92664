"""The image is pinned whole, holds what the project says that it needs, and runs as nobody in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from kit_files import KIT, ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGE = KIT / "image"
CONTAINERFILE = (IMAGE / "Containerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINUX = default_environment() | {"sys_platform": "linux", "platform_system": "Linux"}
LOCKED = re.compile(r"^([\w.-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def locked(name):
    """Versions by package; every line but comments belongs to a version with its hashes."""
    text = (IMAGE / name).read_text()
    assert re.sub(r"^#.*\n", "", LOCKED.sub("", text), flags=re.MULTILINE).strip() == ""
    return {canonicalize_name(found[1]): found[2] for found in LOCKED.finditer(text)}


def asked(name):
    return [line for line in (IMAGE / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements.txt", PROJECT["project"]["optional-dependencies"]["webhook"]),
        ("requirements.txt", asked("requirements.in")),
        ("build-requirements.txt", PROJECT["build-system"]["requires"]),
        ("build-requirements.txt", asked("build-requirements.in")),
    ],
)
def test_a_lock_has_every_package_that_is_asked_for(lock, wanted):
    versions = locked(lock)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(LINUX):
            name = canonicalize_name(requirement.name)
            remedy = f"make cluster/image/{lock} anew with the command in its .in file"
            assert name in versions, f"{name} is not locked: {remedy}"
            assert requirement.specifier.contains(versions[name]), f"{requirement}: {remedy}"


def test_every_stage_is_of_the_base_that_a_digest_names():
    (base,) = re.findall(r"^ARG BASE=(\S+)$", CONTAINERFILE, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)) == {"${BASE}"}


def test_nothing_is_installed_without_a_hash_or_from_elsewhere():
    for line in re.findall(r"pip install .*", CONTAINERFILE):
        assert "--require-hashes" in line or "--no-index" in line
    assert not re.search(r"apt|curl|wget|git clone|https?://", CONTAINERFILE)


def test_it_runs_as_the_user_that_the_manifests_name():
    assert "\nUSER 65532:65532\n" in CONTAINERFILE


def test_what_is_copied_is_there_and_is_all_that_a_wheel_is_made_of():
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
        for word in line.split()
    ]
    for name in copied:
        assert (ROOT / name).exists()
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert {*wheel, "pyproject.toml", PROJECT["project"]["readme"]} <= set(copied)
    ignored = (IMAGE / "Containerfile.dockerignore").read_text().splitlines()
    for name in copied:
        assert f"!{name}" in ignored or f"!{Path(name).parent}" in ignored
