"""--target: what quantize and convert refuse, pick and say for the program that is to run the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

WIDTH, INNER, HEADS, KEY_HEADS, VOCABULARY = 256, 512, 4, 2, 96
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH // 2, WIDTH),
    "self_attn.v_proj": (WIDTH // 2, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}
NORMS = ("input_layernorm", "post_attention_layernorm")


def write_llama(folder: Path, inner: int = INNER, **changed: Any) -> Path:
    """A whole LlamaForCausalLM of one layer, without a tokenizer."""
    rng = np.random.default_rng(5)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "intermediate_size": inner,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "max_position_embeddings": 64,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    } | changed
    tensors = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "lm_head.weight": (VOCABULARY, WIDTH)}
    for name, shape in SHAPES.items():
        tensors[f"model.layers.0.{name}.weight"] = tuple(inner if n == INNER else n for n in shape)
    tensors |= {f"model.layers.0.{name}.weight": (WIDTH,) for name in NORMS} | {"model.norm.weight": (WIDTH,)}
    folder.mkdir()
    values = {name: rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in tensors.items()}
    save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def llama(bnq, tmp_path):
    assert bnq
    return write_llama(tmp_path / "llama")


LLAMA_CPP = [
    ("8", "q8_0"),
    ("6", "q8_0"),
    ("4", "q4_0"),
    ("3", "q4_0"),
    ("ternary", "tq2_0"),
    ("2", "q2_0"),
    ("1", "tq2_0"),
]


@pytest.mark.parametrize(("scheme", "layout"), LLAMA_CPP)
def test_what_is_planned_for_gguf_is_written(bnq, bnq_json, llama, scheme, layout):
    """The plan names the layout, and the conversion that it promises succeeds in it."""
    plan = bnq_json("quantize", llama, "out", "--scheme", scheme, "--target", "llama.cpp")
    assert (plan["target"], plan["target_layout"]) == ("llama.cpp", layout)
    assert any("float16" in note for note in plan["notes"])
    assert not any("only bnq will read" in warning for warning in plan["warnings"])
    done = bnq("convert", "out", "model.gguf", "--target", "llama.cpp").stdout
    assert f"7 tensors to {layout}" in done
    assert "runs in" in done
    assert "scales are rounded to float16" in done
    assert bnq_json("inspect", "model.gguf")["tensors"][-1]["layout"] in (layout, None)
    by_hand = bnq_json("convert", "out", "other.gguf", "--to", layout)
    assert by_hand["layout"] == layout
    assert by_hand["notes"] == []
    assert Path("other.gguf").read_bytes() == Path("model.gguf").read_bytes()


def test_bitnet_cpp(bnq, bnq_json, llama):
    text = bnq("quantize", llama, "out", "--scheme", "ternary", "--target", "bitnet.cpp").stdout
    assert "runs in   bitnet.cpp, in layout i2_s" in text
    assert "then      `bnq convert out model.gguf --target bitnet.cpp`" in text
    document = bnq_json("convert", "out", "model.gguf", "--target", "bitnet.cpp")
    assert document["layout"] == "i2_s"
    assert any("ARM" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("target", "scheme", "said"),
    [
        ("transformers", "8", "127.5"),
        ("transformers", "4", "weights only"),
        ("transformers", "ternary", "5.0 to 5.12"),
        ("vllm", "8", "without the floor 1e-5"),
        ("vllm", "4:group(128)", "multiples of 128"),
    ],
)
def test_folders_are_those_without_a_target(bnq, llama, target, scheme, said):
    text = bnq("quantize", llama, "out", "--scheme", scheme, "--target", target).stdout
    assert f"runs in   {target}\n" in text
    assert said in text
    bnq("quantize", llama, "plain", "--scheme", scheme)
    for name in ("config.json", "model.safetensors"):
        assert Path("out", name).read_bytes() == Path("plain", name).read_bytes()


@pytest.mark.parametrize("target", ["transformers", "vllm", "onnxruntime"])
def test_what_holds_nothing_low_bit_runs_where_the_input_does(bnq, llama, target):
    """Floats are not held against the target."""
    text = bnq("quantize", llama, "out", "--keep", "*", "--target", target).stdout
    assert f"runs in  {target} if the input does: nothing is quantized\n" in text
    assert "then " not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "gguf"], ["target: unknown (got 'gguf', need one of transformers, vllm, llama.cpp"]),
        (
            ["--target", "bitnet.cpp"],
            [
                "down_proj.weight'",
                "nor 6 others: layout i2_s needs codes -1, 0, +1",
                "ternary-absmean:tensor",
                "--scheme",
            ],
        ),
        (
            ["--target", "vllm", "--scheme", "ternary"],
            ["no layers for BitNet", "need a scheme such as int8-absmax:row"],
        ),
        (["--target", "vllm", "--scheme", "3"], ["compute 4 bits"]),
        (["--target", "llama.cpp", "--keep", "*"], ["no tensor would be low-bit, and a GGUF file", "keep fewer"]),
        (["--target", "vllm", "--scheme", "4:group(16)"], ["groups of 32, 64 or 128"]),
        (["--target", "vllm", "--head", "8"], ["'lm_head.weight'", "leave out --head"]),
        (["--target", "vllm", "--embeddings", "8"], ["embed_tokens", "leave out --embeddings"]),
        (["--target", "vllm", "--keep", "*.k_proj.*"], ["one layer of this and", "kept in floats", "one scheme"]),
        (["--target", "vllm", "--rule", "*.up_proj.*=4"], ["one layer of this and gate_proj", "int4-absmax:group(64)"]),
        (["--target", "transformers", "--scheme", "8:tensor"], ["no client has a form for int8-absmax:tensor"]),
        (["--target", "transformers", "--rule", "*.up_proj.*=ternary"], ["mixes ternary with another scheme"]),
        (["--target", "onnxruntime"], ["u8_ort needs a scale for each group", "int8-absmax:group(64)"]),
        (
            ["--target", "llama.cpp", "--scheme", "ternary", "--embeddings", "8"],
            ["one layout is for all", "(got tq2_0 or q2_0 for", "need q8_0, as those before it)", "--to"],
        ),
    ],
)
def test_what_is_refused_before_any_work(bnq, llama, arguments, said):
    for more in (["out"], ["--dry-run"]):
        error = bnq("quantize", llama, *more, *arguments, code=2).stderr
        for part in said:
            assert part in error
    assert not Path("out").exists()


def test_a_shape_is_refused_with_the_option_that_settles_it(bnq, bnq_json, tmp_path):
    """960 is a multiple of 64 and not of 256; 992 of 32 only."""
    write_llama(tmp_path / "good", inner=960)
    write_llama(tmp_path / "bad", inner=992)
    arguments = ("--scheme", "ternary", "--target", "llama.cpp")
    assert bnq_json("quantize", "good", "--dry-run", *arguments)["target_layout"] == "q2_0"
    error = bnq("quantize", "bad", "--dry-run", *arguments, code=2).stderr
    assert "'model.layers.0.mlp.down_proj.weight': llama.cpp cannot run it: layout tq2_0 needs a depth" in error
    assert "q2_0 needs a depth in multiples of 64, the tensor has 992" in error
    assert "--keep 'model.layers.0.mlp.down_proj.weight'" in error
    bnq("quantize", "bad", "out", *arguments, "--keep", "model.layers.0.mlp.down_proj.weight")
    bnq("convert", "out", "model.gguf", "--target", "llama.cpp")
    assert bnq_json("quantize", "bad", "--dry-run", "--scheme", "8", "--target", "llama.cpp")["target_layout"] == "q8_0"


def test_rows_that_only_transformers_minds(bnq, bnq_json, tmp_path):
    """Without a target such a layer stays float; a target is asked for itself."""
    write_llama(tmp_path / "odd", inner=INNER + 2)
    arguments = ("odd", "--dry-run", "--scheme", "ternary", "--keep", "*.down_proj.*")
    assert any("stays float" in warning for warning in bnq_json("quantize", *arguments)["warnings"])
    plan = bnq_json("quantize", *arguments, "--target", "llama.cpp")
    assert [t["scheme"] for t in plan["tensors"] if "up_proj" in t["name"]] == ["ternary-absmean:tensor"]
    error = bnq("quantize", *arguments, "--target", "transformers", code=2).stderr
    assert "its 514 rows are no multiple of 4" in error
    assert "--keep 'model.layers.0.mlp.gate_proj.weight'" in error


def test_a_lone_file(bnq, bnq_json, llama):
    lone = llama / "model.safetensors"
    for target in ("transformers", "vllm", "llama.cpp"):
        assert "need a model folder" in bnq("quantize", lone, "out", "--target", target, code=2).stderr
    plan = bnq_json("quantize", lone, "out", "--target", "onnxruntime", "--scheme", "4:group(32)")
    assert (plan["target"], plan["target_layout"]) == ("onnxruntime", None)
    text = bnq("quantize", lone, "out2", "--target", "onnxruntime", "--scheme", "4:group(32)").stdout
    assert "bnq.pack in Python" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "what this architecture's tensors are called in GGUF"),
        (
            {"architectures": ["MistralForCausalLM"], "rms_norm_eps": None, "num_attention_heads": None},
            "what this architecture's tensors are called in GGUF",
        ),
        ({"hidden_act": "relu2"}, "hidden_act 'relu2'"),
        ({"vocab_size": 97}, "not the shape that config.json states"),
        ({"num_hidden_layers": 2}, "a tensor of the model is missing"),
    ],
)
def test_models_that_gguf_has_no_place_for(bnq, tmp_path, changed, said):
    """The plan refuses what the conversion would."""
    write_llama(tmp_path / "model", **changed)
    code = 4 if "missing" in said or "states" in said else 2
    assert said in bnq("quantize", "model", "out", "--target", "llama.cpp", code=code).stderr
    bnq("quantize", "model", "out")
    assert said in bnq("convert", "out", "out.gguf", "--target", "llama.cpp", code=code).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out", "x.gguf"], "neither a layout nor a target is given"),
        (["out", "x.gguf", "--to", "q8_0", "--target", "llama.cpp"], "both given"),
        (["out", "x.safetensors", "--target", "llama.cpp"], "reads GGUF files; name OUT *.gguf"),
        (["out", "x.safetensors", "--target", "vllm"], "`bnq quantize FOLDER OUT --target vllm`"),
        (["out", "x.gguf", "--target", "transformers"], "loads a model folder"),
        (["out", "x.onnx", "--target", "onnxruntime"], "in Python bnq.pack(q, layout)"),
        (["out", "x.gguf", "--target", "bitnet.cpp"], "down_proj.weight': bitnet.cpp cannot run it: layout i2_s"),
    ],
)
def test_what_convert_refuses(bnq, llama, arguments, said):
    bnq("quantize", llama, "out")
    assert said in bnq("convert", *arguments, code=2).stderr
    assert not list(Path().glob("x.*"))


def test_convert_asks_for_one_layout(bnq, llama):
    bnq("quantize", llama, "out", "--scheme", "4", "--rule", "*.up_proj.*=8")
    error = bnq("convert", "out", "x.gguf", "--target", "llama.cpp", code=2).stderr
    assert "one layout is for all of a file" in error
    assert "'model.layers.0.mlp.up_proj.weight'" in error
    bnq("convert", "out", "x.gguf", "--to", "q8_0")


def test_a_saved_plan_is_held_against_the_target_too(bnq, bnq_json, llama):
    saved = bnq_json("quantize", llama, "--dry-run", "--plan-out", "plan.json", "--target", "vllm")
    assert json.loads(Path("plan.json").read_text()) == saved
    bnq("quantize", llama, "out", "--plan", "plan.json", "--target", "vllm")
    assert (
        "cannot run it" in bnq("quantize", llama, "x", "--plan", "plan.json", "--target", "bitnet.cpp", code=2).stderr
    )


def test_strict_goes_by_the_target(bnq, llama):
    """Plain transformers will not load it, and nobody asked for that."""
    assert "only bnq" in bnq("quantize", llama, "x", "--scheme", "8:tensor", "--strict", code=2).stderr
    bnq("quantize", llama, "out", "--scheme", "8:tensor", "--strict", "--target", "llama.cpp")
    assert load_file("out/model.safetensors")
