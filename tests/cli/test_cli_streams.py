"""Standard output is the result, standard error the rest; the progress bar is for people."""

import os
import pty
import subprocess
from pathlib import Path

import pytest


def under_a_terminal(command, environment):
    """What `command` writes to standard error when that is a terminal; standard output is a pipe."""
    master, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            seen += chunk
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(master)
    assert process.returncode == 0, seen
    return seen, out


def test_a_terminal_gets_a_progress_bar_that_goes_away(binary, model):
    seen, out = under_a_terminal([binary, "quantize", model, model.with_name("out")], {})
    assert b"quantizing" in seen
    assert b"MB" in seen
    assert seen.endswith(b"\r\x1b[K")
    assert b"quantizing" not in out
    assert b"\x1b" not in out


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"TERM": "dumb"}])
def test_no_bar_where_nobody_looks(binary, model, environment):
    seen, _ = under_a_terminal([binary, "quantize", model, model.with_name("out")], environment)
    assert seen == b""


def test_no_progress_means_none(binary, model):
    seen, _ = under_a_terminal([binary, "inspect", model, "--no-progress"], {})
    assert seen == b""


def test_without_a_terminal_there_is_no_bar_and_no_escape(bnq, model, small):
    for command in (["quantize", model, "o"], ["inspect", small], ["verify", model, small], ["dequantize", small, "p"]):
        result = bnq(*command)
        assert result.stderr == ""
        assert "\x1b" not in result.stdout
        assert "\r" not in result.stdout
        assert all(line == line.rstrip() for line in result.stdout.splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["cpu"], ["inspect", "small.safetensors"]])
def test_a_full_standard_output_is_the_systems_failure(binary, small, arguments):
    with Path("/dev/full").open("w") as full:
        command = [binary, *arguments]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=small.parent)
    assert result.returncode == 1
    assert "No space left" in result.stderr


def test_a_reader_that_leaves_early_is_no_error(binary, small):
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([binary, "inspect", small], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, b"")


def test_errors_are_one_line_in_one_grammar(bnq, model):
    result = bnq("quantize", model, model, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("bnq: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["quantize", "inspect", "verify", "dequantize"])
def test_json_is_one_document_with_a_schema(bnq_json, model, small, verb):
    files = {"quantize": [model, "o"], "inspect": [small], "verify": [model, small], "dequantize": [small, "o"]}[verb]
    schemas = {"quantize": "plan", "inspect": "inspection", "verify": "verification", "dequantize": "dequantize"}
    assert bnq_json(verb, *files)["schema"] == f"bnq.{schemas[verb]}/1"
