"""Plain transformers loads what `bnq quantize FOLDER OUT` writes, and computes what is meant."""

import json
from pathlib import Path
from typing import Any

import oracle
import pytest
import torch
from models import CONFIGS, DECODER, load, make_model, quantized_modules, run_bnq, stored
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.filterwarnings("default")  # transformers' own

DECODERS = [name for name in CONFIGS if name.endswith("ForCausalLM")]
CASES = [
    *((name, {"tie_word_embeddings": tied}) for name in DECODERS for tied in (False, True)),
    ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    ("LlamaForCausalLM", {"head_dim": 32}),
    *((name, {}) for name in CONFIGS if name.startswith("Bert")),
]
IDS = ["-".join([name, *(f"{key}={value}" for key, value in changed.items())]) for name, changed in CASES]


def input_ids() -> torch.Tensor:
    return torch.randint(3, 96, (2, 11), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
@pytest.mark.parametrize(("architecture", "changed"), CASES, ids=IDS)
def test_loads_and_every_layer_agrees(architecture: str, changed: dict[str, Any], scheme: str, tmp_path: Path) -> None:
    make_model(architecture, **changed).save_pretrained(tmp_path / "in")
    run_bnq(
        "quantize", tmp_path / "in", tmp_path / "out", *("--scheme", scheme, "--strict"), *("--target", "transformers")
    )
    model = load(tmp_path / "out", architecture)
    tensors = stored(tmp_path / "out")
    assert len(quantized_modules(tensors)) >= 12, "two blocks of six linear layers at least"
    oracle.require_layers_agree(model, tensors, scheme, lambda: model(input_ids()))


PACKED = [f"{bits}:{granularity}" for bits in (7, 6, 5, 4, 3, 2) for granularity in ("row", "group(16)", "group(32)")]


@pytest.mark.parametrize("scheme", PACKED)
def test_every_packed_form_that_the_target_takes(scheme: str, tmp_path: Path) -> None:
    make_model("LlamaForCausalLM").save_pretrained(tmp_path / "in")
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", scheme, "--target", "transformers")
    model = load(tmp_path / "out", "LlamaForCausalLM")
    oracle.require_layers_agree(model, stored(tmp_path / "out"), "4", lambda: model(input_ids()))


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Qwen2ForCausalLM", "BertModel"])
def test_bfloat16_stays_near_float32(architecture: str, scheme: str, tmp_path: Path) -> None:
    """One unit of bf16 flips activation codes, so that outputs are near and not equal: 1.6-3.9e-2 was measured."""
    outputs = []
    for dtype in (torch.float32, torch.bfloat16):
        source, out = tmp_path / f"{dtype}", tmp_path / f"{dtype} out"
        make_model(architecture, torch.bfloat16).to(dtype).save_pretrained(source)
        run_bnq("quantize", source, out, "--scheme", scheme, "--strict")
        with torch.no_grad():
            outputs.append(load(out, architecture, dtype=dtype)(input_ids())[0].float())
    assert (outputs[1] - outputs[0]).norm() <= 0.06 * outputs[0].norm()


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
def test_kept_layers_load_as_they_were(scheme: str, tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM")
    model.save_pretrained(tmp_path / "in")
    kept = ["--keep", "model.layers.1.mlp.up_proj.weight", "--keep", "*.0.self_attn.*"]
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", scheme, "--strict", *kept)
    loaded = load(tmp_path / "out", "LlamaForCausalLM")
    for name in ("model.layers.1.mlp.up_proj", "model.layers.0.self_attn.q_proj", "lm_head"):
        assert torch.equal(loaded.get_submodule(name).weight, model.get_submodule(name).weight), name
    with torch.no_grad():
        logits = [loaded(input_ids()).logits for _ in range(2)]
    assert torch.isfinite(logits[0]).all()
    assert torch.equal(*logits)


def test_two_schemes_are_two_groups(tmp_path: Path) -> None:
    make_model("LlamaForCausalLM").save_pretrained(tmp_path / "in")
    rules = ["--rule", "*.mlp.*=4", "--head", "8"]
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", "8", "--strict", *rules)
    model = load(tmp_path / "out", "LlamaForCausalLM")
    layers = quantized_modules(stored(tmp_path / "out"))
    assert "lm_head" in layers
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        model(input_ids())  # compressed-tensors makes floats of the weights at the first call
    for name, scheme in (
        ("model.layers.0.mlp.up_proj", "4"),
        ("model.layers.1.self_attn.q_proj", "8"),
        ("lm_head", "8"),
    ):
        want = oracle.BY_SCHEME[scheme](layers[name], None)(x)
        with torch.no_grad():
            got = model.get_submodule(name)(x)
        assert (got - want).norm() <= oracle.MOST_ERROR * want.norm(), name


@pytest.mark.parametrize(
    "options",
    [["--scheme", "8"], ["--scheme", "4"], ["--scheme", "ternary"], ["--scheme", "8", "--rule", "*o_proj*=4"]],
)
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Qwen3ForCausalLM", "BertForSequenceClassification"])
def test_the_base_model_alone_knows_kept_layers_too(architecture: str, options: list[str], tmp_path: Path) -> None:
    """AutoModel leaves the head away, and with it the first part of every module's name."""
    import transformers

    make_model(architecture).save_pretrained(tmp_path / "in")
    kept = ["--keep", "*.0.*v_proj.weight", "--keep", "*.1.attention.self.value.weight"]
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", *options, *kept)
    base, info = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    whole = load(tmp_path / "out", architecture)
    assert not any("weight" in key and "pooler" not in key for key in info["missing_keys"]), info
    with torch.no_grad():
        inside = whole(input_ids(), output_hidden_states=True).hidden_states[-1]
        alone = base.eval()(input_ids())[0]
    assert torch.equal(inside, alone)


OTHER_CLASSES = [
    ("BertModel", "BertForTokenClassification", {}),
    ("BertForMaskedLM", "BertForSequenceClassification", {}),
    ("BertForMaskedLM", "BertModel", {}),
    ("BertForSequenceClassification", "BertForMaskedLM", {}),
    ("LlamaForCausalLM", "LlamaForSequenceClassification", {"num_labels": 3}),
    ("Qwen2ForCausalLM", "Qwen2ForTokenClassification", {}),
]


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
@pytest.mark.parametrize(("saved", "loaded", "changed"), OTHER_CLASSES)
def test_another_class_reads_the_same_layers(
    saved: str, loaded: str, changed: dict[str, Any], scheme: str, tmp_path: Path
) -> None:
    """A head that is not in the file is made anew, as of a float model; the rest has to be the same."""
    import transformers

    make_model(saved, **changed).save_pretrained(tmp_path / "in")
    kept = ["--keep", "*.1.*.value.weight" if "Bert" in saved else "*.1.*.v_proj.weight"]
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", scheme, "--strict", *kept)
    own = load(tmp_path / "out", saved)
    other = getattr(transformers, loaded).from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        outputs = [model(input_ids(), output_hidden_states=True) for model in (own, other)]
    assert torch.equal(*(output.hidden_states[-1] for output in outputs))
    for head in ("pooler_output", "logits"):
        made = outputs[1].get(head)
        assert made is None or (made.isfinite().all() and made.abs().max() < 50), "float weights of usual size"


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
def test_matrices_without_a_place_in_the_class_stay_float_in_others(scheme: str, tmp_path: Path) -> None:
    """As bert-base-uncased is: a masked language model by its config, with a pooler in the file."""
    import transformers

    make_model("BertForMaskedLM").save_pretrained(tmp_path / "in")
    path = tmp_path / "in" / "model.safetensors"
    weight, bias = torch.randn(64, 64) / 9, torch.randn(64)
    pooler = {"bert.pooler.dense.weight": weight, "bert.pooler.dense.bias": bias}
    save_file(load_file(path) | pooler, path, {"format": "pt"})
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", scheme, "--strict")
    base = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(base.pooler.dense.weight, weight)
    with torch.no_grad():
        out = base(input_ids())
        want = torch.tanh(out.last_hidden_state[:, 0] @ weight.T + bias)
    assert torch.allclose(out.pooler_output, want, atol=1e-5)


@pytest.mark.parametrize(
    ("stored", "config"),
    [
        (torch.bfloat16, "float32"),
        (torch.float32, "bfloat16"),
        (None, "bfloat16"),
    ],
)
def test_ternary_of_several_dtypes_runs(stored: Any, config: str, tmp_path: Path) -> None:
    """autobitlinear takes activations of one dtype only; then it is bitlinear, which casts."""
    model = make_model("LlamaForCausalLM").to(stored or torch.bfloat16)
    if stored is None:
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.data = parameter.data.float()
    model.save_pretrained(tmp_path / "in")
    text = json.loads((tmp_path / "in" / "config.json").read_text()) | {"dtype": config}
    (tmp_path / "in" / "config.json").write_text(json.dumps(text))
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", "ternary", "--strict")
    run_bnq("dequantize", tmp_path / "out", tmp_path / "back")
    with torch.no_grad():
        logits = [load(tmp_path / n, "LlamaForCausalLM")(input_ids()).logits.float() for n in ("out", "back")]
    assert (logits[0] - logits[1]).norm() <= 0.1 * logits[1].norm(), "int8 tokens, and roundings of bf16"


def test_ternary_with_biases_in_float16_is_bnqs_alone(tmp_path: Path) -> None:
    make_model("Qwen2ForCausalLM").half().save_pretrained(tmp_path / "in")
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", "ternary", "--strict", code=2)
    assert "divides by infinity" in done.stderr


def test_a_head_that_may_be_tied_is_not_packed(tmp_path: Path) -> None:
    make_model("LlamaForCausalLM", tie_word_embeddings=True).save_pretrained(tmp_path / "in")
    path = tmp_path / "in" / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, path, {"format": "pt"})
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--scheme", "4", "--head", "4", "--strict", code=2)
    assert "may be tied" in done.stderr


def test_embeddings_in_int8(tmp_path: Path) -> None:
    make_model("LlamaForCausalLM", tie_word_embeddings=False).save_pretrained(tmp_path / "in")
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--embeddings", "8", "--strict")
    model = load(tmp_path / "out", "LlamaForCausalLM")
    table = oracle.values(quantized_modules(stored(tmp_path / "out"))["model.embed_tokens"])
    with torch.no_grad():
        model(input_ids())
        assert torch.allclose(model.get_input_embeddings()(input_ids()), table[input_ids()], rtol=1e-6, atol=0)


def test_tied_embeddings_are_refused_under_strict(tmp_path: Path) -> None:
    make_model("LlamaForCausalLM", tie_word_embeddings=True).save_pretrained(tmp_path / "in")
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--embeddings", "8", "--strict", code=2)
    assert "tied to the head" in done.stderr
    assert not (tmp_path / "out").exists()


def test_shards_and_index_load(tmp_path: Path) -> None:
    make_model("Qwen2ForCausalLM").save_pretrained(tmp_path / "in", max_shard_size="100KB")
    assert (tmp_path / "in" / "model.safetensors.index.json").exists()
    run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--shard-size", "60KB", "--strict")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(shards) > 1
    assert sorted(set(index["weight_map"].values())) == shards
    load(tmp_path / "out", "Qwen2ForCausalLM")


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "T5ForConditionalGeneration", "MixtralForCausalLM"])
def test_what_no_client_loads_is_refused_by_transformers_and_under_strict(name: str, tmp_path: Path) -> None:
    import transformers

    small = {"n_layer": 1, "n_head": 2, "n_embd": 32, "vocab_size": 64, "n_positions": 32}
    if name.startswith("T5"):
        small = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": 64}
    if name.startswith("Mixtral"):
        small = DECODER | {"num_local_experts": 2}
    config = getattr(transformers, name.split("LMHead", maxsplit=1)[0].split("For", maxsplit=1)[0] + "Config")(**small)
    getattr(transformers, name)(config).save_pretrained(tmp_path / "in")
    rule = ["--rule", "*.mlp.c_fc.weight=8"] if name.startswith("GPT2") else []
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--strict", *rule, code=2)
    assert "only bnq will read this folder" in done.stderr
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", *rule)
    assert "only bnq will read this folder" in done.stderr
    with pytest.raises(ValueError, match="no `quant_method`"):
        getattr(transformers, name).from_pretrained(tmp_path / "out")
    quantized = quantized_modules(stored(tmp_path / "out"))
    assert not any(module.endswith((".gate", "relative_attention_bias")) for module in quantized), "none is a Linear"
    assert not name.startswith("Mixtral") or sum("expert" in module for module in quantized) == 12
