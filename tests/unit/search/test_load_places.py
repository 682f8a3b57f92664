"""Benchmark actors stay off engines' nodes and the driver's while others have room."""

from __future__ import annotations

from types import SimpleNamespace

from tuner.search.ray.placing import load_places


def node(name, cpus, accelerators=0.0):
    return SimpleNamespace(node_id=name, cpus=float(cpus), resources={"serving_gpu": accelerators})


def test_load_stays_off_engines_nodes_and_the_drivers_while_others_have_room():
    nodes = [node("head", 4, 8.0), node("gpu", 4, 8.0), node("one", 2), node("two", 1)]
    assert load_places(nodes, "serving_gpu", 3) == ["one", "two", "one"]
    assert load_places(nodes, "serving_gpu", 5) == ["one", "two", "one", "head", "gpu"]
    assert load_places([node("head", 4), node("one", 1)], "serving_gpu", 3) == ["one", "head", "head"]
    assert load_places([node("only", 2, 8.0)], "serving_gpu", 3) == ["only"] * 3
