"""Model folders by the command line: what goes in, what comes out, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

Run = Callable[..., Any]
Change = Callable[[Path], object]

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": True}
NAMES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tensors = {f"model.layers.0.{n}.weight": rng.normal(size=(64, 128)).astype(np.float32) for n in NAMES}
    tensors["model.embed_tokens.weight"] = rng.normal(size=(96, 64)).astype(np.float32)
    tensors["model.norm.weight"] = np.ones(64, np.float32)
    return tensors


def write_folder(folder: Path, shards: int = 1, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    tensors = weights()
    names = list(tensors)
    weight_map = {}
    for i in range(shards):
        shard = "model.safetensors" if shards == 1 else f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[i::shards]}
        save_file(part, folder / shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, shard)
    if shards > 1:
        write_index(folder, weight_map)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    return folder


def write_index(folder: Path, weight_map: dict[str, Any]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def index_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]


def change_index(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(folder: Path) -> None:
        weight_map = index_of(folder)
        change(weight_map)
        write_index(folder, weight_map)

    return apply


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name not in ("in", "out"))


def test_a_folder_becomes_a_folder(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    done = bnq("quantize", "in", "out", "--scheme", "8", "--strict")
    assert "transformers, as compressed-tensors int-quantized" in done.stdout
    out = contents(tmp_path / "out")
    assert sorted(out) == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]
    config = json.loads(out["config.json"])
    assert config["architectures"] == CONFIG["architectures"]
    assert config["quantization_config"]["ignore"] == ["lm_head"]
    assert leftovers(tmp_path) == []


def test_shards_depend_on_nothing_but_input_and_options(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", shards=3)
    for out, threads in (("a", "1"), ("b", "2")):
        bnq("quantize", "in", out, "--shard-size", "20KB", "--threads", threads)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    index = index_of(tmp_path / "a")
    for shard in set(index.values()):
        held = load_file(tmp_path / "a" / shard)
        assert all(index[name] == shard for name in held)


def test_dry_run_knows_every_size(bnq: Run, bnq_json: Callable[..., Any], tmp_path: Path) -> None:
    write_folder(tmp_path / "in", shards=2)
    plan = bnq_json("quantize", "in", "--dry-run", "--scheme", "4", "--shard-size", "9KB")
    bnq("quantize", "in", "out", "--scheme", "4", "--shard-size", "9KB")
    sizes = {name: len(data) for name, data in contents(tmp_path / "out").items()}
    assert {f["name"]: f["nbytes"] for f in plan["files"]} == sizes
    assert plan["file_bytes_out"] == sum(sizes.values())


def test_there_and_back(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", shards=2)
    bnq("quantize", "in", "low", "--scheme", "8")
    done = bnq("verify", "in", "low", "--min-sqnr", "30")
    assert "reproduced" in done.stdout
    bnq("inspect", "low")
    bnq("dequantize", "low", "out")
    back = load_file(tmp_path / "out" / "model.safetensors")
    before = weights()
    assert sorted(back) == sorted(before)
    assert all(np.abs(back[n] - before[n]).max() < 0.02 for n in before)
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    bnq("quantize", "low", "again", code=4)


def test_a_bias_makes_scales_inverse_and_bnq_still_knows_them(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    tensors = weights() | {"model.layers.0.mlp.up_proj.bias": np.ones(64, np.float32)}
    save_file(tensors, tmp_path / "in" / "model.safetensors", metadata={"format": "pt"})
    bnq("quantize", "in", "out", "--scheme", "ternary", "--strict")
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["linear_class"] == "bitlinear"
    name = "model.layers.0.mlp.up_proj.weight"
    stored = load_file(tmp_path / "out" / "model.safetensors")[f"{name}_scale"]
    scale = np.float32(np.abs(tensors[name].astype(np.float64)).mean())
    assert stored[0] == np.float32(1) / scale
    assert "reproduced" in bnq("verify", "in", "out").stdout


def test_a_layer_that_its_form_cannot_hold_stays_float(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    odd = weights() | {"model.layers.0.mlp.gate_proj.weight": np.ones((6, 64), np.float32)}
    save_file(odd, tmp_path / "in" / "model.safetensors", metadata={"format": "pt"})
    done = bnq("quantize", "in", "out", "--scheme", "ternary")
    assert "its 6 rows are no multiple of 4" in done.stderr
    ignored = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert {"lm_head", "layers.0.mlp.gate_proj"} <= set(ignored["modules_to_not_convert"])
    bnq("quantize", "in", "strict", "--scheme", "ternary", "--strict", code=2)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--scheme", "binary"], "no client has a form for binary-absmean:tensor"),
        (["--scheme", "8", "--rule", "*.mlp.*=ternary"], "mixes ternary with another scheme"),
        (["--rule", "model.norm.weight=8"], "is no weight of a linear layer"),
        (["--embeddings", "8"], "tied to the head"),
    ],
)
def test_what_no_client_loads_says_so(bnq: Run, tmp_path: Path, options: list[str], why: str) -> None:
    write_folder(tmp_path / "in")
    assert why in bnq("quantize", "in", "strict", *options, "--strict", code=2).stderr
    done = bnq("quantize", "in", "out", *options)
    assert why in done.stderr
    assert "bnq only" in done.stdout
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["quantization_config"]["quantized_by"] == "bnq"
    assert "quant_method" not in config["quantization_config"]
    assert leftovers(tmp_path) == []


def test_only_a_folder_of_bnq_is_replaced(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    bnq("quantize", "in", "out")
    before = contents(tmp_path / "out")
    bnq("quantize", "in", "out", "--scheme", "4", code=5)
    assert contents(tmp_path / "out") == before
    bnq("quantize", "in", "out", "--scheme", "4", "--force")
    assert contents(tmp_path / "out") != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    done = bnq("quantize", "in", "mine", "--force", code=5)
    assert "what bnq did not write" in done.stderr
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"
    (tmp_path / "out" / "notes.txt").write_text("precious")
    assert "'notes.txt'" in bnq("quantize", "in", "out", "--force", code=5).stderr
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"
    assert leftovers(tmp_path) == ["mine"]


def test_a_partial_folder_of_others_is_not_touched(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "mine").write_text("x")
    for options in ([], ["--resume"], ["--force"]):
        assert "what bnq did not write" in bnq("quantize", "in", "out", *options, code=5).stderr
    assert (tmp_path / ".out.partial" / "mine").read_text() == "x"


@pytest.mark.parametrize("size", ["0", "-1", "99999999999999999999", "abc", "1e3", "0GB", ""])
def test_sizes_that_are_none(bnq: Run, tmp_path: Path, size: str) -> None:
    write_folder(tmp_path / "in")
    assert "--shard-size" in bnq("quantize", "in", "out", f"--shard-size={size}", code=2).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["in", "in/", ".", "link", "link/", "in/out", "in/a/../out", "link/out"])
def test_input_and_output_are_never_one(bnq: Run, tmp_path: Path, out: str) -> None:
    write_folder(tmp_path / "in")
    (tmp_path / "link").symlink_to("in")
    before = contents(tmp_path / "in")
    bnq("quantize", "in", out, "--force", code=2)
    assert contents(tmp_path / "in") == before


def test_a_hub_cache_is_read_through_its_links(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "real")
    cache = tmp_path / "models--a--b"
    snapshot = cache / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for i, name in enumerate(("config.json", "model.safetensors", "tokenizer.json")):
        (tmp_path / "real" / name).rename(cache / "blobs" / str(i))
        (snapshot / name).symlink_to(f"../../blobs/{i}")
    bnq("quantize", snapshot, "out", "--strict")
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def move_shard_out(folder: Path) -> None:
    shard = folder / "model-00001-of-00002.safetensors"
    shard.rename(folder.parent / "outside.safetensors")
    shard.symlink_to("../outside.safetensors")


def repeat_a_tensor(folder: Path) -> None:
    second = folder / "model-00002-of-00002.safetensors"
    first = load_file(folder / "model-00001-of-00002.safetensors")
    save_file(load_file(second) | dict([next(iter(first.items()))]), second)


def repeat_a_key(folder: Path) -> None:
    path = folder / "model.safetensors.index.json"
    path.write_text(
        path.read_text().replace('"weight_map": {', '"weight_map": {"model.norm.weight": "x.safetensors", ')
    )


def nest(depth: int) -> str:
    return '{"metadata": ' + '{"a": ' * depth + "1" + "}" * depth + ', "weight_map": {}}'


INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00002.safetensors"
NORM = "model.norm.weight"
BROKEN: dict[str, tuple[Change, str]] = {
    "shard in the folder above": (change_index(lambda m: m.update({NORM: "../x.safetensors"})), "no plain file name"),
    "shard by absolute path": (change_index(lambda m: m.update({NORM: "/etc/x.safetensors"})), "no plain file name"),
    "shard in a subfolder": (change_index(lambda m: m.update({NORM: "a/x.safetensors"})), "no plain file name"),
    "shard with a backslash": (change_index(lambda m: m.update({NORM: "a\\x.safetensors"})), "no plain file name"),
    "shard with NUL": (change_index(lambda m: m.update({NORM: "x\0.safetensors"})), "no plain file name"),
    "shard hidden": (change_index(lambda m: m.update({NORM: ".x.safetensors"})), "no plain file name"),
    "shard of dots": (change_index(lambda m: m.update({NORM: ".."})), "no plain file name"),
    "shard without a name": (change_index(lambda m: m.update({NORM: ""})), "no plain file name"),
    "shard of nothing but an ending": (change_index(lambda m: m.update({NORM: ".safetensors"})), "no plain file name"),
    "shard of another form": (change_index(lambda m: m.update({NORM: "pytorch_model.bin"})), "no plain file name"),
    "shard that is a number": (change_index(lambda m: m.update({NORM: 1})), "its shard is no text"),
    "shard that is null": (change_index(lambda m: m.update({NORM: None})), "its shard is no text"),
    "shard that is a list": (change_index(lambda m: m.update({NORM: [SHARD]})), "its shard is no text"),
    "shard not there": (change_index(lambda m: m.update({NORM: "gone.safetensors"})), "is missing"),
    "shard removed": (lambda f: (f / SHARD).unlink(), "is missing"),
    "shard a link to nothing": (lambda f: ((f / SHARD).unlink(), (f / SHARD).symlink_to("gone")), "leads nowhere"),
    "shard a link that leads out": (move_shard_out, "leads out of the folder"),
    "shard a folder": (lambda f: ((f / SHARD).unlink(), (f / SHARD).mkdir()), "no regular file"),
    "shard a pipe": (lambda f: ((f / SHARD).unlink(), os.mkfifo(f / SHARD)), "no regular file"),
    "shard empty": (lambda f: (f / SHARD).write_bytes(b""), "too short"),
    "shard cut off": (lambda f: os.truncate(f / SHARD, 5000), SHARD),
    "shard with bytes behind": (lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes() + b"x"), SHARD),
    "shard twice the tensor": (repeat_a_tensor, "two shards"),
    "tensor that the index lacks": (change_index(lambda m: m.pop(NORM)), "does not place it here"),
    "tensor that only the index has": (change_index(lambda m: m.update({"ghost": SHARD})), "not in the shard"),
    "tensor in the other shard": (
        change_index(lambda m: m.update(zip(list(m), list(m.values())[::-1], strict=True))),
        "does not place it here",
    ),
    "index not JSON": (lambda f: (f / INDEX).write_text("{"), "is not JSON"),
    "index empty": (lambda f: (f / INDEX).write_text(""), "is not JSON"),
    "index not UTF-8": (lambda f: (f / INDEX).write_bytes(b'{"weight_map": {"\xff": "a.safetensors"}}'), "is not JSON"),
    "index a list": (lambda f: (f / INDEX).write_text("[]"), "no 'weight_map'"),
    "index a number": (lambda f: (f / INDEX).write_text("1"), "no 'weight_map'"),
    "index without a map": (lambda f: (f / INDEX).write_text("{}"), "no 'weight_map'"),
    "index with a list for a map": (lambda f: (f / INDEX).write_text('{"weight_map": []}'), "no 'weight_map'"),
    "index with an empty map": (lambda f: (f / INDEX).write_text('{"weight_map": {}}'), "is empty"),
    "index with a key twice": (repeat_a_key, "stands twice"),
    "index with two maps": (
        lambda f: (f / INDEX).write_text('{"weight_map": {"a": "a.safetensors"}, "weight_map": {}}'),
        "stands twice",
    ),
    "index nested deep": (lambda f: (f / INDEX).write_text(nest(100)), "nested too deep"),
    "index nested very deep": (lambda f: (f / INDEX).write_text(nest(200_000)), "nested too deep"),
    "index a link that leads out": (
        lambda f: ((f / INDEX).rename(f.parent / "i.json"), (f / INDEX).symlink_to("../i.json")),
        "leads out of the folder",
    ),
    "index and model.safetensors": (lambda f: save_file(weights(), f / "model.safetensors"), "holds both"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{,}"), "is not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "config nested deep": (lambda f: (f / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000), "too deep"),
    "config empty": (lambda f: (f / "config.json").write_text(""), "is empty"),
    "config says quantized, the old way": (
        lambda f: (f / "config.json").write_text(json.dumps(CONFIG | {"compression_config": {"quant_method": "x"}})),
        "quantized already",
    ),
    "config too large": (lambda f: os.truncate(f / "config.json", 20_000_000), "too large"),
    "config a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "no regular file"),
    "config says quantized": (
        lambda f: (f / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": {"quant_method": "awq"}})),
        "quantized already",
    ),
    "config says quantized, not how": (
        lambda f: (f / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": {}})),
        "quantized already",
    ),
    "tokenizer a link that leads out": (
        lambda f: ((f / "tokenizer.json").unlink(), (f / "tokenizer.json").symlink_to("/etc/hostname")),
        "leads out of the folder",
    ),
    "a pipe beside the weights": (lambda f: os.mkfifo(f / "pipe"), "no regular file"),
    "no weights at all": (lambda f: [p.unlink() for p in f.glob("model*")], "holds no weights"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders_are_refused(bnq: Run, tmp_path: Path, name: str) -> None:
    change, why = BROKEN[name]
    change(write_folder(tmp_path / "in", shards=2))
    for arguments in (["in", "out"], ["in", "--dry-run"]):
        done = bnq("quantize", *arguments, code=4)
        assert why in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not any(n.startswith(".") for n in leftovers(tmp_path))


ODD: dict[str, Change] = {
    "no config": lambda f: (f / "config.json").unlink(),
    "config without an architecture": lambda f: (f / "config.json").write_text("{}"),
    "config with an odd architecture": lambda f: (f / "config.json").write_text('{"architectures": [7]}'),
    "empty metadata": lambda f: (f / INDEX).write_text(json.dumps({"weight_map": index_of(f)})),
    "hidden files": lambda f: (f / ".git").mkdir(),
    "weights in other forms": lambda f: (f / "pytorch_model.bin").write_bytes(b"x"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_folders_work(bnq: Run, tmp_path: Path, name: str) -> None:
    ODD[name](write_folder(tmp_path / "in", shards=2))
    bnq("quantize", "in", "out")
    out = contents(tmp_path / "out")
    assert "model.safetensors" in out
    assert not any(".git" in path or path.endswith(".bin") for path in out)


ONLINE = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
UP, HEADS = "model.layers.0.mlp.up_proj", ["lm_head"]
OTHER_MODELS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "int8 by default": ({}, [], f"tensor '{UP[:15]}"),
    "ternary by row": ({}, ["--scheme", "ternary:row"], "need ternary-absmean:tensor"),
    "one layer by a rule": (
        {},
        ["--scheme", "ternary", "--rule", f"{UP}.weight=8"],
        f"'{UP}.weight': config.json says",
    ),
    "a layer that stays as it is": (
        {"modules_to_not_convert": [UP]},
        ["--scheme", "ternary"],
        f"'{UP}.weight': config",
    ),
    "the same by its end": (
        {"modules_to_not_convert": ["up_proj"]},
        ["--scheme", "ternary"],
        "leaves this layer as it",
    ),
    "all in a part": ({"modules_to_not_convert": ["model.layers"]}, ["--scheme", "ternary"], "leaves this layer as it"),
    "a pattern": (
        {"modules_to_not_convert": ["model.*up"]},
        ["--scheme", "ternary"],
        "holds a pattern (got 'model.*up'",
    ),
    "norms": ({"use_rms_norm": True}, ["--scheme", "ternary"], "norms of their own"),
}


@pytest.mark.parametrize("name", OTHER_MODELS)
def test_floats_that_become_ternary_as_they_run(bnq: Run, tmp_path: Path, name: str) -> None:
    """BitNet's online models: int8 codes of the floats behind them were another model, near lossless by `verify`."""
    changed, arguments, why = OTHER_MODELS[name]
    write_folder(tmp_path / "in", config=CONFIG | {"quantization_config": ONLINE | changed})
    assert why in bnq("quantize", "in", "out", *arguments, code=2).stderr
    assert leftovers(tmp_path) == []
    write_folder(tmp_path / "same", config=CONFIG | {"quantization_config": ONLINE | {"modules_to_not_convert": HEADS}})
    bnq("quantize", "same", "out", "--scheme", "ternary", "--embeddings", "8")
    bnq("quantize", "same", "kept", "--scheme", "ternary", "--keep", f"{UP}.weight")


