"""The accuracy section: which parameters can change answers, and what may be lost."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tuner.errors import SpecError
from tuner.load.answer_prompts import BUILT_IN, prompts_of
from tuner.spec import load_experiment, refuse_unbuilt
from tuner.spec.accuracy import FEWEST_PROMPTS, MOST_PROMPTS

KV = "parameters: {kv: {values: [f16, q8_0], flag: --cache-type-k}, slots: {values: [1, 2], flag: -np}}\n"
PLAIN = "parameters: {slots: {values: [1, 2], flag: -np}, batch: {values: [32, 64], flag: -b}}\n"
ROOT = Path(__file__).parents[3]


def parameter(target):
    return f"parameters: {{x: {{values: [a, b], {target}}}, slots: {{values: [1, 2], flag: -np}}}}\n"


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("flag: --kv-cache-dtype", "KV-cache type"),
        ("flag: --kv_cache_dtype=", "KV-cache type"),
        ("flag: -ctv", "KV-cache type"),
        ("flag: --quantization", "quantisation"),
        ("flag: --dtype", "number format"),
        ("flag: --speculative-algorithm", "speculative decoding"),
        ("flag: --speculative-num-steps", "speculative decoding"),
        ("flag: --draft-max", "speculative decoding"),
        ("flag: --model-path", "model variant"),
        ("flag: --rope-scaling", "positions"),
        ("place: storage.pvc_subpath", "model variant"),
        ("env: LLAMA_ARG_CACHE_TYPE_K", "KV-cache type"),
        ("env: VLLM_KV_CACHE_DTYPE", "KV-cache type"),
    ],
)
def test_what_can_change_answers_is_known_by_flag_variable_or_place(target, what, sections):
    assert sections(parameter(target)).compared == {"x": what}


@pytest.mark.parametrize(
    "target",
    [
        "flag: --max-num-seqs",
        "flag: --flash-attn",
        "flag: --attention-backend",
        "flag: --tensor-parallel-size",
        "flag: --mem-fraction-static",
        "flag: --kv-unified",
        "flag: --kv_cache_free_gpu_memory_fraction",
        "env: OMP_NUM_THREADS",
        "place: node.class",
    ],
)
def test_what_only_changes_speed_is_not_compared(target, sections):
    assert sections(parameter(target)).compared == {}


def test_a_space_without_such_a_parameter_compares_nothing_and_has_no_further_limit(sections):
    found = sections(PLAIN + "slo: {ttft_p95_ms: 100}\n")
    assert found.compared == {} and found.limits == {"ttft_p95_ms": 100}


def test_a_tolerance_is_a_limit_beside_the_slos(sections):
    found = sections(KV + "slo: {ttft_p95_ms: 100}\naccuracy: {tolerance: 0.5}\n")
    assert found.limits == {"ttft_p95_ms": 100, "accuracy_loss": 0.5}
    assert found.slo == {"ttft_p95_ms": 100}
    refuse_unbuilt(found)


def test_off_compares_nothing(sections):
    assert sections(KV + "accuracy: {check: off}\n").limits == {}


def test_always_compares_every_parameter(sections):
    assert list(sections(PLAIN + "accuracy: {check: always}\n").compared) == ["slots", "batch"]


def test_a_value_that_is_the_baselines_and_the_only_one_is_not_compared(sections):
    text = "parameters: {kv: {values: [f16], flag: --cache-type-k}, slots: {values: [1, 2]}}\n"
    assert sections(text + "baseline: {kv: f16}\n").compared == {}
    assert list(sections(text).compared) == ["kv"]


def test_the_user_can_name_the_parameters(sections):
    assert list(sections(KV + "accuracy: {parameters: [slots]}\n").compared) == ["slots"]


def test_a_command_is_a_limit_too_and_may_be_written_short(sections):
    found = sections(KV + "accuracy: {command: python score.py}\n")
    assert found.accuracy.command.run == "python score.py"
    assert found.limits["score_loss"] == 0.01


def rows(tmp_path, count, **more):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"prompt {i}", **more}) + "\n" for i in range(count)))
    return path


def test_a_file_of_prompts_is_known_by_its_hash_and_shipped(sections, tmp_path):
    path = rows(tmp_path, MOST_PROMPTS + 1)
    found = sections(KV + f"accuracy: {{prompts: {{path: {path}}}}}\n")
    assert len(found.accuracy.prompts.sha256) == 64
    shipped = type(found.accuracy).model_validate(found.accuracy.shipped())
    path.unlink()
    assert prompts_of(shipped.prompts)[1] == (("user", "prompt 1"),)
    assert len(prompts_of(shipped.prompts)) == MOST_PROMPTS


def test_too_few_prompts_tell_nothing(sections, tmp_path):
    path = rows(tmp_path, FEWEST_PROMPTS - 1)
    with pytest.raises(SpecError, match="a file of 199 prompts; would be right: at least 200"):
        sections(KV + f"accuracy: {{prompts: {{path: {path}}}}}\n")


def test_messages_need_the_chat_api(sections, tmp_path):
    path = tmp_path / "chats.jsonl"
    said = [{"role": "system", "content": "short"}, {"role": "user", "content": "hi"}]
    path.write_text((json.dumps({"messages": said}) + "\n") * 200)
    text = KV + f"accuracy: {{prompts: {{path: {path}}}}}\n"
    with pytest.raises(SpecError, match=r"accuracy\.prompts: got messages, and a workload of completions"):
        sections(text)
    assert sections(text, "workload.chat=true").accuracy.prompts is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy: {parameters: [kw]}\n", "accuracy.parameters: got the unknown parameter 'kw'; "),
        ("accuracy: {parameters: [kv, kv]}\n", "accuracy.parameters: got kv twice"),
        ("accuracy: {tolerance: -1}\n", "accuracy.tolerance: got -1"),
        ("accuracy: {chek: auto}\n", "accuracy.chek: got an unknown key; would be right: check"),
        ("slo: {accuracy_loss: 0.1}\n", "slo.accuracy_loss: got accuracy_loss; would be right: accuracy.tol"),
        ("objective: {minimize: score_loss}\n", "would be right: accuracy.command.tolerance"),
    ],
)
def test_a_mistake_is_told_in_one_line(text, said, sections):
    with pytest.raises(SpecError) as caught:
        sections(KV + text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_built_in_prompts_are_many_different_short_and_ascii():
    assert len(BUILT_IN) == len(set(BUILT_IN)) >= FEWEST_PROMPTS
    assert all(text.isascii() and "{}" not in text and len(text) <= 60 for text in BUILT_IN)
    assert all(a[:3] != b[:3] for a, b in pairwise(BUILT_IN))


def test_the_shipped_experiment_with_a_quantised_variant_compares_it():
    found = load_experiment(ROOT / "search_spaces" / "llama_vllm_pvc.yaml")
    assert list(found.compared) == ["weights", "kv_cache_dtype"]
