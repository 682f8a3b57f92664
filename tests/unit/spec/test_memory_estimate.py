"""What certainly does not fit an accelerator's memory is no configuration; what hardly does is told."""

from __future__ import annotations

import json

import pytest

from tuner.errors import SpecError
from tuner.spec.memory.model import GIB

LLAMA_8B = {
    "layers": 32,
    "hidden_size": 4096,
    "heads": 32,
    "kv_heads": 8,
    "feed_forward": 14336,
    "vocabulary": 128256,
}
LLAMA_70B = {
    "layers": 80,
    "hidden_size": 8192,
    "heads": 64,
    "kv_heads": 8,
    "feed_forward": 28672,
    "vocabulary": 128256,
}
IMAGES = {
    "vllm": "vllm/vllm-openai:v1",
    "sglang": "lmsysorg/sglang:v1",
    "trtllm": "nvcr.io/nvidia/tensorrt-llm:1",
}


@pytest.fixture
def served(read):
    """An experiment on Kubernetes: the engine, the model's facts, the parameters, what else there is."""

    def made(
        *overrides, engine="vllm", facts=None, gib=80, parameters="{tp: {values: [1, 2], flag: --tp}}", **more
    ):
        deploy = {
            "backend": "kubernetes",
            "image": IMAGES[engine],
            "arguments": more.get("arguments", []),
            "accelerators": more.get("accelerators", "tp"),
            "accelerator_memory_gib": gib,
        }
        model = {"name": more.get("name", "llama"), "facts": facts, "parameter_count": more.get("count")}
        model = {key: value for key, value in model.items() if value is not None}
        return read(
            f"model: {json.dumps(model)}\n"
            "storage: {type: pvc, pvc_name: models}\n"
            f"deploy: {json.dumps(deploy)}\n"
            f"parameters: {parameters}\n"
            f"baseline: {more.get('baseline', '{tp: 2}')}\n"
            'workload: {scenario: "D(1024,256)", concurrency: 64}\n',
            *overrides,
        )

    return made


def test_weights_that_an_accelerator_cannot_hold_are_no_configuration(served):
    space = served(facts={**LLAMA_70B, "weights_gb": 141}).space
    assert [params["tp"] for params in space.grid()] == [2]
    assert space.size() == 1
    (line,) = space.check({"tp": 1})
    assert "131.3 GiB an accelerator do not fit into 80.0 of 80 GiB" in line


def test_nothing_is_refused_of_a_model_or_memory_that_is_not_known(served):
    assert served(facts={**LLAMA_70B, "weights_gb": 141}, gib=None).space.size() == 2
    assert served().space.size() == 2


def test_a_baseline_that_cannot_fit_is_told_when_the_file_is_read(served):
    with pytest.raises(SpecError, match=r"baseline: got memory: tp=1: weights of 131.3 GiB"):
        served(facts={**LLAMA_70B, "weights_gb": 141}, baseline="{tp: 1}")


def test_of_a_number_of_parameters_alone_only_what_four_bits_each_exceed_is_refused(served):
    assert served(count="70.6B", gib=80).space.size() == 2
    assert served(count="70.6B", gib=24).space.size() == 1


@pytest.mark.parametrize(
    ("engine", "flag"), [("vllm", "--gpu-memory-utilization"), ("sglang", "--mem-fraction-static")]
)
def test_the_share_that_weights_and_cache_get_counts_where_it_is_said(served, engine, flag):
    shares = f"{{tp: {{values: [2], flag: --tp}}, share: {{values: [0.8, 0.95], flag: {flag}}}}}"
    facts = {**LLAMA_70B, "weights_gb": 141}  # 65.7 GiB on each of two
    space = served(
        engine=engine, facts=facts, gib=76, parameters=shares, baseline="{tp: 2, share: 0.95}"
    ).space
    assert [params["share"] for params in space.grid()] == [0.95]
    assert served(engine=engine, facts=facts, gib=76).space.size() == 1  # the engine's default may be any


