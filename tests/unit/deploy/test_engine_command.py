"""The command template: one argument a line, and no way around that."""

from dataclasses import replace

import pytest

from tuner.deploy.command import CommandValues, render_command
from tuner.errors import UserError
from tuner.spec.shipped import template

VALUES = CommandValues(
    binary=("python", "-m", "engine"),
    model_path="/models/m 1.gguf",
    model_name="m",
    host="127.0.0.1",
    port=8123,
    cpus=(1, 3),
    arguments=("--parallel", "8", "--chat-template", "a 'b' $(c); d"),
    params={"parallel": 8},
    places={"storage.pvc_subpath": "x"},
)


def test_the_shipped_template_gives_llama_servers_command():
    assert render_command(template("llama_server.argv.j2"), VALUES) == [
        *("python", "-m", "engine"),
        *(
            "--model",
            "/models/m 1.gguf",
            "--alias",
            "m",
            "--host",
            "127.0.0.1",
            "--port",
            "8123",
            "--metrics",
        ),
        *("--threads", "2", "--parallel", "8", "--chat-template", "a 'b' $(c); d"),
    ]


def test_without_pinning_the_engine_chooses_its_threads():
    assert "--threads" not in render_command(template("llama_server.argv.j2"), replace(VALUES, cpus=()))


def test_a_parameters_flag_comes_after_the_templates_and_wins():
    argv = render_command(template("llama_server.argv.j2"), replace(VALUES, arguments=("--threads", "7")))
    assert argv[-2:] == ["--threads", "7"]


def test_flags_may_name_the_model():
    argv = render_command(
        "{% for a in arguments %}{{ a }}\n{% endfor %}",
        replace(VALUES, arguments=("--lora=$(MODEL_PATH)/lora",)),
    )
    assert argv == ["--lora=/models/m 1.gguf/lora"]


def test_parameters_and_places_are_at_hand_by_name():
    text = "engine\n{{ params.parallel }}\n{{ places['storage.pvc_subpath'] }}"
    assert render_command(text, VALUES) == ["engine", "8", "x"]


@pytest.mark.parametrize("value", ["8\n--api-key\nx", " 8", "8 ", "", "8\0", "8\r"])
def test_a_value_that_would_be_another_argument_is_refused(value):
    with pytest.raises(UserError, match="cannot be one argument"):
        render_command("engine\n{{ params.p }}", replace(VALUES, params={"p": value}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine\n{{ modelpath }}", "'modelpath' is undefined"),
        ("engine\n{{ params.q }}", "has no attribute 'q'"),
        ("engine\n{% if %}", "line 2: Expected an expression"),
        ("{{ binary }}", "is not one argument: write out what stands for it"),
        ("{{ ''.__class__.__mro__ }}", "is unsafe"),
        ("  \n", "renders to nothing"),
    ],
)
def test_a_wrong_template_is_one_line(text, says):
    with pytest.raises(UserError) as raised:
        render_command(text, VALUES)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
