"""Model folders to GGUF and back: the gguf package names, reads and dequantizes; transformers runs what was written."""

import json
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch
import transformers
from models import make_model, run_bnq
from safetensors.numpy import load_file, save_file
from ternary_folders import SIZES, add_tokenizer, folder_of

import bnq

ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3,
    "BitNetForCausalLM": gguf.MODEL_ARCH.BITNET,
}
LAYOUTS = ["tq1_0", "tq2_0", "q2_0", "q4_0", "q8_0", "iq2_bn", "i2_s"]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16, "rope_theta": 10_000.0}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:no tokenizer", "ignore:llama.cpp computes", "ignore:bitnet.cpp since")


def rows_in_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    """As llama.cpp's converter puts the rows of q and k."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def values_of(tensor: Any) -> np.ndarray:
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1].tolist())


def field(reader: Any, key: str) -> Any:
    return reader.fields[key].contents()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_names_rows_and_values(architecture: str, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", architecture)
    bnq.convert(source, tmp_path / "out.gguf", "tq2_0", strict=True)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], 2)
    originals = load_file(source / "model.safetensors")
    stored = {tensor.name: tensor for tensor in reader.tensors}
    assert len(stored) == len(originals)
    for name, original in originals.items():
        if name.endswith(("attn_sub_norm.weight", "ffn_sub_norm.weight")):  # not in the package's table
            layer, kind = name.split(".")[2], name.split(".")[-2]
            tensor = stored[f"blk.{layer}.{kind}.weight"]
        else:
            tensor = stored[names.get_name(name, try_suffixes=(".weight", ".bias"))]
        expected = original
        if architecture == "LlamaForCausalLM" and ("q_proj" in name or "k_proj" in name):
            expected = rows_in_pairs(original, 4 if "q_proj" in name else 2)
        assert np.array_equal(values_of(tensor), expected), name
        kind = "TQ2_0" if name.endswith("_proj.weight") else "F32"
        assert tensor.tensor_type.name == kind, name


def test_it_is_verified_by_way_of_safetensors(tmp_path: Path) -> None:
    """Beside a folder, whose names are others, it would look as if nothing of the model were in it."""
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    bnq.convert(source, tmp_path / "out.gguf", "q8_0", strict=True)
    with pytest.raises(bnq.UnsupportedError, match=r"other names.*bnq convert FILE.gguf OUT.safetensors --to i8"):
        bnq.verify(source, tmp_path / "out.gguf")
    bnq.convert(tmp_path / "out.gguf", tmp_path / "back.safetensors", "i8", strict=True)
    verification = bnq.verify(source, tmp_path / "back.safetensors", min_sqnr_db=float("inf"))
    assert verification.lossless
    assert verification.gates_met


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"])
def test_transformers_computes_the_same(architecture: str, tmp_path: Path) -> None:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128}  # all that its reader takes of Qwen3
    source = folder_of(tmp_path / "in", architecture, **heads)
    bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        need = transformers.AutoModelForCausalLM.from_pretrained(source)(tokens).logits
        got = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="out.gguf")(tokens).logits
    assert torch.equal(got, need)


def test_scaled_positions(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM", rope_parameters=LLAMA3)
    bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    divisors = next(t for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors if t.name == "rope_freqs.weight")
    model = transformers.AutoModelForCausalLM.from_pretrained(source)
    plain = 10_000.0 ** (-np.arange(0, 64, 2) / 64)
    assert len(set(divisors.data.tolist())) > 3
    assert np.allclose(plain / divisors.data, model.model.rotary_emb.inv_freq.numpy(), rtol=1e-6)
    with pytest.warns(UserWarning, match="'rope_freqs.weight' is left out"):
        bnq.convert(tmp_path / "out.gguf", tmp_path / "back", "u2_hf")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_base_that_the_config_leaves_out_is_that_of_transformers(architecture: str, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", architecture)
    change(source, rope_parameters=None)
    bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    base = transformers.AutoConfig.from_pretrained(source).rope_parameters["rope_theta"]
    assert field(reader, f"{field(reader, 'general.architecture')}.rope.freq_base") == base


def test_positions_scaled_in_two_places(tmp_path: Path) -> None:
    """A hint of many a model's card: add rope_scaling to the config, which has rope_parameters since transformers 5."""
    source = folder_of(tmp_path / "in", "Qwen2ForCausalLM")
    linear = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6}
    change(source, rope_scaling=linear)
    assert transformers.AutoConfig.from_pretrained(source).rope_parameters["factor"] == 4
    with pytest.raises(bnq.BadContentError, match="'rope_parameters' and 'rope_scaling' say different things"):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    for empty in ({}, None, linear):
        change(source, rope_parameters=empty)
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0", force=True)
        reader = gguf.GGUFReader(tmp_path / "out.gguf")
        assert field(reader, "qwen2.rope.scaling.factor") == 4
        assert field(reader, "qwen2.rope.freq_base") == 1e6


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "BitNetForCausalLM"])
def test_there_and_back(architecture: str, layout: str, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", architecture, scale=0.1)
    result = bnq.convert(source, tmp_path / "out.gguf", layout)
    assert (result.tensors, result.ternary_floats) == (14, 14)
    is_exact = layout in ("i2_s", "iq2_bn")
    assert (result.scale_error == 0) == is_exact
    assert result.scale_error <= 2**-11
    back = bnq.convert(tmp_path / "out.gguf", tmp_path / "back.safetensors", "u2_hf")
    assert back.scale_error == 0
    originals, loaded = load_file(source / "model.safetensors"), bnq.load(tmp_path / "back.safetensors")
    assert loaded.keys() == originals.keys()
    for name, original in originals.items():
        tensor = loaded[name]
        if isinstance(tensor, bnq.QuantizedTensor):
            assert tensor.scheme == bnq.Scheme("ternary")
            assert np.array_equal(tensor.codes, np.sign(original))
            assert abs(tensor.scales[0] / np.float32(0.1) - 1) <= (0 if is_exact else 2**-11)
        else:
            assert np.array_equal(tensor, original), name


def test_bf16_is_kept_and_vectors_are_widened(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    tensors = {
        name: array.astype(ml_dtypes.bfloat16) for name, array in load_file(source / "model.safetensors").items()
    }
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    bnq.convert(source, tmp_path / "out.gguf", "tq1_0")
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    assert types["token_embd.weight"] == types["output.weight"] == "BF16"
    assert types["output_norm.weight"] == types["blk.1.attn_norm.weight"] == "F32"
    assert types["blk.0.attn_q.weight"] == "TQ1_0"


def test_keys(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    expected = {
        "general.architecture": "llama", "general.name": "in", "general.file_type": 37,
        "general.quantization_version": 2, "llama.vocab_size": 96, "llama.context_length": 64,
        "llama.embedding_length": 256, "llama.block_count": 2, "llama.feed_forward_length": 512,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.attention.key_length": 64,
        "llama.rope.dimension_count": 64, "llama.rope.freq_base": 10_000.0,
    }  # fmt: skip
    for key, value in expected.items():
        assert field(reader, key) == value, key
    assert abs(field(reader, "llama.attention.layer_norm_rms_epsilon") - 1e-6) < 1e-12


@pytest.mark.parametrize(
    ("layout", "name"), [("tq2_0", "bitnet"), ("i2_s", "bitnet-b1.58"), ("iq2_bn", "bitnet-b1.58")]
)
def test_bitnet_is_called_as_its_readers_call_it_and_warns(layout: str, name: str, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "BitNetForCausalLM")
    said = run_bnq("convert", source, tmp_path / "out.gguf", "--to", layout).stderr
    assert "squared ReLU" in said
    assert ("llama.cpp computes SiLU" in said) == (name == "bitnet")
    if layout == "tq2_0":
        assert field(gguf.GGUFReader(tmp_path / "out.gguf"), "general.architecture") == name


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ("tq2_0", "tq1_0", ["llama.cpp computes SiLU"]),
        ("tq2_0", "i2_s", ["llama.cpp computes SiLU", "programs for i2_s take this model as bitnet-b1.58"]),
        ("i2_s", "iq2_bn", ["bitnet.cpp since July 2026 computes SiLU"]),
        ("i2_s", "tq2_0", ["bitnet.cpp since", "programs for tq2_0 take this model as bitnet: convert the model fol"]),
    ],
)
def test_bitnet_warns_from_one_file_to_the_next(first: str, then: str, said: list[str], tmp_path: Path) -> None:
    """Keys stay those of the first file, `general.architecture` among them."""
    source = folder_of(tmp_path / "in", "BitNetForCausalLM")
    run_bnq("convert", source, tmp_path / "first.gguf", "--to", first)
    lines = run_bnq("convert", tmp_path / "first.gguf", tmp_path / "out.gguf", "--to", then).stderr.splitlines()
    assert len(lines) == len(said)
    for line, text in zip(lines, said, strict=True):
        assert text in line


def test_other_models_warn_of_nothing_from_one_file_to_the_next(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    run_bnq("convert", source, tmp_path / "first.gguf", "--to", "tq2_0")
    assert run_bnq("convert", tmp_path / "first.gguf", tmp_path / "out.gguf", "--to", "i2_s").stderr == ""


@pytest.mark.parametrize(("pattern", "pre"), [("llama", "llama-bpe"), (None, "gpt-2"), ("other", None)])
def test_the_tokenizer(pattern: str | None, pre: str | None, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    tokenizer = add_tokenizer(source, pattern)
    said = run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq2_0").stderr
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    assert len(tokens) == len(types) == 96
    count = tokenizer.get_vocab_size()
    assert tokens[:count] == [tokenizer.id_to_token(i) for i in range(count)]
    assert tokens[count:] == [f"[PAD{i}]" for i in range(count, 96)]
    assert types[:2] == [3, 3]
    assert types[count - 1 :] == [4] + [5] * (96 - count)
    assert set(types[2 : count - 1]) == {1}
    merges = json.loads((source / "tokenizer.json").read_text())["model"]["merges"]
    assert field(reader, "tokenizer.ggml.merges") == [" ".join(merge) for merge in merges]
    assert field(reader, "tokenizer.ggml.model") == "gpt2"
    assert field(reader, "tokenizer.ggml.bos_token_id") == 0
    assert field(reader, "tokenizer.ggml.eos_token_id") == 1
    assert field(reader, "tokenizer.ggml.add_bos_token") is True
    assert field(reader, "tokenizer.chat_template") == "{{ x }}"
    if pre is None:
        assert "--pre-tokenizer" in said
        assert "tokenizer.ggml.pre" not in reader.fields
        run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq2_0", "--force", "--pre-tokenizer", "mine")
        pre = "mine"
    assert field(gguf.GGUFReader(tmp_path / "out.gguf"), "tokenizer.ggml.pre") == pre


def settings_of(document: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        document = document[int(key) if key.isdigit() else key]  # type: ignore[index]
    return document


PRE = "pre_tokenizer.pretokenizers"
OTHER_TOKENIZERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "lower case": ("", {"normalizer": {"type": "Lowercase"}}, "changes text before it looks for tokens"),
    "one of two": (
        "",
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "_"}]}},
        "changes text before it looks for tokens",
    ),
    "removes what it splits at": (f"{PRE}.0", {"behavior": "Removed"}, "--pre-tokenizer"),
    "splits elsewhere": (f"{PRE}.0", {"invert": True}, "--pre-tokenizer"),
    "a space in front": (f"{PRE}.1", {"add_prefix_space": True}, "--pre-tokenizer"),
    "splits twice": (f"{PRE}.1", {"use_regex": True}, "--pre-tokenizer"),
    "marks ends": ("model", {"end_of_word_suffix": "</w>"}, "marks where words begin or end"),
    "marks parts": ("model", {"continuing_subword_prefix": "##"}, "marks where words begin or end"),
    "NFC": ("", {"normalizer": {"type": "NFC"}}, ""),
}


