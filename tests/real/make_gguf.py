"""Make of the committed model the file that llama.cpp loads.

    .venv-servers/llama/bin/python tests/real/make_gguf.py FROM TO.gguf

Needs the packages gguf and numpy, and nothing of this project. The weights become 32-bit numbers: llama.cpp would round
what it multiplies 16-bit ones with, and a model that knows its answers by heart should say them exactly.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType

NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


def read_tensors(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a safetensors file of 16-bit numbers, as 32-bit ones."""
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            assert about["dtype"] == "F16", f"{name} is {about['dtype']}"
            first, last = (start + offset for offset in about["data_offsets"])
            values = np.frombuffer(data[first:last], dtype=np.float16)
            yield gguf_name(name), values.reshape(about["shape"]).astype(np.float32)


def gguf_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest]}"


def add_config(writer: GGUFWriter, config: dict[str, object]) -> None:
    writer.add_name("scripted")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])


def add_tokenizer(writer: GGUFWriter, tokenizer: dict[str, object], size: int) -> None:
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [TokenType.UNUSED] * size
    for token, number in tokenizer["model"]["vocab"].items():
        tokens[number], types[number] = token, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_add_bos_token(False)


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((source / "config.json").read_text("utf-8"))
    writer = GGUFWriter(target, "qwen3")
    add_config(writer, config)
    add_tokenizer(writer, json.loads((source / "tokenizer.json").read_text("utf-8")), config["vocab_size"])
    writer.add_chat_template((source / "chat_template.jinja").read_text("utf-8"))
    for name, values in read_tensors(source / "model.safetensors"):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