def test_a_model_quantised_as_it_is_loaded_or_kept_elsewhere_is_not_refused(served):
    facts = {**LLAMA_70B, "weights_gb": 141}
    assert served(facts=facts, arguments=["--quantization", "fp8"]).space.size() == 2
    assert served(facts=facts, arguments=["--cpu-offload-gb=80"]).space.size() == 2


def test_vllm_needs_room_for_a_request_of_the_greatest_length_that_it_is_started_for(served):
    lengths = (
        "{tp: {values: [1], flag: --tp}, longest: {values: [8192, 655360, 1310720], flag: --max-model-len}}"
    )
    facts = {**LLAMA_8B, "weights_gb": 16.1}
    given = {"facts": facts, "parameters": lengths, "baseline": "{tp: 1, longest: 8192}"}

    def kept(**more):
        return [params["longest"] for params in served(**given, **more).space.grid()]

    # 131,072 bytes a token in 16 bits, so 80 and 160 GiB; who says nothing may use as few as four bits
    assert kept(arguments=["--kv-cache-dtype", "bfloat16"]) == [8192]
    assert kept(arguments=["--kv-cache-dtype", "fp8"]) == [8192, 655360]
    assert kept() == [8192, 655360, 1310720]


def test_replicas_of_a_dense_model_hold_it_each_and_those_of_experts_may_share_it(served):
    layouts = "{tp: {values: [1, 2], flag: --tp}, dp: {values: [1, 2], flag: --dp}}"
    given = {"parameters": layouts, "accelerators": "tp * dp", "baseline": "{tp: 2, dp: 1}"}

    def kept(name="llama", **more):
        facts = {**LLAMA_70B, "weights_gb": 100, **more}
        return [
            (params["tp"], params["dp"]) for params in served(facts=facts, name=name, **given).space.grid()
        ]

    assert kept() == [(2, 1), (2, 2)]
    assert kept(expert_share=0.9) == kept(name="mixtral") == [(1, 2), (2, 1), (2, 2)]


def test_a_space_in_which_nothing_fits_says_so(served):
    facts = {**LLAMA_70B, "weights_gb": 400}
    with pytest.raises(SpecError, match=r"accelerator_memory_gib: got no configuration that fits"):
        served(facts=facts, baseline="{}", accelerators="default(tp, 1)")


def test_a_token_takes_keys_and_values_of_every_layer_spread_over_the_width(served):
    def token(tp, facts=LLAMA_8B, **more):
        memory = served(facts={**facts, "weights_gb": 16.1}, **more).memory
        estimate = memory.estimate({"tp": tp})
        return estimate.cache / estimate.tokens

    assert token(1) == pytest.approx(2 * 32 * 8 * 128 * 2)
    assert token(2) == pytest.approx(2 * 32 * 4 * 128 * 2)
    assert token(1, arguments=["--kv-cache-dtype", "fp8"]) == pytest.approx(2 * 32 * 8 * 128)
    assert token(1, {**LLAMA_8B, "cached_layers": 4}) == pytest.approx(2 * 4 * 8 * 128 * 2)
    latent = {**LLAMA_8B, "layers": 61, "latent": 576}
    assert token(1, latent) == token(2, latent) == pytest.approx(61 * 576 * 2)


def test_heads_are_repeated_where_the_width_exceeds_them(served):
    memory = served(facts={**LLAMA_8B, "kv_heads": 1, "weights_gb": 16.1}).memory
    one, two = memory.estimate({"tp": 1}), memory.estimate({"tp": 2})
    assert one.cache / one.tokens == pytest.approx(two.cache / two.tokens)


