import json
import pickle
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.errors import SpecError
from tuner.spec import Experiment, load_experiment, refuse_unbuilt
from tuner.spec.document import dump, parse

REPOSITORY = Path(__file__).parents[3]
SHIPPED = sorted(p for p in (REPOSITORY / "search_spaces").iterdir() if p.suffix in (".yaml", ".json"))
PARAMETERS = "parameters: {slots: {values: [1, 2, 4]}, flash: {values: [on, off, auto]}}\n"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_experiment_that_ships_loads_and_comes_back_from_its_resolved_form(path, read):
    experiment = load_experiment(path)
    assert experiment.source == str(path)
    assert read(experiment.resolved_yaml()) == experiment
    assert experiment.space.valid(experiment.space.baseline)


def test_what_is_left_out_has_its_defaults(sections):
    experiment = sections(PARAMETERS)
    assert (experiment.deploy.backend, experiment.deploy.template) == ("local", "llama_server.argv.j2")
    assert (experiment.deploy.accelerators, experiment.deploy.accelerator_resource) == (0, "GPU")
    assert (experiment.deploy.ready_seconds, experiment.deploy.stop_seconds) == (120, 5)
    assert (experiment.search.trials, experiment.search.parallel) == (40, "auto")
    assert experiment.search.budget.failures_in_a_row == 5
    assert (experiment.validation.top, experiment.validation.deployments) == (2, 3)
    assert [(g.metric, g.is_maximized) for g in experiment.objective] == [("output_tokens_per_second", True)]
    assert experiment.space.baseline == {}
    assert experiment.model.synthetic.seed == 0


def test_defaults_follow_the_backend(sections):
    text = PARAMETERS + "deploy: {backend: ome, runtime: sglang}\n"
    deploy = sections(text, "model={name: llama}").deploy
    assert (deploy.accelerators, deploy.accelerator_resource, deploy.ready_seconds) == (1, "serving_gpu", 900)
    assert (deploy.template, deploy.stop_seconds) == ("inference_service.yaml.j2", 30)
    assert (deploy.endpoint, deploy.owner, deploy.gpu_resource) == ("service", "auto", "nvidia.com/gpu")


def test_a_resolved_experiment_has_the_keys_of_its_own_backend_alone(sections):
    local = sections(PARAMETERS).resolved()["deploy"]
    assert "pinning" in local
    assert not {"pod", "endpoint", "schedule_seconds", "container_port"} & local.keys()
    text = PARAMETERS + "deploy: {backend: ome, runtime: sglang}\n"
    ome = sections(text, "model={name: llama}").resolved()["deploy"]
    assert {"pod", "endpoint", "schedule_seconds", "runtime"} <= ome.keys()
    assert not {"pinning", "binary", "container_port"} & ome.keys()


def test_words_like_on_and_off_are_words(sections):
    experiment = sections(PARAMETERS + "accuracy: {check: off}\nbaseline: {flash: on}\n")
    assert experiment.parameters["flash"].grid() == ("on", "off", "auto")
    assert experiment.space.arguments({"flash": "on"}) == ("--flash", "on")
    assert yaml.safe_load(experiment.resolved_yaml())["accuracy"]["check"] == "off"


def test_a_name_left_out_is_the_files(read):
    text = "model: {synthetic: {}}\nworkload: {scenario: 'D(4,4)', concurrency: 1}\n" + PARAMETERS
    assert read(text, name="My first_Space.yaml").name == "my-first-space"
    assert read(text, name="2.yaml").name == "experiment-2"


