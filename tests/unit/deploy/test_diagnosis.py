"""Exit codes and logs become failure classes with the reason in the message."""

import pytest

from tuner.deploy.diagnosis import Ended, died_before_ready, died_under_load, port_was_taken, reason
from tuner.errors import ConfigurationRefused, DeployInterrupted, FailureClass

QUANTISED_V = """\
0.00.003.550 W srv          init: security: no API key is set
0.00.016.887 E llama_init_from_model: quantized V cache requires flash_attn to be enabled
0.00.016.912 E cmn  common_init_: failed to create context with model '/m.gguf'
0.00.017.453 E srv          init: exiting due to model loading error
error: the engine did not start: Failed to init server, please check the input params."""
PORT = """\
0.00.003.546 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18124
0.00.003.635 E srv          init: exiting due to HTTP server error"""
VLLM = """\
INFO 11-20 10:00:00 engine.py:1] loading
Traceback (most recent call last):
  File "engine.py", line 3, in <module>
ValueError: The model's max seq len (8192) is larger than the maximum number of tokens (4096)"""


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (QUANTISED_V, "llama_init_from_model: quantized V cache requires flash_attn to be enabled"),
        (PORT, "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18124"),
        (
            VLLM,
            "ValueError: The model's max seq len (8192) is larger than the maximum number of tokens (4096)",
        ),
        (
            "x\n/a/ggml-cpu.c:3395: GGML_ASSERT(cplan->n_threads > 0) failed",
            "GGML_ASSERT(cplan->n_threads > 0) failed",
        ),
        ("error: unrecognized arguments: --foo 3", "error: unrecognized arguments: --foo 3"),
        ("error: invalid argument: --foo", "error: invalid argument: --foo"),
        (
            "llama_kv_cache: failed to allocate buffer for kv cache",
            "llama_kv_cache: failed to allocate buffer for kv cache",
        ),
        ("all is well", ""),
        ("", ""),
    ],
)
def test_the_reason_is_the_line_that_says_it(log, why):
    assert reason(log) == why


def test_a_long_reason_is_shortened():
    assert len(reason("error: " + "x" * 5000)) == 300


def test_a_port_that_was_taken_is_no_fault_of_the_configuration():
    assert port_was_taken(PORT)
    assert port_was_taken(
        "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"
    )
    assert not port_was_taken(QUANTISED_V)


@pytest.mark.parametrize(
    "log",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "RuntimeError: cudaErrorMemoryAllocation",
        "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "llama_model_load: error loading model: failed to allocate CUDA0 buffer",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
    ],
)
def test_accelerator_memory_is_told_by_every_engines_words(log):
    error = died_before_ready(Ended(1, log, 3.0, 0))
    assert isinstance(error, ConfigurationRefused)
    assert error.failure.kind is FailureClass.ACCELERATOR_OOM


def test_host_memory_that_the_engine_could_not_get_is_a_crash():
    log = (
        "0.02 E ggml_backend_buft_alloc_buffer_n_default: failed to allocate CPU buffer of size 655385165824"
    )
    error = died_before_ready(Ended(1, log, 3.0, 0))
    assert error.failure.kind is FailureClass.CRASH
    assert "failed to allocate CPU buffer" in error.failure.message


@pytest.mark.parametrize(("kills", "kind"), [(1, "oom_killed"), (None, "oom_killed"), (0, "crash")])
def test_sigkill_is_for_memory_where_the_kernel_counted_one_or_does_not_tell(kills, kind):
    assert died_before_ready(Ended(-9, "", 3.0, kills)).failure.kind == kind


@pytest.mark.parametrize("code", [-9, -15, -1, None])
def test_what_somebody_else_ended_is_tried_again(code):
    assert isinstance(died_before_ready(Ended(code, "", 3.0, 0)), DeployInterrupted)


@pytest.mark.parametrize("code", [1, 2, -6, -11])
def test_what_ended_by_itself_is_condemned(code):
    assert isinstance(died_before_ready(Ended(code, "", 3.0, 0)), ConfigurationRefused)


def test_a_crash_under_load_takes_the_last_reason_and_says_when():
    log = "0.1 E srv  old: a request was refused\n0.2 E ggml: device lost\nlast words"
    failure = died_under_load(Ended(-11, log, 7.25, 0))
    assert failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert failure.message == "the engine ended by SIGSEGV 7.2 s after it was ready: ggml: device lost"


def test_memory_under_load_keeps_its_own_class():
    assert died_under_load(Ended(1, "CUDA out of memory", 2, 0)).kind is FailureClass.ACCELERATOR_OOM
    assert died_under_load(Ended(-9, "", 2, 1)).kind is FailureClass.OOM_KILLED


def test_what_nobody_saw_end_is_the_nodes_fault():
    assert died_under_load(Ended(None, "", 2, 0)).kind is FailureClass.NODE_FAULT
