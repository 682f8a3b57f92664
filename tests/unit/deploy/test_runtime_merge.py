"""A trial's flags reach the engine, and all else of the runtime's command stays as the cluster has it."""

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.deploy.kubernetes.escaping import expandable, shell_word, templated
from tuner.deploy.kubernetes.flags import merged
from tuner.deploy.kubernetes.runtime import RunnerOverride, Runtime
from tuner.errors import UserError


def runtime(*, command=(), args=(), **more):
    return Runtime(name="rt", kind="ClusterServingRuntime", command=tuple(command), args=tuple(args), **more)


@pytest.mark.parametrize(
    ("own", "over", "expected"),
    [
        ("--port 8080 --tp 1 --x y", "--tp 4", "--port 8080 --tp 4 --x y"),
        ("--tp=1 --x", "--tp 4", "--tp 4 --x"),
        ("--tp 1 --x", "--tp=4", "--tp=4 --x"),
        ("--port 8080", "--tp 4 --dp 2", "--port 8080 --tp 4 --dp 2"),
        ("--max-num-seqs 8", "--max_num_seqs 16", "--max_num_seqs 16"),
        ("serve $(MODEL_PATH) --tp_size 1", "--tp_size 2", "serve $(MODEL_PATH) --tp_size 2"),
        ("--sizes 1 2 4 --x", "--sizes 8", "--sizes 8 --x"),
        ("--tp 2 /models/m", "--tp 4", "--tp 4 /models/m"),
        ("--eager $(MODEL_PATH) --x", "--eager", "--eager $(MODEL_PATH) --x"),
        ("--tp=2 /models/m", "--tp 4", "--tp 4 /models/m"),
        ("--lora a --x --lora b", "--lora c", "--lora c --x"),
        ("--lora a", "--lora c --lora d", "--lora c --lora d"),
        ("--no-cache --x", "--cache", "--x --cache"),
        ("--cache --x", "--no-cache", "--x --no-cache"),
        ("--cache 5 --x", "--no-cache", "5 --x --no-cache"),
        ("--bias -1 --x", "--bias -2.5", "--bias -2.5 --x"),
        ("-tp 1 -x", "-tp 2", "-tp 2 -x"),
        ("--x 1 -- --x 2", "--x 3 --y", "--x 3 --y -- --x 2"),
        ("", "--x 1", "--x 1"),
        ("--x 1", "", "--x 1"),
    ],
)
def test_a_flag_replaces_the_same_flag_and_leaves_the_rest(own, over, expected):
    assert merged(own.split(), over.split()) == tuple(expected.split())


def test_the_runtimes_args_stay_for_runner_args_would_replace_them_all():
    found = runtime(command=["/engine"], args=["--port=8080", "--model", "$(MODEL_PATH)", "--b", "1"])
    assert found.arguments(["--b", "2", "--c", "3"]) == RunnerOverride(
        args=("--port=8080", "--model", "$(MODEL_PATH)", "--b", "2", "--c", "3")
    )


def test_flags_follow_a_command_that_has_them_all():
    found = runtime(command=["python3", "-m", "sglang.launch_server", "--tp-size", "1"])
    assert found.arguments(["--tp-size", "2"]) == RunnerOverride(args=("--tp-size", "2"))


def test_without_flags_nothing_is_said():
    assert runtime(args=["--x"]).arguments([]) == RunnerOverride()


def test_a_value_is_literal_but_for_the_models_path_and_known_variables():
    flags = ["--a=$(MODEL_PATH)/x", "--b=$(HOME)", "--c=$$(A)", "--d={{.Name}}", "--e=$(RT_A)", "--f=$(MINE)"]
    found = runtime(variables=("RT_A",)).arguments(flags, variables=["MINE"])
    assert found.args == (
        "--a=$(MODEL_PATH)/x",
        "--b=$$(HOME)",
        "--c=$$$$(A)",
        "--d={{`{{`}}.Name}}",
        "--e=$(RT_A)",
        "--f=$(MINE)",
    )


