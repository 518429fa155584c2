"""Write a tiny, deterministic GGUF model that calls a tool and then answers.

The model is a Markov chain in the llama architecture: embeddings are one-hot, attention and feed-forward are zero, so
the hidden state is the last token alone and the output matrix is a table of successors. The chat template chooses the
chain by the last token that it writes: a question with tools on offer starts a call of the calculator, a tool's result
starts the closing sentence, anything else starts a greeting.

A real llama.cpp server loads it in a moment, so the whole path (template, tokeniser, tool-call parser, streaming) runs
as it does with a large model, and every answer is known beforehand. The GGUF layout (version 3) is written with the
standard library alone.

    python lab/tiny_gguf.py tiny.gguf        # writes the file, prints its SHA-256
"""

from __future__ import annotations

import argparse
import hashlib
import re
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

TOOL_NAME = "calculator"
TOOL_ARGUMENTS = '{"expression": "6*7"}'
ANSWER = "Six times seven is 42, says the tiny model of the lab."
GREETING = "Hello from a very small language model: offer me tools and I shall use one!"

CONTEXT_LENGTH = 32768

# Kinds of token and of value, as the GGUF specification numbers them.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_F16 = 0, 1
ALIGNMENT = 32

Tensor = tuple[tuple[int, ...], int, bytes]  # shape, kind, data

# One step of the chain outweighs every other token by far more than any sampling temperature can level.
_STEP_WEIGHT = 4.0

