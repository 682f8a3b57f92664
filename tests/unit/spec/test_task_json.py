import json
from pathlib import Path

import pytest

from tuner.errors import SpecError
from tuner.spec import load_experiment

TASK = Path(__file__).parents[3] / "search_spaces" / "llama_task.json"


def changed(tmp_path, **changes):
    task = json.loads(TASK.read_text())
    for path, value in changes.items():
        *sections, key = path.split("__")
        node = task
        for section in sections:
            node = node.setdefault(section, {})
        if value is None:
            del node[key]
        else:
            node[key] = value
    found = tmp_path / "task.json"
    found.write_text(json.dumps(task, indent=1))
    return found


def test_the_seeds_task_becomes_an_experiment():
    experiment = load_experiment(TASK)
    assert experiment.name == "pvc-test"
    assert (experiment.deploy.backend, experiment.deploy.runtime, experiment.deploy.namespace) == (
        "ome",
        "sglang",
        "autotuner",
    )
    assert (experiment.model.name, experiment.model.namespace) == ("llama-3-2-1b-instruct", "autotuner")
    assert experiment.storage.pvc_subpath == "meta/llama-3-2-1b-instruct"
    assert [(g.metric, g.is_maximized) for g in experiment.objective] == [("output_tokens_per_second", True)]
    space = experiment.space
    assert space.baseline == {}
    assert space.accelerators({}) == 1
    assert space.arguments({"tp_size": 1, "mem_fraction_static": 0.9}) == (
        "--tp-size",
        "1",
        "--mem-fraction-static",
        "0.9",
    )


def test_every_scenario_with_every_concurrency_is_a_load_point(tmp_path):
    path = changed(
        tmp_path,
        benchmark__traffic_scenarios=["D(100,100)", "N(9,1)/(8,2)"],
        benchmark__num_concurrency=[1, 4],
    )
    points = load_experiment(path).workload.points
    assert [(p.name, p.scenario, p.concurrency) for p in points] == [
        ("d-100-100-c1", "D(100,100)", 1),
        ("d-100-100-c4", "D(100,100)", 4),
        ("n-9-1-8-2-c1", "N(9,1)/(8,2)", 1),
        ("n-9-1-8-2-c4", "N(9,1)/(8,2)", 4),
    ]


@pytest.mark.parametrize("spelling", ["tpsize", "tp_size", "tp-size"])
def test_the_width_in_any_spelling_sets_the_accelerators(tmp_path, spelling):
    path = changed(tmp_path, parameters={spelling: [1, 2, 4], "enable-x": [True, False]})
    space = load_experiment(path).space
    name = spelling.replace("-", "_")
    assert space.accelerators({name: 4}) == 4
    assert space.accelerators({}) == 1
    assert space.arguments({name: 2, "enable_x": True}) == ("--tp-size", "2", "--enable-x")


def test_without_a_width_each_trial_takes_one_accelerator(tmp_path):
    assert load_experiment(changed(tmp_path, parameters={"x": [1, 2]})).space.accelerators({"x": 1}) == 1


def test_optimization_says_otherwise(tmp_path):
    wanted = {
        "strategy": "grid_search",
        "objective": "minimize_latency",
        "max_iterations": 3,
        "timeout_per_iteration": 600,
    }
    experiment = load_experiment(changed(tmp_path, optimization=wanted))
    assert (experiment.search.sampler, experiment.search.trials) == ("grid", 3)
    assert experiment.objective[0].minimize == "e2e_mean_ms"
    assert experiment.deploy.ready_seconds == 600


def test_overrides_name_the_experiments_keys():
    assert load_experiment(TASK, ["search.trials=5", "workload.rounds=1"]).search.trials == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__idorpath": "x"}, "model.idorpath: got an unknown key; would be right: id_or_path"),
        (
            {"benchmark__num_concurency": [1]},
            "benchmark.num_concurency: got an unknown key; would be right: num_concurrency",
        ),
        (
            {"benchmark__num_concurrency": []},
            "benchmark.num_concurrency: got []; would be right: a list with at least one",
        ),
        (
            {"benchmark__num_concurrency": [0]},
            "workload.points[0].concurrency: got 0; would be right: at least 1",
        ),
        (
            {"benchmark__traffic_scenarios": ["X"]},
            "workload.points[0].scenario: got 'X'; would be right: D(in,out)",
        ),
        ({"benchmark__task": "image"}, "benchmark.task: got 'image'; would be right: text-to-text"),
        ({"parameters__x": 5}, "parameters.x: got 5; would be right: a list of values"),
        (
            {"parameters__tp_size": [2]},
            "parameters.tp_size: got a second spelling of one parameter; would be right",
        ),
        (
            {"optimization__objective": "minimise_latency"},
            "optimization.objective: got 'minimise_latency'; would be right: minimize_latency",
        ),
        ({"model__id_or_path": None}, "model.id_or_path: got nothing; would be right: the model's name"),
        ({"model": "x"}, "model: got 'x'; would be right: a mapping"),
        ({"storage__pvc_nam": "x"}, "storage.pvc_nam: got an unknown key; would be right: pvc_name"),
        ({"storage__pvc_name": None}, "storage.pvc_name: got nothing; would be right: the claim's name"),
    ],
)
def test_a_wrong_task_is_told_by_its_own_lines(tmp_path, changes, said):
    path = changed(tmp_path, **changes)
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    place, _, message = str(caught.value).removeprefix(f"{path}:").partition(": ")
    assert message.startswith(said)
    lines = path.read_text().splitlines()
    key = next(iter(changes)).split("__")[-1]
    parent = next(iter(changes)).split("__")[0]
    assert any(word in lines[int(place) - 1] for word in (f'"{key}"', f'"{parent}"', '"X"'))
