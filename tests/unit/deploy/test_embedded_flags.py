"""The embedded engine takes llama-server's flags."""

from types import SimpleNamespace

import pytest

from tuner.deploy.embedded.flags import parse
from tuner.deploy.embedded.server import common_params


def fake_xllamacpp():
    """A module whose CommonParams takes any attribute, as the real one does not: names are checked there."""

    class CommonParams(SimpleNamespace):
        def __init__(self):
            super().__init__(
                model=SimpleNamespace(path=""),
                cpuparams=SimpleNamespace(n_threads=-1, poll=50),
                cpuparams_batch=SimpleNamespace(n_threads=-1, poll=50),
                kv_unified=False,
                fit_params=True,
                cache_ram_mib=8192,
            )

    return SimpleNamespace(
        CommonParams=CommonParams,
        llama_flash_attn_type={f"LLAMA_FLASH_ATTN_TYPE_{n}": n for n in ("ENABLED", "DISABLED", "AUTO")},
        ggml_type={"GGML_TYPE_Q8_0": 8},
    )


def params_of(*arguments):
    return common_params(fake_xllamacpp(), parse(list(arguments)))


def test_long_and_short_spellings_set_the_same_field():
    assert parse(["--parallel", "4", "--ubatch-size", "64"]) == parse(["-np", "4", "-ub", "64"])


def test_the_last_of_a_repeated_flag_wins():
    assert parse(["--parallel", "4", "--parallel", "8"]) == {"n_parallel": 8}
    assert parse(["--kv-unified", "--no-kv-unified"]) == {"kv_unified": False}


@pytest.mark.parametrize(
    "arguments", [["--foo", "3"], ["--para", "4"], ["--parallel", "many"], ["--cache-type-v", "q9"]]
)
def test_a_flag_it_does_not_know_is_one_line_and_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        parse(arguments)
    assert left.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert arguments[0] in lines[0]


def test_without_a_number_of_slots_it_takes_llama_servers_own():
    params = params_of()
    assert (params.n_parallel, params.kv_unified) == (4, True)


def test_a_given_number_of_slots_splits_the_cache_unless_told_otherwise():
    assert params_of("--parallel", "8").kv_unified is False
    assert params_of("--parallel", "8", "--kv-unified").kv_unified is True
    assert params_of("--no-kv-unified").kv_unified is False


def test_prompt_threads_follow_the_threads_unless_given():
    assert params_of("--threads", "3").cpuparams_batch.n_threads == 3
    assert params_of("--threads", "3", "--threads-batch", "1").cpuparams_batch.n_threads == 1


def test_named_values_become_the_engines_own():
    params = params_of("--flash-attn", "off", "--cache-type-v", "q8_0", "--host", "::1", "--alias", "m")
    assert params.flash_attn_type == "DISABLED"
    assert params.cache_type_v == 8
    assert params.hostnames == ["::1"]
    assert params.model_alias == {"m"}


def test_what_makes_two_starts_differ_is_off():
    params = params_of()
    assert params.fit_params is False
    assert params.cache_ram_mib == 0