@pytest.mark.parametrize("name", OTHER_TOKENIZERS)
def test_what_gguf_says_nothing_of_is_said(name: str, tmp_path: Path) -> None:
    where, changed, warning = OTHER_TOKENIZERS[name]
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    add_tokenizer(source)
    document = json.loads((source / "tokenizer.json").read_text())
    (settings_of(document, where) if where else document).update(changed)
    (source / "tokenizer.json").write_text(json.dumps(document))
    said = run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq2_0").stderr
    assert warning in said
    assert bool(said) == bool(warning)


AROUND: list[tuple[list[str], dict[str, bool], tuple[bool, bool], str]] = [
    ([], {}, (False, False), ""),
    (["<s>", ""], {}, (True, False), ""),
    (["", "</s>"], {}, (False, True), ""),
    (["<s>", "", "</s>"], {"add_bos_token": False}, (False, True), ""),
    (["</s>", ""], {}, (False, False), "puts '</s>' around each text, which is not its bos token"),
    (["</s>", "", "<s>"], {}, (False, False), "puts '</s>' around each text, which is not its bos token"),
]


@pytest.mark.parametrize("case", AROUND)
def test_tokens_around_a_text(case: tuple[list[str], dict[str, bool], tuple[bool, bool], str], tmp_path: Path) -> None:
    """Said in any case: llama.cpp puts one before texts of llama-bpe where a file says nothing."""
    pieces, stated, added, said = case
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    add_tokenizer(source)
    settings = {"bos_token": "<s>", "eos_token": "</s>"} | stated
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    document = json.loads((source / "tokenizer.json").read_text())
    single = [
        {"SpecialToken": {"id": p, "type_id": 0}} if p else {"Sequence": {"id": "A", "type_id": 0}} for p in pieces
    ]
    template = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}
    document["post_processor"] = (
        {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]} if pieces else None
    )
    (source / "tokenizer.json").write_text(json.dumps(document))
    warnings = run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq2_0").stderr
    assert said in warnings
    assert bool(said) == bool(warnings)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert (field(reader, "tokenizer.ggml.add_bos_token"), field(reader, "tokenizer.ggml.add_eos_token")) == added