def test_the_runtimes_own_words_keep_their_placeholders():
    found = runtime(args=["--name={{.Name}}", "--x=$(RT_A)"]).arguments(["--y", "1"])
    assert found.args == ("--name={{.Name}}", "--x=$(RT_A)", "--y", "1")


BASH = ["/bin/bash", "-lc"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exec /engine --port 8080", "exec /engine --port 8080 --x 1"),
        ("exec /engine \\\n  --port 8080 \\\n  --y\n", "exec /engine \\\n  --port 8080 \\\n  --y --x 1\n"),
        ("exec /engine --y # why", "exec /engine --y --x 1 # why"),
        ("exec /engine --y;", "exec /engine --y --x 1;"),
        ("exec /engine '--y=#;&|' \"a;b\"", "exec /engine '--y=#;&|' \"a;b\" --x 1"),
        ("set -e\nexport A=1\ncd /x && A=$(pwd) exec /engine --y\n\n", None),
        ("/engine --y > /tmp/log 2>&1", "/engine --y > /tmp/log 2>&1 --x 1"),
        ('exec /engine "$@"', 'exec /engine "$@" --x 1'),
        ("ulimit -n 65536; exec /engine --m $MODEL_PATH --n $(MODEL_PATH) --o ${A:-b c}", None),
        ("sidecar & \nexec /engine --y", None),
        ("echo a | tee b\nexec /engine --y", None),
        ("true || exit 1\nexec /engine", None),
        ("exec /engine --y {a,b}", None),
        ('/engine --y "$(echo \'a;b\' ")")"', None),
        ("exec /engine --y \\\n", "exec /engine --y --x 1 \\\n"),
    ],
)
def test_a_script_gets_the_flags_behind_its_last_command(script, expected):
    found = runtime(command=[*BASH, script]).arguments(["--x", "1"])
    assert found.args is None
    assert found.command == (*BASH, expected or script.rstrip() + " --x 1" + script[len(script.rstrip()) :])


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (["bash", "-c"], ["exec /engine --y"]),
        (["/bin/sh", "-l", "-c"], ["exec /engine --y"]),
        (["bash", "-o", "pipefail", "-c"], ["exec /engine --y"]),
        (["/usr/bin/env", "bash", "-ec"], ["exec /engine --y", "zero"]),
        (["tini", "--", "bash", "-c"], ["exec /engine --y"]),
        (["bash", "--rcfile", "/rc", "-c"], ["exec /engine --y"]),
        ([], ["bash", "-lc", "exec /engine --y"]),
        (["bash"], ["-lc", "exec /engine --y"]),
    ],
)
def test_a_script_in_args_is_found_too(command, args):
    found = runtime(command=command, args=args).arguments(["--x", "1"])
    assert found.command is None
    assert found.args == tuple(a.replace("--y", "--y --x 1") for a in args)


@pytest.mark.parametrize(
    "command", [["bash", "/start.sh"], ["/engine", "bash", "-c", "x"], ["bash", "--login", "/start.sh"]]
)
def test_what_is_no_script_on_the_command_line_gets_plain_args(command):
    assert runtime(command=command).arguments(["--x"]) == RunnerOverride(args=("--x",))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("if true; then exec /engine; fi", "it ends with 'fi'"),
        ("( /engine --y )", "so its engine is inside something"),
        ("{ /engine --y; }", "so its engine is inside something"),
        ("/engine --y | tee log", "the engine is part of a pipe"),
        ("/engine --y |\n  tee log", "the engine is part of a pipe"),
        ("/engine --y || sleep infinity", "two commands are alternatives"),
        ("/engine --y &\nwait", "its last command is 'wait'"),
        ("/engine --y &", "the engine runs in the background"),
        ("/engine --y; sleep infinity", "its last command is 'sleep'"),
        ("cat <<END\nx\nEND\n/engine", "it has a here-document"),
        ("/engine 'open", "a ' is missing"),
        ('eval "$CMD"', "its last command is 'eval'"),
        ("exec bash -c '/engine --y'", "its last command is 'bash'"),
        ("\n# nothing\n", "it has no command"),
    ],
)
def test_a_script_that_would_lose_them_says_why(script, reason):
    with pytest.raises(UserError) as caught:
        runtime(command=[*BASH, script]).arguments(["--x", "1"])
    said = str(caught.value)
    assert said.startswith("deploy.runtime: the command of ClusterServingRuntime rt is a shell script, and ")
    assert reason in said
    assert "would be right: a runtime whose command is the engine" in said


