"""A tokenizer made on the spot, for tools that cannot do without: every byte is a token, no hub is asked."""

from __future__ import annotations

import json
from pathlib import Path

_END = "<|endoftext|>"


def write_tokenizer(folder: Path) -> Path:
    """Write the files that `AutoTokenizer.from_pretrained(folder)` reads; `folder` again."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {_letter(byte): byte for byte in range(256)} | {_END: 256}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end = {"id": 256, "content": _END, "single_word": False, "lstrip": False, "rstrip": False}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{**end, "normalized": False, "special": True}],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 131_072,
        "bos_token": _END,
        "eos_token": _END,
        "pad_token": _END,
        "chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
    }
    for name, content in (
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", config),
        ("config.json", {"model_type": "gpt2", "vocab_size": 257, "n_positions": 131_072}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


def _letter(byte: int) -> str:
    """The printable character that byte-level BPE writes for a byte, as GPT-2 defined it.

    Printable bytes stand for themselves, the others for the characters from U+0100 on, in their order.
    """
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in kept:
        return chr(byte)
    return chr(0x100 + sum(other not in kept for other in range(byte)))
