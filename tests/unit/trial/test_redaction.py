"""What may be a secret is masked before it is written down; what is none stays."""

from __future__ import annotations

import pytest

from tuner.errors import ConfigurationRefused, Failure, FailureClass
from tuner.trial.redaction import MASK, redacted, redacted_failure, secrets_among

PLANTED = "q7Rk-planted-2291"
LINES = {
    "a list of arguments": f"non-default args: {{'model': '/m', 'api_key': ['{PLANTED}'], 'port': 8000}}",
    "a flag": f"argv: --api-key {PLANTED} --port 8000",
    "a flag with =": f"argv: --api-key={PLANTED} --port 8000",
    "a variable": f"HF_TOKEN={PLANTED} python -m engine",
    "an environment as Python prints it": f"{{'OPENAI_API_KEY': '{PLANTED}', 'HOME': '/root'}}",
    "a header": f"sent Authorization: Bearer {PLANTED}",
    "an address": f"postgresql://study:{PLANTED}@db:5432/study is not there",
    "JSON": f'{{"password": "{PLANTED}"}}',
}


@pytest.mark.parametrize("line", LINES)
def test_what_stands_behind_a_telling_word_is_masked_and_the_rest_stays(line):
    found = redacted(LINES[line])
    assert PLANTED not in found and MASK in found
    assert found.replace(MASK, PLANTED) == LINES[line]


def test_a_known_value_is_masked_wherever_it_stands():
    assert redacted(f"x{PLANTED}y {PLANTED}", [PLANTED]) == f"x{MASK}y {MASK}"
    assert redacted("hf_abcdefghijklmnopqrst is not valid") == f"{MASK} is not valid"


@pytest.mark.parametrize(
    "line",
    [
        "throughput: 512 tokens/s, key cache 3 GiB, tokens: 48",
        "INFO: token_bucket=4 passwords are not checked",
        "vocab: 32000 tokens; max_tokens=64; TOKENIZERS_PARALLELISM=false",
        "--api-key $(API_KEY)",
        "http://10.88.0.4:8080/v1/completions",
        "",
    ],
)
def test_what_is_no_secret_is_left_alone(line):
    assert redacted(line, ["", "ab"]) == line


def test_a_failure_is_masked_in_message_and_log_alone():
    failure = Failure(FailureClass.CRASH, f"ended: {PLANTED}", f"a\nb {PLANTED}", 3)
    found = redacted_failure(failure, [PLANTED])
    assert (found.message, found.log_tail) == (f"ended: {MASK}", f"a\nb {MASK}")
    assert (found.kind, found.exit_code) == (FailureClass.CRASH, 3)


def test_secret_variables_are_known_by_their_names():
    given = {
        "HF_TOKEN": "one-1",
        "AWS_SECRET_ACCESS_KEY": "two-2",
        "PGPASSWORD": "",
        "TOKENIZERS_PARALLELISM": "false",
        "MONKEY": "three",
        "DB_PASSWORD": "four4",
    }
    assert secrets_among(given) == ("one-1", "two-2", "four4")


def test_what_an_engine_prints_of_its_environment_is_not_in_what_a_trial_says(stage, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", PLANTED)
    failure = Failure(FailureClass.CRASH, f"ended: {PLANTED}", f"log {PLANTED}", 1)
    step = stage(refuse={7: ConfigurationRefused(failure)}).life.step()
    assert step.failure.log_tail == f"log {MASK}"
    assert PLANTED not in str(step.to_json())