_CHAT_TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\nYou may call these tools:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' }}{{- tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\nFor a call, return a JSON object with name and arguments within XML tags:\\n' }}
    {{- '<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}{{- message.content }}{%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson }}
        {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if messages[-1].role == 'tool' %}{{- '<|answer|>' }}
    {%- elif tools %}{{- '<|call|>' }}
    {%- else %}{{- '<|greet|>' }}
    {%- endif %}
{%- endif %}
"""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their kinds, and the successor of each token in the chain."""

    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    successors: tuple[int, ...]


def pieces(text: str, used: set[str]) -> Iterator[str]:
    """Cut a text into pieces that occur nowhere else, since a chain knows nothing but its last token.

    A piece is a word with its leading space, or a run of punctuation; one that is taken grows by the next.
    """
    held = ""
    for part in re.findall(r"\n| ?\w+|\W+?(?=\w|\n|$)", text):
        held += part
        if held not in used:
            used.add(held)
            yield held
            held = ""
    if held:
        raise ValueError(f"the end of the text, {held!r}, repeats an earlier piece: change the wording")


def vocabulary() -> Vocabulary:
    """Build the tokens: control, 256 bytes (any prompt can be read), and the pieces of the three chains."""
    end, starts = "<|im_end|>", ("<|call|>", "<|answer|>", "<|greet|>")
    control = ["<|im_start|>", end, *starts]
    tokens = ["<unk>", *control, *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [UNKNOWN] + [CONTROL] * len(control) + [BYTE] * 256
    # The server finds a call by its opening tag: the tag is a token of its own, the line break after it another.
    used = {"<tool_call>"}
    body = f'\n{{"name": "{TOOL_NAME}", "arguments": {TOOL_ARGUMENTS}}}\n</tool_call>'
    chains = [
        [starts[0], "<tool_call>", *pieces(body, used), end],
        [starts[1], *pieces(ANSWER, used), end],
        [starts[2], *pieces(GREETING, used), end],
    ]
    follows: dict[str, str] = {}
    for chain in chains:
        follows.update(pairwise(chain))
        new = [piece for piece in chain if piece not in tokens]
        tokens += new
        kinds += [NORMAL] * len(new)
    index = {token: number for number, token in enumerate(tokens)}
    successors = tuple(index[follows.get(token, end)] for token in tokens)
    return Vocabulary(tuple(token.replace(" ", "\u2581") for token in tokens), tuple(kinds), successors)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind: int, value: object) -> bytes:
    if kind == STRING:
        return _string(str(value))
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def _field(key: str, kind: int, value: object) -> bytes:
    return _string(key) + struct.pack("<I", kind) + _value(kind, value)


def _list(key: str, kind: int, values: Iterable[object]) -> bytes:
    packed = [_value(kind, value) for value in values]
    return _string(key) + struct.pack("<IIQ", ARRAY, kind, len(packed)) + b"".join(packed)


def _metadata(words: Vocabulary, width: int) -> list[bytes]:
    index = {token: number for number, token in enumerate(words.tokens)}
    return [
        _field("general.architecture", STRING, "llama"),
        _field("general.name", STRING, "tiny-markov"),
        _field("general.file_type", UINT32, 1),
        _field("llama.context_length", UINT32, CONTEXT_LENGTH),
        _field("llama.embedding_length", UINT32, width),
        _field("llama.block_count", UINT32, 1),
        _field("llama.feed_forward_length", UINT32, 32),
        _field("llama.attention.head_count", UINT32, 1),
        _field("llama.attention.head_count_kv", UINT32, 1),
        _field("llama.attention.key_length", UINT32, 32),
        _field("llama.attention.value_length", UINT32, 32),
        _field("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        _field("llama.rope.dimension_count", UINT32, 32),
        _field("llama.vocab_size", UINT32, len(words.tokens)),
        _field("tokenizer.ggml.model", STRING, "llama"),
        _list("tokenizer.ggml.tokens", STRING, words.tokens),
        _list("tokenizer.ggml.scores", FLOAT32, (0.0 for _unused in words.tokens)),
        _list("tokenizer.ggml.token_type", INT32, words.kinds),
        _field("tokenizer.ggml.bos_token_id", UINT32, index["<|im_start|>"]),
        _field("tokenizer.ggml.eos_token_id", UINT32, index["<|im_end|>"]),
        _field("tokenizer.ggml.unknown_token_id", UINT32, 0),
        _field("tokenizer.ggml.add_bos_token", BOOL, False),
        _field("tokenizer.ggml.add_eos_token", BOOL, False),
        _field("tokenizer.ggml.add_space_prefix", BOOL, False),
        _field("tokenizer.chat_template", STRING, _CHAT_TEMPLATE),
    ]


def _zeros(*shape: int) -> Tensor:
    size = 1
    for extent in shape:
        size *= extent
    return shape, TENSOR_F16, bytes(2 * size)


def _ones(width: int) -> Tensor:
    return (width,), TENSOR_F32, array("f", [1.0] * width).tobytes()


def _matrix(width: int, entries: Iterable[tuple[int, int]], rows: int, weight: float) -> Tensor:
    """Pack a sparse matrix of `rows` rows: each entry is (row, column)."""
    data = bytearray(2 * width * rows)
    for row, column in entries:
        struct.pack_into("<e", data, 2 * (row * width + column), weight)
    return (width, rows), TENSOR_F16, bytes(data)


def build() -> bytes:
    """Return the whole file; the same bytes on every call."""
    words = vocabulary()
    count = len(words.tokens)
    width = -(-count // ALIGNMENT) * ALIGNMENT
    steps = ((after, token) for token, after in enumerate(words.successors))
    tensors = {
        "token_embd.weight": _matrix(width, ((token, token) for token in range(count)), count, 1.0),
        "output_norm.weight": _ones(width),
        "output.weight": _matrix(width, steps, count, _STEP_WEIGHT),
        "blk.0.attn_norm.weight": _ones(width),
        "blk.0.attn_q.weight": _zeros(width, 32),
        "blk.0.attn_k.weight": _zeros(width, 32),
        "blk.0.attn_v.weight": _zeros(width, 32),
        "blk.0.attn_output.weight": _zeros(32, width),
        "blk.0.ffn_norm.weight": _ones(width),
        "blk.0.ffn_gate.weight": _zeros(width, 32),
        "blk.0.ffn_up.weight": _zeros(width, 32),
        "blk.0.ffn_down.weight": _zeros(32, width),
    }
    fields = _metadata(words, width)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields)
    body = b""
    for name, (shape, kind, data) in tensors.items():
        header += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body))
        body += data + bytes(-len(data) % ALIGNMENT)
    return header + bytes(-len(header) % ALIGNMENT) + body


def main(argv: list[str] | None = None) -> int:
    """Write the file named on the command line and print its SHA-256."""
    parser = argparse.ArgumentParser(description="Write the lab's tiny GGUF model and print its SHA-256.")
    parser.add_argument("path", type=Path)
    path: Path = parser.parse_args(argv).path
    data = build()
    path.write_bytes(data)
    print(hashlib.sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
