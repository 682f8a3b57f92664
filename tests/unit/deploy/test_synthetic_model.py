"""The synthetic model: text in every token, the same bytes for the same settings."""

import threading

import pytest

from tuner.deploy.embedded.model import ModelSettings, main, make_model
from tuner.deploy.embedded.vocabulary import END, make_vocabulary
from tuner.errors import UserError, WorldError

SMALL = ModelSettings(
    hidden_size=64, layers=1, heads=2, kv_heads=1, feed_forward=64, vocabulary=300, context=128
)


@pytest.fixture(autouse=True)
def _needs_gguf():
    pytest.importorskip("gguf")


def test_every_token_is_whole_ascii_text():
    tokens = make_vocabulary(1300, seed=0).tokens
    assert len(tokens) == len(set(tokens)) == 1300
    for token in tokens[1:]:
        assert token.replace("\u0120", " ").replace("\u010a", "\n").isascii()
    assert tokens[0] == END


def test_every_merge_joins_two_tokens_into_a_third():
    vocabulary = make_vocabulary(600, seed=1)
    known = set(vocabulary.tokens)
    for merge in vocabulary.merges:
        first, second = merge.split(" ")
        assert {first, second, first + second} <= known


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_vocabulary_that_cannot_be_made_says_what_can(size):
    with pytest.raises(UserError, match=f"{size} tokens cannot be made; from 297 to 10297"):
        ModelSettings(vocabulary=size)


@pytest.mark.parametrize("wrong", [{"weights": "q2"}, {"hidden_size": 100}, {"heads": 7}, {"layers": 0}])
def test_an_impossible_shape_is_refused(wrong):
    with pytest.raises(UserError, match="synthetic model"):
        ModelSettings(**wrong)


def test_the_same_settings_give_the_same_bytes(tmp_path):
    first = make_model(SMALL, tmp_path / "a").read_bytes()
    assert make_model(SMALL, tmp_path / "b").read_bytes() == first


def test_other_settings_give_another_file(tmp_path):
    assert make_model(SMALL, tmp_path) != make_model(ModelSettings(seed=1), tmp_path)


def test_a_model_is_made_once(tmp_path):
    path = make_model(SMALL, tmp_path)
    made = path.stat().st_mtime_ns
    assert make_model(SMALL, tmp_path).stat().st_mtime_ns == made


def test_two_makers_at_once_leave_one_whole_file(tmp_path):
    found = []
    makers = [threading.Thread(target=lambda: found.append(make_model(SMALL, tmp_path))) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(set(found)) == 1
    assert list(tmp_path.iterdir()) == [found[0]]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match="cannot be written"):
        make_model(SMALL, tmp_path / "file" / "cache")


def test_both_kinds_of_weights_can_be_read_back(tmp_path):
    from gguf import GGUFReader

    for weights in ("q8_0", "f16"):
        out = tmp_path / f"{weights}.gguf"
        shape = [
            "--hidden-size",
            "64",
            "--layers",
            "1",
            "--heads",
            "2",
            "--kv-heads",
            "2",
            "--feed-forward",
            "64",
        ]
        assert main([*shape, "--vocabulary", "300", "--weights", weights, "--out", str(out)]) == 0
        tensors = {t.name: t for t in GGUFReader(out).tensors}
        assert tensors["token_embd.weight"].tensor_type.name == weights.upper()
        assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
        assert len(tensors) == 3 + 9


def test_the_command_line_says_what_is_wrong(capsys, tmp_path):
    assert main(["--hidden-size", "100", "--out", str(tmp_path / "m.gguf")]) == 2
    assert "hidden_size 100 must be a multiple of" in capsys.readouterr().err
