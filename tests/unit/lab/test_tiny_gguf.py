"""The lab's model must be the same file everywhere, and its chains must say what the proofs expect."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from lab import tiny_gguf


def say(start: str) -> str:
    """Follow the chain from a token until the end of the turn, as greedy sampling does."""
    words = tiny_gguf.vocabulary()
    token, said = words.tokens.index(start), ""
    while words.tokens[token := words.successors[token]] != "<|im_end|>":
        said += words.tokens[token].replace("\u2581", " ")
    return said


def test_the_same_bytes_are_written_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.gguf"
    assert tiny_gguf.main([str(path)]) == 0
    assert path.read_bytes() == tiny_gguf.build()
    assert capsys.readouterr().out.strip() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_question_with_tools_starts_one_well_formed_call() -> None:
    opening, body, closing = say("<|call|>").partition("\n")[0], *say("<|call|>").split("\n")[1:]
    assert (opening, closing) == ("<tool_call>", "</tool_call>")
    call = json.loads(body)
    assert call == {"name": tiny_gguf.TOOL_NAME, "arguments": json.loads(tiny_gguf.TOOL_ARGUMENTS)}


def test_a_tools_result_starts_the_answer_and_no_tools_the_greeting() -> None:
    assert say("<|answer|>") == tiny_gguf.ANSWER
    assert say("<|greet|>") == tiny_gguf.GREETING


def test_every_piece_is_unique_and_the_opening_tag_stands_alone() -> None:
    tokens = tiny_gguf.vocabulary().tokens
    assert len(set(tokens)) == len(tokens)
    assert "<tool_call>" in tokens
    assert not [token for token in tokens if token.startswith("<tool_call>") and token != "<tool_call>"]


def test_a_text_that_ends_in_a_used_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="change the wording"):
        list(tiny_gguf.pieces("once more.", {"."}))


def test_every_tensor_lies_inside_the_file_and_is_aligned() -> None:
    data = tiny_gguf.build()
    assert struct.unpack_from("<4sI", data) == (b"GGUF", 3)
    assert len(data) % tiny_gguf.ALIGNMENT == 0
    assert len(data) < 1_000_000
