"""A folder whose run was cut off: what is finished is kept, what is not is made again, and the bytes are the same."""

import fcntl
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import bnq

OPTIONS: dict[str, Any] = {"scheme": "8", "shard_bytes": 9000}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    tensors = {f"model.layers.{i}.mlp.up_proj.weight": rng.normal(size=(64, 128)).astype(np.float32) for i in range(6)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def partial(source: Path) -> Path:
    return source.with_name(".out.partial")


def cut_off(source: Path, after: int, **options: Any) -> None:
    """Ends a run once `after` tensors are done, as a kill would: its finished shards stay."""
    calls = iter(range(100))
    with pytest.raises(bnq.Interrupted):
        bnq.quantize_checkpoint(
            source,
            source.with_name("out"),
            **(OPTIONS | options),
            resume=True,
            progress=lambda *_: next(calls) < after,
        )


@pytest.fixture
def whole(source: Path) -> dict[str, bytes]:
    bnq.quantize_checkpoint(source, source.with_name("whole"), **OPTIONS)
    return contents(source.with_name("whole"))


def resumed(source: Path, **options: Any) -> dict[str, bytes]:
    out = source.with_name("out")
    bnq.quantize_checkpoint(source, out, **(OPTIONS | {"resume": True} | options))
    assert not partial(source).exists()
    return contents(out)


@pytest.mark.parametrize("after", range(6))
def test_the_same_bytes_wherever_it_was_cut(source: Path, whole: dict[str, bytes], after: int) -> None:
    cut_off(source, after)
    assert not source.with_name("out").exists()
    kept = {path.name: path.stat().st_ino for path in partial(source).glob("model-*")}
    assert len(kept) == max(0, after - 1)
    assert resumed(source) == whole
    again = {path.name: path.stat().st_ino for path in source.with_name("out").glob("model-*")}
    assert kept.items() <= again.items(), "finished shards are not written again"


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: damage(folder / "model-00002-of-00006.safetensors"),
        lambda folder: (folder / "model-00001-of-00006.safetensors").write_bytes(b"x"),
        lambda folder: damage(folder / ".model-00003-of-00006.safetensors.finished"),
        lambda folder: (folder / ".model-00003-of-00006.safetensors.finished").unlink(),
        lambda folder: (folder / "stranger.txt").mkdir(),
    ],
)
def test_what_is_not_whole_is_made_again(source: Path, whole: dict[str, bytes], change: Any) -> None:
    cut_off(source, 5)
    change(partial(source))
    (partial(source) / "stranger.txt").rmdir() if (partial(source) / "stranger.txt").exists() else None
    assert resumed(source) == whole


def test_another_plan_or_input_starts_anew(source: Path) -> None:
    cut_off(source, 5, scheme="4", shard_bytes=5000)  # shards of other names
    bnq.quantize_checkpoint(source, source.with_name("whole"), **OPTIONS)
    assert resumed(source) == contents(source.with_name("whole"))
    save_file(
        {"model.layers.0.mlp.up_proj.weight": np.ones((4, 8), np.float32)},
        source / "model.safetensors",
        metadata={"format": "pt"},
    )
    source.with_name("out").rename(source.with_name("before"))
    assert sorted(resumed(source)) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_partial_folder_is_neither_lost_nor_taken_by_accident(source: Path, whole: dict[str, bytes]) -> None:
    cut_off(source, 5)
    with pytest.raises(bnq.ExistsError, match=r"an earlier run was cut off .*--resume"):
        bnq.quantize_checkpoint(source, source.with_name("out"), **OPTIONS)
    assert len(list(partial(source).glob("model-*"))) == 4
    assert resumed(source, resume=False, force=True) == whole


def test_two_at_once_do_not_meet(source: Path) -> None:
    cut_off(source, 3)
    with (partial(source) / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(bnq.IoError, match="another process is writing this output"):
            bnq.quantize_checkpoint(source, source.with_name("out"), **OPTIONS, resume=True)
    assert len(list(partial(source).glob("model-*"))) == 2
