"""The output appears whole or not at all, and never over something that was not to be replaced."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("link", ["itself", "symlink", "hardlink", "other spelling"])
@pytest.mark.parametrize("verb", ["quantize", "dequantize"])
def test_in_and_out_must_be_two_files(bnq, model, small, link, verb):
    source = model if verb == "quantize" else small
    before = source.read_bytes()
    out = source
    if link == "symlink":
        out = source.with_name("link")
        out.symlink_to(source)
    if link == "hardlink":
        out = source.with_name("link")
        out.hardlink_to(source)
    spelled = f"{source.parent}/./{source.name}" if link == "other spelling" else out
    result = bnq(verb, source, spelled, "--force", code=2)
    assert "one file" in result.stderr
    assert source.read_bytes() == before


@pytest.mark.parametrize("verb", ["quantize", "dequantize"])
def test_an_existing_output_needs_force(bnq, model, small, verb):
    source = model if verb == "quantize" else small
    out = source.with_name("out")
    out.write_text("precious")
    assert "--force" in bnq(verb, source, out, code=5).stderr
    assert out.read_text() == "precious"
    bnq(verb, source, out, "--force")
    assert out.stat().st_size > 1000
    assert names(out.parent) == ["model.safetensors", "out", "small.safetensors"]


def test_a_missing_folder_is_named(bnq, model):
    assert "nowhere" in bnq("quantize", model, "nowhere/out", code=1).stderr


def test_a_file_is_no_folder(bnq, model):
    (model.parent / "file").write_text("")
    bnq("quantize", model, "file/out", code=1)
    bnq("quantize", model, model.parent, "--force", code=1)
    assert names(model.parent) == ["file", "model.safetensors"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(bnq, model):
    folder = model.parent / "closed"
    folder.mkdir(mode=0o555)
    assert "ermission" in bnq("quantize", model, folder / "out", code=1).stderr


def test_a_file_size_limit_leaves_nothing(binary, model):
    out = model.with_name("out")
    out.write_text("precious")
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"]  # one block, of 512 or 1024 bytes
    command = [*limited, binary, "quantize", model, out, "--force"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "may write" in result.stderr
    assert out.read_text() == "precious"
    assert names(out.parent) == ["model.safetensors", "out"]


def test_a_full_disk_leaves_nothing(bnq, model):
    disk = model.parent / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small disk here")
    try:
        result = bnq("quantize", model, disk / "out", code=1)
        assert "space" in result.stderr
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def long_work(tmp_path):
    """A file of zeros, with holes instead of blocks, that takes a second or more."""
    tensor_bytes, tensors = 4 << 20, 128
    header = {
        f"{i}.weight": {
            "dtype": "F32",
            "shape": [1024, 1024],
            "data_offsets": [i * tensor_bytes, (i + 1) * tensor_bytes],
        }
        for i in range(tensors)
    }
    text = json.dumps(header).encode()
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + tensors * tensor_bytes)
    return path


def wait_for_map(process, path):
    while str(path) not in Path(f"/proc/{process.pid}/maps").read_text() and process.poll() is None:
        time.sleep(0.001)


def wait_for_output(process, folder):
    """Until `process` has a file to write, which has a passing name in `folder` or none."""
    before = {"long.safetensors", "out"}
    files = Path(f"/proc/{process.pid}/fd")
    while set(names(folder)) == before and process.poll() is None:
        with contextlib.suppress(OSError):  # a file that was closed meanwhile
            if any(str(file.readlink()).endswith(" (deleted)") for file in files.iterdir()):
                return
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_the_old_file_whole_and_no_other(binary, long_work, number):
    folder = long_work.parent
    out = folder / "out"
    out.write_text("precious")
    command = [binary, "quantize", str(long_work), str(out), "--force", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_output(process, folder)
        process.send_signal(number)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 130, complained
    assert said == ""
    assert complained.startswith("bnq: stopped as asked after ")
    assert "nothing was written" in complained
    assert complained.count("\n") == 1
    assert out.read_text() == "precious"
    assert names(folder) == ["long.safetensors", "out"]


def test_nohup_means_to_go_on(binary, long_work):
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", binary, "inspect", str(long_work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for_map(process, long_work)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_killed_process_leaves_the_folder_as_it_was(binary, long_work):
    folder = long_work.parent
    out = folder / "out"
    out.write_text("precious")
    command = [binary, "quantize", str(long_work), str(out), "--force", "--threads", "1"]
    with subprocess.Popen(command) as process:
        wait_for_output(process, folder)
        unnamed = len(names(folder)) == 2
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert out.read_text() == "precious"
    if not unnamed:
        pytest.skip("this file system has no unnamed files")
    assert names(folder) == ["long.safetensors", "out"]


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_reading_can_be_interrupted(binary, long_work, verb):
    files = [str(long_work)] * (1 if verb == "inspect" else 2)
    with subprocess.Popen([binary, verb, *files, "--threads", "1"], stderr=subprocess.PIPE) as process:
        wait_for_map(process, long_work)
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complained.startswith(b"bnq: stopped as asked after ")
    assert b"written" not in complained


def test_closed_standard_streams_harm_no_file(binary, model, bnq):
    out = model.with_name("out")
    script = f'"{binary}" quantize "$1" "$2" --rule "no.such=4" >&- 2>&- <&-'
    code = subprocess.run(["sh", "-c", script, "sh", model, out], check=False).returncode
    assert code == 1, "standard output could not be written"
    bnq("verify", model, out)
