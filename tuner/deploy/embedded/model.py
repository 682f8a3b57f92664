"""Makes a random-weight GGUF of the llama architecture: a real load for an engine, without a download.

Run as `python -m tuner.deploy.embedded.model --out model.gguf`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.deploy.embedded.vocabulary import END, make_vocabulary
from tuner.errors import UserError, WorldError

_FORMAT = 1  # raise it when the same settings give another file
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
)
_Q8_BLOCK = 32  # weights that share one scale


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The shape of a synthetic model; the defaults make 29 MB.

    Attributes:
        hidden_size: width, a multiple of 32 and of 2 * heads.
        layers: transformer blocks.
        heads: attention heads, a multiple of kv_heads.
        kv_heads: heads of keys and values.
        feed_forward: width of the gated feed-forward, a multiple of 32.
        vocabulary: number of tokens.
        context: tokens the model says it was trained for; the engine's default context.
        weights: "q8_0" (8.5 bits a weight) or "f16".
        seed: of weights and words.
    """

    hidden_size: int = 512
    layers: int = 8
    heads: int = 8
    kv_heads: int = 8
    feed_forward: int = 1408
    vocabulary: int = 1300
    context: int = 4096
    weights: str = "q8_0"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weights not in ("q8_0", "f16"):
            raise UserError(f"synthetic model: weights {self.weights!r}; either q8_0 or f16")
        if min(self.hidden_size, self.layers, self.heads, self.kv_heads, self.feed_forward, self.context) < 1:
            raise UserError("synthetic model: every size is at least 1")
        if (
            self.hidden_size % (2 * self.heads)
            or self.hidden_size % _Q8_BLOCK
            or self.feed_forward % _Q8_BLOCK
        ):
            raise UserError(
                f"synthetic model: hidden_size {self.hidden_size} must be a multiple of {_Q8_BLOCK} and of "
                f"twice heads ({self.heads}), feed_forward {self.feed_forward} of {_Q8_BLOCK}"
            )
        if self.heads % self.kv_heads:
            raise UserError(
                f"synthetic model: heads {self.heads} must be a multiple of kv_heads {self.kv_heads}"
            )
        try:
            make_vocabulary(self.vocabulary, self.seed)
        except ValueError as error:
            raise UserError(f"synthetic model: {error}") from error

    @property
    def digest(self) -> str:
        """Short hash of everything that decides the file's content."""
        text = json.dumps([_FORMAT, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def default_cache_dir() -> Path:
    """$XDG_CACHE_HOME/ray-serving-tuner, else ~/.cache/ray-serving-tuner."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ray-serving-tuner"


def make_model(settings: ModelSettings | None = None, cache_dir: Path | None = None) -> Path:
    """The model file of `settings`, made on the first call and found again afterwards.

    It appears under its name complete or not at all; two processes that make it at once both succeed.

    Raises:
        UserError: the `gguf` package is not installed.
        WorldError: the cache directory cannot be written.
    """
    settings = settings or ModelSettings()
    path = (cache_dir or default_cache_dir()) / f"model-{settings.digest}.gguf"
    if not path.exists():
        write_model(settings, path)
    return path


def write_model(settings: ModelSettings, path: Path) -> None:
    """Write the model to `path`, replacing what is there, complete or not at all.

    Raises:
        UserError, WorldError: as `make_model`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(number)
        try:
            _write(settings, temporary)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise WorldError(f"the model cannot be written to {path}: {error.strerror or error}") from error


def _write(settings: ModelSettings, path: str) -> None:
    try:
        import gguf  # noqa: PLC0415 -- an optional dependency
    except ImportError as error:
        raise UserError(
            "making a model needs the gguf package: pip install 'ray-serving-tuner[engine]'"
        ) from error
    writer = gguf.GGUFWriter(path, "llama")
    _write_metadata(settings, writer, gguf)
    rng = np.random.default_rng(settings.seed)
    for name, shape in _tensor_shapes(settings).items():
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, dtype=np.float32))
        elif settings.weights == "q8_0":
            writer.add_tensor(name, _random_q8(rng, shape), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            weights = rng.standard_normal(shape, dtype=np.float32) * shape[1] ** -0.5
            writer.add_tensor(name, weights.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_metadata(settings: ModelSettings, writer: Any, gguf: Any) -> None:
    writer.add_name(f"synthetic-{settings.digest}")
    writer.add_context_length(settings.context)
    writer.add_embedding_length(settings.hidden_size)
    writer.add_block_count(settings.layers)
    writer.add_feed_forward_length(settings.feed_forward)
    writer.add_head_count(settings.heads)
    writer.add_head_count_kv(settings.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(settings.hidden_size // settings.heads)
    writer.add_file_type(
        gguf.LlamaFileType.MOSTLY_Q8_0 if settings.weights == "q8_0" else gguf.LlamaFileType.MOSTLY_F16
    )
    vocabulary = make_vocabulary(settings.vocabulary, settings.seed)
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token == END else gguf.TokenType.NORMAL for token in vocabulary.tokens]
    )
    writer.add_token_merges(list(vocabulary.merges))
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_CHAT_TEMPLATE)


def _tensor_shapes(settings: ModelSettings) -> dict[str, tuple[int, ...]]:
    """Names and numpy shapes (outputs, inputs) of llama's tensors."""
    hidden, wide = settings.hidden_size, settings.feed_forward
    kv = hidden // settings.heads * settings.kv_heads
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (settings.vocabulary, hidden)}
    for layer in range(settings.layers):
        block = {
            "attn_norm": (hidden,),
            "attn_q": (hidden, hidden),
            "attn_k": (kv, hidden),
            "attn_v": (kv, hidden),
            "attn_output": (hidden, hidden),
            "ffn_norm": (hidden,),
            "ffn_gate": (wide, hidden),
            "ffn_up": (wide, hidden),
            "ffn_down": (hidden, wide),
        }
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes | {"output_norm.weight": (hidden,), "output.weight": (settings.vocabulary, hidden)}


def _random_q8(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Random weights as q8_0 blocks: a half-precision scale, then 32 signed bytes.

    Uniform bytes in -127..127 have a deviation of 127 / sqrt(3); the scale brings it to 1 / sqrt(inputs).
    """
    rows, inputs = shape
    blocks: npt.NDArray[np.uint8] = np.empty((rows, inputs // _Q8_BLOCK, 2 + _Q8_BLOCK), dtype=np.uint8)
    scale = np.array([inputs**-0.5 * 3**0.5 / 127], dtype="<f2")
    blocks[:, :, :2] = scale.view(np.uint8)
    blocks[:, :, 2:] = rng.integers(-127, 128, (*blocks.shape[:2], _Q8_BLOCK), dtype=np.int8).view(np.uint8)
    return blocks.reshape(rows, -1)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0, or the error's exit code after one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m tuner.deploy.embedded.model", description="Write a random-weight GGUF model."
    )
    parser.add_argument("--out", type=Path, help="where to write it; without it, the cache")
    kinds = {"weights": str}
    for name, default in asdict(ModelSettings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kinds.get(name, int), default=default)
    given = vars(parser.parse_args(arguments))
    out: Path | None = given.pop("out")
    try:
        settings = replace(ModelSettings(), **given)
        if out:
            write_model(settings, out)
        sys.stdout.write(f"{out or make_model(settings)}\n")
    except (UserError, WorldError) as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