def test_settings_of_bitnet_of_another_type(bnq: Run, tmp_path: Path) -> None:
    for key, value in [("use_rms_norm", "yes"), ("modules_to_not_convert", "lm_head"), ("linear_class", 7)]:
        write_folder(tmp_path / key, config=CONFIG | {"quantization_config": ONLINE | {key: value}})
        assert f"'{key}'" in bnq("quantize", key, "out", "--scheme", "ternary", code=4).stderr


@pytest.mark.parametrize("place", ["in/model.safetensors", "in/config.json", "in/new", "link/new", "out/new", "out"])
def test_a_plan_or_page_never_replaces_a_model(bnq: Run, tmp_path: Path, place: str) -> None:
    write_folder(tmp_path / "in")
    (tmp_path / "link").symlink_to("in")
    before = contents(tmp_path / "in")
    done = bnq("quantize", "in", "out", "--plan-out", place, "--force", code=2)
    assert "would replace the model, or become a part of it" in done.stderr
    assert leftovers(tmp_path) == ["link"]
    assert not (tmp_path / "out").exists()
    bnq("quantize", "in", "out")
    after = contents(tmp_path / "out")
    done = bnq("verify", "in", "out", "--html", place, "--force", code=2)
    assert "would replace the model, or become a part of it" in done.stderr
    assert contents(tmp_path / "in") == before
    assert contents(tmp_path / "out") == after