def test_each_engine_shares_memory_out_by_its_own_rule(served):
    facts = {**LLAMA_8B, "weights_gb": 16.1}
    whole, weights = 80 * GIB, 16.1e9

    def cache(engine, flag):
        shares = f"{{tp: {{values: [1], flag: --tp}}, share: {{values: [0.5, 0.9], flag: {flag}}}}}"
        memory = served(engine=engine, facts=facts, parameters=shares, baseline="{tp: 1, share: 0.9}").memory
        return [memory.estimate({"tp": 1, "share": share}).cache for share in (0.5, 0.9)]

    half, most = cache("vllm", "--gpu-memory-utilization")
    assert most - half == pytest.approx(0.4 * whole)
    assert half < 0.5 * whole - weights  # the largest step is within the share
    half, most = cache("sglang", "--mem-fraction-static")
    assert half == pytest.approx(0.5 * whole - weights)
    half, most = cache("trtllm", "--free_gpu_memory_fraction")
    assert most / half == pytest.approx(0.9 / 0.5)
    assert half < 0.5 * (whole - weights)  # of what is left beside weights and the largest step


def test_what_is_left_beside_the_share_tells_who_is_tight(served):
    shares = "{tp: {values: [1], flag: --tp}, share: {values: [0.9, 0.99], flag: --gpu-memory-utilization}}"
    memory = served(
        facts={**LLAMA_8B, "weights_gb": 16.1}, parameters=shares, baseline="{tp: 1, share: 0.9}"
    ).memory
    assert not memory.estimate({"tp": 1, "share": 0.9}).tight
    assert memory.estimate({"tp": 1, "share": 0.99}).tight


def test_llama_cpp_makes_the_cache_of_its_whole_context_at_once(sections):
    text = "parameters: {context: {values: [4096, 40000000], flag: --ctx-size}}\nbaseline: {context: 4096}\n"
    read = sections(text, "deploy.accelerator_memory_gib=8")
    assert read.memory.estimate({"context": 4096}).cache == 4096 * 2 * 8 * 512 * 2
    assert [params["context"] for params in read.space.grid()] == [4096]


def test_several_variants_need_a_size_each(served):
    variants = "{tp: {values: [1], flag: --tp}, weights: {values: [bf16, fp8], place: storage.pvc_subpath}}"
    given = {"parameters": variants, "baseline": "{tp: 1}"}
    sizes = {"bf16": 141.0, "fp8": 71.5}
    space = served(facts={**LLAMA_70B, "weights_gb": sizes}, **given).space
    assert [params["weights"] for params in space.grid()] == ["fp8"]
    with pytest.raises(SpecError, match=r"model.facts.weights_gb: got 141 for 2 variants"):
        served(facts={**LLAMA_70B, "weights_gb": 141}, **given)
    with pytest.raises(SpecError, match=r"model.facts.weights_gb.fp9.*would be right: fp8"):
        served(facts={**LLAMA_70B, "weights_gb": {"fp9": 71.5}}, **given)


def test_an_engine_is_known_by_its_own_name_and_not_by_its_models(served):
    assert served(facts={**LLAMA_8B, "weights_gb": 16.1}).memory.engine == "vllm"
    assert served("deploy.image=registry/llama-8b:1", facts={**LLAMA_8B, "weights_gb": 16.1}).memory is None
    cpp = served("deploy.image=ghcr.io/ggml-org/llama.cpp:server", facts={**LLAMA_8B, "weights_gb": 16.1})
    assert cpp.memory.engine == "llama.cpp"


def test_of_a_runtime_whose_arguments_are_not_known_the_greatest_length_is_not_taken_for_the_models(read):
    def headroom(deploy):
        facts = json.dumps({**LLAMA_8B, "weights_gb": 16.1})
        found = read(
            f"model: {{name: llama, context_length: 131072, facts: {facts}}}\n"
            "storage: {type: pvc, pvc_name: models}\n"
            f"deploy: {{accelerators: 1, accelerator_memory_gib: 24, {deploy}}}\n"
            "parameters: {max_num_seqs: {values: [64]}}\n"
            'workload: {scenario: "D(1024,256)", concurrency: 64}\n'
        )
        return found.memory.estimate({"max_num_seqs": 64}).headroom

    assert headroom("backend: kubernetes, image: vllm/vllm-openai") < -0.3  # 16 GiB for one request
    assert headroom("backend: ome, runtime: vllm-llama") > 0