def test_two_tokens_of_one_id(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    add_tokenizer(source)
    document = json.loads((source / "tokenizer.json").read_text())
    document["model"]["vocab"]["zebra"] = document["model"]["vocab"]["a"]
    (source / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(bnq.BadContentError, match=r"two tokens have one id \(got \d+ of 'a' and 'zebra'\)"):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0")


def test_an_empty_token_is_no_special_one(tmp_path: Path) -> None:
    """A setting that is not there names no token, not the one without letters."""
    source = folder_of(tmp_path / "in", "LlamaForCausalLM")
    add_tokenizer(source)
    document = json.loads((source / "tokenizer.json").read_text())
    document["model"]["vocab"][""] = 94
    (source / "tokenizer.json").write_text(json.dumps(document))
    run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq2_0")
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert field(reader, "tokenizer.ggml.padding_token_id") == 0  # of config.json
    assert "tokenizer.ggml.unknown_token_id" not in reader.fields


def change(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def retensor(folder: Path, drop: str = "", **added: np.ndarray) -> None:
    tensors = {k: v for k, v in load_file(folder / "model.safetensors").items() if k != drop}
    save_file(tensors | added, folder / "model.safetensors", metadata={"format": "pt"})


ODD = np.full((2, 2), 0.3, np.float64)
REFUSED: list[tuple[str, Any, str]] = [
    ("LlamaForCausalLM", lambda f: change(f, architectures=["GemmaForCausalLM"]), "called in GGUF.*'GemmaForCausalLM'"),
    ("LlamaForCausalLM", lambda f: change(f, hidden_act="gelu"), "another activation.*'gelu'.*need 'silu'"),
    ("LlamaForCausalLM", lambda f: change(f, num_hidden_layers=3), "missing.*'model.layers.2.input_layernorm.weight'"),
    ("LlamaForCausalLM", lambda f: change(f, num_hidden_layers=1), "in none of the layers.*1 layers"),
    (
        "LlamaForCausalLM",
        lambda f: change(f, num_attention_heads=3),
        r"q_proj.*not the shape.*\[256, 256\], need \[192, 256\]",
    ),
    (
        "LlamaForCausalLM",
        lambda f: change(f, vocab_size=2**30),
        r"embed_tokens.*not the shape.*need \[1073741824, 256\]",
    ),
    ("LlamaForCausalLM", lambda f: change(f, num_hidden_layers=2**30), "missing.*'model.layers.2.input_lay"),
    ("LlamaForCausalLM", lambda f: change(f, head_dim=2**30), "q_proj.*not the shape"),
    (
        "LlamaForCausalLM",
        lambda f: change(f, intermediate_size=256),
        r"gate_proj.*not the shape.*\[512, 256\], need \[256, 256\]",
    ),
    (
        "LlamaForCausalLM",
        lambda f: retensor(f, **{"model.norm.weight": np.ones(128, np.float32)}),
        r"model.norm.*not the shape.*\[128\], need \[256\]",
    ),
    (
        "LlamaForCausalLM",
        lambda f: retensor(f, **{"lm_head.weight": np.full((50, 256), 0.3, np.float32)}),
        r"lm_head.*not the shape.*\[50, 256\], need \[96, 256\]",
    ),
    (
        "LlamaForCausalLM",
        lambda f: retensor(f, **{"model.norm.weight": np.ones(256, np.float64)}),
        "norm.weight'.*dtype.*f64",
    ),
    ("LlamaForCausalLM", lambda f: change(f, hidden_size="x"), "'hidden_size' is missing or no size"),
    ("LlamaForCausalLM", lambda f: change(f, rope_parameters={"rope_type": "yarn"}), "scaled in a way.*'yarn'"),
    ("LlamaForCausalLM", lambda f: change(f, rope_parameters={"rope_type": 7}), "'rope_type' is no text.*got 7"),
    ("LlamaForCausalLM", lambda f: change(f, rope_scaling="yarn"), "'rope_scaling' is no object.*yarn"),
    ("LlamaForCausalLM", lambda f: change(f, hidden_act=["gelu"]), "'hidden_act' is no text"),
    ("LlamaForCausalLM", lambda f: retensor(f, "lm_head.weight"), "missing.*'lm_head.weight'"),
    (
        "LlamaForCausalLM",
        lambda f: retensor(f, **{"model.layers.0.self_attn.q_proj.bias": ODD[0]}),
        "q_proj.bias'.*no pl",
    ),
    (
        "LlamaForCausalLM",
        lambda f: retensor(f, **{"model.norm.weight": np.ones(256, bool)}),
        "norm.weight'.*dtype.*bool",
    ),
    ("BitNetForCausalLM", lambda f: change(f, tie_word_embeddings=False), "head of its own.*bitnet"),
    ("BitNetForCausalLM", lambda f: (f / "config.json").unlink(), "need a model folder with its config.json"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[said for *_, said in REFUSED])
def test_what_is_said_before_work(case: tuple[str, Any, str], tmp_path: Path) -> None:
    architecture, spoil, said = case
    source = folder_of(tmp_path / "in", architecture)
    spoil(source)
    calls: list[int] = []
    with pytest.raises(bnq.Error, match=said):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0", progress=lambda done, _: calls.append(done))
    assert calls == []
    assert not (tmp_path / "out.gguf").exists()


def test_a_depth_that_blocks_do_not_divide(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM", intermediate_size=320)
    with pytest.raises(bnq.UnsupportedError, match=r"down_proj.weight'.*tq2_0 cannot hold it.*multiples of 256.*320"):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    bnq.convert(source, tmp_path / "out.gguf", "q2_0")


def test_strict_refuses_a_rounded_scale(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM", scale=0.1)
    with pytest.raises(bnq.UnsupportedError, match=r"tq2_0 rounds its scale \(got a relative error of 0.00024"):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0", strict=True)
    assert not (tmp_path / "out.gguf").exists()
    assert (
        "scales     rounded by up to 0.024 %" in run_bnq("convert", source, tmp_path / "o.gguf", "--to", "tq2_0").stdout
    )


def test_a_tied_head_is_left_out(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", "BitNetForCausalLM")
    retensor(source, **{"lm_head.weight": np.ones((96, 256), np.float32) + np.eye(96, 256, dtype=np.float32)})
    with pytest.warns(UserWarning, match="'lm_head.weight' is left out"):
        bnq.convert(source, tmp_path / "out.gguf", "tq2_0")
    assert "output.weight" not in {t.name for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors}


def test_a_file_without_a_config(tmp_path: Path) -> None:
    bnq.save(tmp_path / "in", {"a": bnq.quantize(np.ones((4, 256), np.float32), "ternary")})
    with pytest.raises(bnq.UnsupportedError, match=r"says what its model is.*need a model folder"):
        bnq.convert(tmp_path / "in", tmp_path / "out.gguf", "tq2_0")
    with pytest.raises(
        bnq.UnsupportedError, match=r"GGUF file has no place for this layout \(got i8, need one of tq1_0,"
    ):
        bnq.convert(tmp_path / "in", tmp_path / "out.gguf", "i8")


def plain_folder(path: Path, architecture: str) -> Path:
    """A model of ordinary floats."""
    changed = {"tie_word_embeddings": architecture == "BitNetForCausalLM"}
    make_model(architecture, **(SIZES | changed)).save_pretrained(path)
    return path


@pytest.mark.filterwarnings("ignore:only bnq will read")
@pytest.mark.parametrize(
    ("scheme", "layout"),
    [("8", "q8_0"), ("8:tensor", "q8_0"), ("4", "q4_0"), ("ternary", "i2_s"), ("ternary:row", "iq2_bn")],
)
def test_what_bnq_quantized_goes_on(scheme: str, layout: str, tmp_path: Path) -> None:
    """Codes of the folder are those of the file, row by row; scales that lie with rows move with them."""
    source = plain_folder(tmp_path / "in", "LlamaForCausalLM")
    bnq.quantize_checkpoint(source, tmp_path / "low", scheme)
    bnq.convert(tmp_path / "low", tmp_path / "out.gguf", layout)
    low, stored = bnq.load(tmp_path / "low"), bnq.load(tmp_path / "out.gguf")
    for name, heads in [("q", 4), ("k", 2), ("v", 0)]:
        q, packed = low[f"model.layers.1.self_attn.{name}_proj.weight"], stored[f"blk.1.attn_{name}.weight"]
        codes = rows_in_pairs(q.codes, heads) if heads else q.codes
        assert np.array_equal(packed.codes, codes)
        values = rows_in_pairs(q.dequantize(), heads) if heads else q.dequantize()
        assert np.allclose(packed.dequantize(), values, rtol=2**-11, atol=0)
    bnq.convert(tmp_path / "out.gguf", tmp_path / "back", "i8")
    for name, q in low.items():
        if isinstance(q, bnq.QuantizedTensor):
            assert np.array_equal(bnq.load(tmp_path / "back")[name].codes, q.codes), name


def test_bytes_do_not_depend_on_threads_or_the_instruction_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path / "in", "LlamaForCausalLM", scale=0.1)
    files = set()
    for threads, isa in [("1", ""), ("3", ""), ("2", "scalar")]:
        if isa:
            monkeypatch.setenv("BNQ_ISA", isa)
        run_bnq("convert", source, tmp_path / "out.gguf", "--to", "tq1_0", "--force", "--threads", threads)
        files.add((tmp_path / "out.gguf").read_bytes())
    assert len(files) == 1
