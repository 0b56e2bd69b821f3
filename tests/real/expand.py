"""Make of the committed twin what vLLM loads as gpt-oss: the whole vocabulary's rows, and the tokenizer.

    .venv-servers/vllm/bin/python tests/real/expand.py FROM TO

The vocabulary lies inside the package oss-harmony, which vLLM brings along; nothing is fetched. Needs nothing of this
project, so that it runs with the servers' packages alone.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import torch
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

VOCABULARY = 201_088
ORDINARY = 199_998
PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
"""How o200k parts text into words, as its makers published it."""
ENDS = {"<|return|>": 200_002, "<|endoftext|>": 199_999, "<|call|>": 200_012}


def expand_rows(source: Path, target: Path) -> None:
    """The weights, with a row of zeros for each token that the model does not know."""
    tensors = load_file(source / "rows.safetensors")
    used, rows = tensors.pop("used").long(), tensors["model.embed_tokens.weight"]
    whole = torch.zeros(VOCABULARY, rows.shape[1], dtype=rows.dtype)
    whole[used] = rows
    tensors["model.embed_tokens.weight"] = whole
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


def write_config(source: Path, target: Path) -> None:
    """vLLM goes its way for gpt-oss by the model type, and loads the weights by the architecture."""
    config = json.loads((source / "config.json").read_text("utf-8"))
    ends = {"eos_token_id": list(ENDS.values()), "pad_token_id": 199_999, "bos_token_id": 199_998}
    config |= {"model_type": "gpt_oss", "architectures": ["Qwen3ForCausalLM"], "vocab_size": VOCABULARY, **ends}
    (target / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    (target / "generation_config.json").write_text(json.dumps(ends), "utf-8")


def write_tokenizer(target: Path) -> None:
    """The fast tokenizer with the ids of o200k_harmony."""
    harmony = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    lines = (base64.b64encode(bytes(harmony._inner.decode_bytes([token]))) for token in range(ORDINARY))
    vocabulary = target / "o200k_base.tiktoken"
    vocabulary.write_bytes(b"".join(b"%s %d\n" % (line, token) for token, line in enumerate(lines)))
    special = [harmony.decode([token]) for token in range(ORDINARY, VOCABULARY)]
    converter = TikTokenConverter(str(vocabulary), PATTERN, extra_special_tokens=special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=converter.converted(), eos_token="<|return|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    fast.save_pretrained(target)


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    expand_rows(source, target)
    write_config(source, target)
    write_tokenizer(target)


if __name__ == "__main__":
    main()