def test_in_a_script_a_value_is_one_quoted_word_and_the_models_path_a_variable():
    found = runtime(command=[*BASH, "exec /engine"]).arguments(
        ["--a", "x y'z", "--b=$(MODEL_PATH)/c d", "--c", "$(date)", "--d", "{{x"]
    )
    assert found.command[-1] == (
        "exec /engine --a 'x y'\"'\"'z' --b=\"$MODEL_PATH\"'/c d' --c '$$(date)' --d '{{`{{`}}x'"
    )


def expanded_by_kubernetes(text, variables):
    """What the kubelet makes of command, args and env."""
    found, at = "", 0
    while at < len(text):
        if text[at : at + 2] == "$$":
            found, at = found + "$", at + 2
        elif text[at : at + 2] == "$(" and ")" in text[at:]:
            end = text.index(")", at)
            name = text[at + 2 : end]
            found, at = found + variables.get(name, text[at : end + 1]), end + 1
        else:
            found, at = found + text[at], at + 1
    return found


TEXT = st.text(st.sampled_from("$(){}`'\"\\ aB_#;&|<>*~!=-\n")) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
)


@given(TEXT)
@settings(max_examples=400)
def test_kubernetes_gives_back_what_was_written(text):
    assert expanded_by_kubernetes(expandable(text, variables=()), {"a": "no", "B": "no"}) == text


@given(TEXT)
def test_braces_for_ome_are_undone_by_its_template_pass(text):
    assert templated(text).replace("{{`{{`}}", "{{") == text
    assert "{{" not in templated(text).replace("{{`{{`}}", "")


@given(st.lists(TEXT, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_gives_the_engine_exactly_the_words_that_were_put_into_its_script(words):
    script = "exec printf '%s\\0' " + " ".join(shell_word(w, variables=()) for w in words)
    ran = subprocess.run(
        ["bash", "-c", expanded_by_kubernetes(script, {})], capture_output=True, check=True, timeout=20
    )
    assert ran.stdout.decode().split("\0")[:-1] == words
    assert shlex.split(expanded_by_kubernetes(script, {}))[3:] == words


def test_a_runtime_is_read_as_the_cluster_has_it():
    found = Runtime.from_object(
        {
            "metadata": {"name": "sglang"},
            "spec": {
                "engineConfig": {
                    "runner": {
                        "name": "ome-container",
                        "command": ["/engine"],
                        "args": ["--port=9000"],
                        "ports": [{"containerPort": 9000}],
                        "env": [{"name": "RT_A", "value": "1"}],
                    }
                }
            },
        },
        "ServingRuntime",
    )
    assert found == Runtime(
        name="sglang",
        kind="ServingRuntime",
        command=("/engine",),
        args=("--port=9000",),
        port=9000,
        variables=("RT_A",),
    )


def test_the_older_form_with_containers_is_read_too():
    containers = [{"name": "sidecar"}, {"name": "ome-container", "args": ["--x"]}]
    found = Runtime.from_object(
        {"metadata": {"name": "old"}, "spec": {"containers": containers}}, "ClusterServingRuntime"
    )
    assert (found.container, found.args, found.port) == ("ome-container", ("--x",), 8080)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"engineConfig": {"leader": {}, "worker": {}}}, "its engine spans several nodes"),
        ({}, "it has no engine container"),
    ],
)
def test_a_runtime_without_one_engine_container_is_refused(spec, reason):
    with pytest.raises(UserError, match=reason):
        Runtime.from_object({"metadata": {"name": "x"}, "spec": spec}, "ClusterServingRuntime")
