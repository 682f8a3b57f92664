"""The /tokenize that llama.cpp, vLLM and SGLang answer, for servers whose streams carry no usage."""

from __future__ import annotations

import json


def tokenize_path_and_body(model: str, prompt: str) -> tuple[str, bytes]:
    """One request that all three understand: llama.cpp reads `content`, the others `prompt`."""
    fields = {"model": model, "prompt": prompt, "content": prompt, "add_special": True}
    return "/tokenize", json.dumps(fields).encode()


def tokens_in(answer: bytes) -> int | None:
    """The number of tokens in an answer; None where it holds none."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("count"), int):
        return int(found["count"])
    tokens = found.get("tokens")
    return len(tokens) if isinstance(tokens, list) else None