def test_workload_may_be_a_list_of_named_points(read):
    text = "name: x\nmodel: {synthetic: {}}\n" + PARAMETERS
    text += "workload:\n  - {name: short, scenario: 'D(4,4)', concurrency: 1}\n"
    text += "  - {name: open, scenario: 'U(4,8)', request_rate: 2.5}\nslo: {open.ttft_p95_ms: 5}\n"
    experiment = read(text)
    assert [p.name for p in experiment.workload.points] == ["short", "open"]
    assert experiment.workload.rounds == 4
    assert read(text, "workload.rounds=2").workload.rounds == 2
    assert read(text, "workload.1.request_rate=4").workload.points[1].request_rate == 4
    with pytest.raises(SpecError, match=r"yaml:6: workload\[1\].scenario: got 'V\(4,8\)'"):
        read(text.replace("U(4,8)", "V(4,8)"))
    with pytest.raises(SpecError, match=r"yaml:6: workload\[1\]: got a second load point 'short'"):
        read(text.replace("name: open", "name: short"))


def test_several_objectives_are_a_list(sections):
    experiment = sections(
        PARAMETERS + "objective: [{maximize: requests_per_second}, {minimize: load.tpot_p50_ms}]\n"
    )
    assert [(g.metric, g.is_maximized) for g in experiment.objective] == [
        ("requests_per_second", True),
        ("load.tpot_p50_ms", False),
    ]
    with pytest.raises(
        SpecError, match=r"yaml:5: objective\[1\].minimize: got the unknown metric 'tpot_p51_ms'"
    ):
        sections(PARAMETERS + "objective: [{maximize: requests_per_second}, {minimize: tpot_p51_ms}]\n")


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("search.trials=5", lambda e: e.search.trials == 5),
        ("search.budget.hours=0.5", lambda e: e.search.budget.hours == 0.5),
        ("search.budget={hours: 2}", lambda e: e.search.budget.hours == 2),
        ("deploy.pinning={engine: [0], load: [1]}", lambda e: e.deploy.pinning.load == (1,)),
        ("deploy.env.OMP_NUM_THREADS='2'", lambda e: e.deploy.env == {"OMP_NUM_THREADS": "2"}),
        ("slo.load.ttft_p95_ms=500", lambda e: e.slo == {"load.ttft_p95_ms": 500}),
        ("workload.concurrency=4", lambda e: e.workload.points[0].concurrency == 4),
        ("workload.rounds=2", lambda e: e.workload.rounds == 2),
        ("baseline.slots=2", lambda e: e.baseline == {"slots": 2}),
        ("parameters.slots.values=[1, 8]", lambda e: e.parameters["slots"].grid() == (1, 8)),
        ("parameters.new={low: 1, high: 3}", lambda e: e.parameters["new"].count() == 3),
        ("model.synthetic.layers=2", lambda e: e.model.synthetic.layers == 2),
        ("objective={minimize: ttft_p95_ms}", lambda e: e.objective[0].metric == "ttft_p95_ms"),
        ("constraints=['slots < 4']", lambda e: e.space.size() == 6),
    ],
)
def test_an_override_changes_any_value(override, where, sections):
    assert where(sections(PARAMETERS, override))
    assert sections(PARAMETERS, override).hash != sections(PARAMETERS).hash


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.trails=5", "search.trails: got an unknown key; would be right: trials"),
        ("serch.trials=5", "serch: got an unknown key; would be right: search"),
        ("search.trials=x", "search.trials: got 'x'; would be right: a whole number"),
        ("search.trials.a=5", "search.trials is 7; would be right: a path to a value"),
        ("search.trials", "got 'search.trials'; would be right: --set search.trials=5"),
        ("=5", "got '=5'; would be right: --set search.trials=5"),
        ("search.trials=[1", "this is no YAML"),
        ("parameters.slots.vals=[1]", "parameters.slots.vals: got an unknown key; would be right: values"),
        ("baseline.slot=1", "baseline.slot: got an unknown parameter; would be right: slots"),
        ("baseline.slots=3", "baseline.slots: got 3; would be right: one of 1, 2, 4"),
        ("constraints.0=slots < 1", "got '0'; would be right: a place in constraints"),
        ("slo.ttft_p95=5", "slo.ttft_p95: got the unknown metric 'ttft_p95'; would be right: ttft_p95_ms"),
    ],
)
def test_a_wrong_override_is_named_in_place_of_a_line(override, said, sections):
    with pytest.raises(SpecError) as caught:
        sections(PARAMETERS + "search: {trials: 7}\nconstraints: []\n", override)
    assert str(caught.value).startswith(f"--set {override.partition('=')[0]}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_in_an_override_is_not_repeated(sections):
    with pytest.raises(SpecError) as caught:
        sections(PARAMETERS, "search.storage=postgresql://tuner:planted@db/study")
    assert "planted" not in str(caught.value)
    assert "search.storage" in str(caught.value)


def test_the_hash_follows_the_content_and_not_its_form(read, sections):
    experiment = sections(PARAMETERS)
    assert len(experiment.hash) == 12
    reordered = "# a comment\n" + PARAMETERS + "workload:\n  concurrency: 16\n  scenario: D(48,64)\n"
    reordered += "search: {trials: 40}\nmodel: {synthetic: {seed: 0}}\nname: demo\n"
    assert read(reordered).hash == experiment.hash
    assert sections(PARAMETERS, "search.seed=1").hash != experiment.hash


def test_an_experiment_can_be_made_without_a_file_and_pickled():
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "model": {"synthetic": {}},
            "parameters": {"a": {"values": [1, 2]}},
            "workload": {"scenario": "D(1,2)", "concurrency": 1},
        }
    )
    assert experiment.source == ""
    assert experiment.space.size() == 2
    copy = pickle.loads(pickle.dumps(experiment))
    assert copy == experiment
    assert copy.space.size() == 2