def test_nothing_quantized_is_an_error_under_strict(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in")
    assert "loads in" not in bnq("quantize", "in", "out", "--keep", "*").stdout
    assert "nothing is quantized" in bnq("quantize", "in", "more", "--keep", "*", "--strict", code=2).stderr


def test_models_in_folders_of_their_own_are_copied(bnq: Run, tmp_path: Path) -> None:
    """Those of sentence-transformers; other forms of the same weights are not."""
    folder = write_folder(tmp_path / "in")
    (folder / "2_Dense").mkdir()
    (folder / "onnx").mkdir()
    for name in ("2_Dense/model.safetensors", "2_Dense/config.json", "onnx/model.onnx", "pytorch_model.bin"):
        (folder / name).write_bytes(b"{}")
    done = bnq("quantize", "in", "out")
    assert "'onnx/model.onnx' is not copied" in done.stderr
    assert {"2_Dense/model.safetensors", "2_Dense/config.json"} <= set(contents(tmp_path / "out"))
    assert not {"onnx/model.onnx", "pytorch_model.bin"} & set(contents(tmp_path / "out"))


@pytest.mark.parametrize(("target", "message"), [("nowhere", "leads nowhere"), ("tok.txt", "cannot follow the link")])
def test_links_that_lead_nowhere_are_named(bnq: Run, tmp_path: Path, target: str, message: str) -> None:
    (write_folder(tmp_path / "in") / "tok.txt").symlink_to(target)
    done = bnq("quantize", "in", "out", code=4 if target == "nowhere" else 1)
    assert message in done.stderr
    assert "in/tok.txt" in done.stderr