def test_what_is_not_built_is_read_and_refused_when_it_is_run(sections, tmp_path, monkeypatch):
    monkeypatch.setattr("tuner.spec.unbuilt._UNBUILT", {"accuracy.check": ("always",)})
    experiment = sections(PARAMETERS + "accuracy: {check: always}\n")
    said = "accuracy.check: got 'always', which is not built yet; would be right: without it"
    with pytest.raises(SpecError) as caught:
        refuse_unbuilt(experiment)
    assert str(caught.value) == f"{tmp_path / 'experiment.yaml'}: {said}"


def test_what_is_built_is_not_refused(sections):
    refuse_unbuilt(sections(PARAMETERS))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
WORDS = st.sampled_from(
    [
        "on",
        "off",
        "yes",
        "1e5",
        "0x1f",
        "22:00",
        "~",
        "null",
        "1_000",
        "2024-01-01",
        "=",
        "<<",
        ".5",
        "- a",
        "#",
        "1.0e+3",
        "0o7",
        "010",
    ]
)
CONTENT = st.recursive(
    SCALARS | WORDS,
    lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text() | WORDS, c, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(CONTENT)
def test_whatever_is_written_reads_back_the_same(content):
    assert parse(dump({"x": content}), "").data == {"x": content}


@settings(max_examples=60, deadline=None)
@given(CONTENT)
def test_json_reads_as_json_with_tabs_and_all(content):
    assert parse(json.dumps({"x": content}, indent="\t"), "").data == {"x": content}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["a", "b_c", "d"]),
        st.sampled_from(
            [
                {"values": ["on", "1e5", "~"]},
                {"low": 1, "high": 9, "log": True},
                {"low": 1e-7, "high": 0.25},
                {"type": "bool"},
            ]
        ),
        min_size=1,
    ),
    st.fixed_dictionaries(
        {
            "slo": st.sampled_from([{}, {"ttft_p95_ms": 0.1}, {"load.error_rate": 0}]),
            "search": st.sampled_from(
                [{}, {"parallel": 2}, {"budget": {"hours": 0.25}}, {"budget": {"hours": 3}}]
            ),
            "deploy": st.sampled_from(
                [{}, {"pinning": "none"}, {"pinning": {"engine": [0, 1], "load": [2]}}]
            ),
        }
    ),
)
def test_the_resolved_form_loads_back_to_an_equal_experiment(sections, read, parameters, other):
    content = {"parameters": parameters, **other}
    experiment = sections(dump(content))
    again = read(experiment.resolved_yaml())
    assert again == experiment
    assert again.hash == experiment.hash
