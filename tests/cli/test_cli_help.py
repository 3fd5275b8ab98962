"""--help teaches; what is no command says so."""

import pytest

VERBS = ["quantize", "dequantize", "convert", "inspect", "verify", "bench", "cpu", "help"]


def test_help_lists_verbs_schemes_layouts_and_exit_codes(bnq):
    text = bnq("--help").stdout
    words = ["int8-absmax:row", "int4-absmax:group(64)", "ternary-absmean:tensor", "binary-absmean:tensor",
             "u1", "u2_hf", "i32_ct", "i8", "Exit codes", "130", "--embeddings 8"]  # fmt: skip
    for word in VERBS + words:
        assert word in text, word
    assert "int8-token" not in text, "activations are no scheme for the weights of a file"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_in_both_spellings(bnq, verb):
    text = bnq(verb, "--help").stdout
    assert f"Usage: bnq {verb}" in text
    assert bnq("help", verb).stdout == text
    assert max(map(len, text.splitlines())) <= 120


def test_help_alone_is_help(bnq):
    assert bnq("help").stdout == bnq("--help").stdout


def test_no_argument_prints_help_and_is_a_usage_error(bnq):
    result = bnq(code=2)
    assert result.stdout == ""
    assert "Exit codes" in result.stderr


def test_version(bnq):
    assert bnq("--version").stdout.startswith("bnq 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quantise", "a", "b"], "got 'quantise'"),
        (["--frobnicate"], "got '--frobnicate'"),
        (["help", "quantise"], "got 'quantise'"),
        (["quantize"], "IN is required"),
        (["quantize", "a"], "OUT is missing"),
        (["quantize", "a", "b", "c"], "not expected: c"),
        (["quantize", "a", "b", "--schema", "8"], "--schema"),
        (["quantize", "a", "b", "--scheme"], "--scheme"),
        (["quantize", "a", "b", "--rule", "x"], "need PATTERN=SCHEME"),
        (["quantize", "a", "b", "--rule", "=8"], "need PATTERN=SCHEME"),
        (["quantize", "a", "b", "--rule", "*=8="], "--rule is not complete (got '*=8=', need PATTERN=SCHEME or"),
        (["quantize", "a", "b", "--rule", "a[0-3=8"], "rule 'a[0-3=8': a '[' is never closed"),
        (["quantize", "a", "b", "--rule", "*=9"], "rule '*=9': "),
        (["quantize", "a", "b", "--head", "9"], "head: "),
        (["quantize", "a", "b", "--scheme", "int8-token"], "for activations"),
        (["quantize", "a", "b", "--threads", "0"], "1024"),
        (["quantize", "a", "b", "--threads", "many"], "--threads"),
        (["dequantize", "a", "b", "--dtype", "f64"], "f32, f16 or bf16"),
        (["verify", "a"], "QUANTIZED is required"),
        (["quantize", "a", "b", "--threads", "1025"], "--threads: wrong value (got '1025', need a whole number from 1"),
        (["quantize", "a", "b", "--threads", " 2"], "got ' 2'"),
        (["quantize", "a", "b", "--threads", "0x2"], "got '0x2'"),
        (["quantize", "a", "b", "--threads", ""], "--threads"),
        (["quantize", "a", "b", "--embeddings", ""], "--embeddings"),
        (["quantize", "a", ""], "OUT"),
        (["dequantize", "a", "b", "--dtype", ""], "--dtype"),
        (["verify", "a", "b", "--min-sqnr", "loud"], "--min-sqnr: wrong value (got 'loud', need a number)"),
        (["verify", "a", "b", "--min-sqnr", ""], "--min-sqnr"),
        (["verify", "a", "b", "--min-sqnr", "nan"], "--min-sqnr"),
        (["verify", "a", "b", "--min-sqnr", "-inf"], "--min-sqnr"),
        (["verify", "a", "b", "--min-sqnr", "0x10"], "--min-sqnr"),
        (["verify", "a", "b", "--min-cosine", "1e999"], "--min-cosine"),
        (["verify", "a", "b", "--min-cosine", " 1"], "--min-cosine"),
        (["verify", "a", "b", "--min-cosine", "1.5"], "min_cosine"),
        (["cpu", "x"], "not expected: x"),
    ],
)
def test_usage_errors_exit_2_and_say_where_to_look(bnq, arguments, said):
    result = bnq(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("bnq: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("scheme", ["9", "int8-absmin", "8:column", "8:group(0)", "", "keep"])
def test_an_unknown_scheme_lists_what_is_allowed(bnq, model, scheme):
    result = bnq("quantize", model, "out", "--scheme", scheme, code=2)
    assert "need" in result.stderr or "allowed" in result.stderr
    assert not model.with_name("out").exists()


@pytest.mark.parametrize("setting", ["BNQ_ISA=abacus", "BNQ_NUM_THREADS=0x2"])
def test_a_wrong_environment_is_a_usage_error_of_every_verb(bnq, model, small, monkeypatch, setting):
    name, value = setting.split("=")
    monkeypatch.setenv(name, value)
    for command in (["cpu"], ["inspect", model], ["quantize", model, "out"], ["dequantize", small, "out"],
                    ["verify", model, small]):  # fmt: skip
        said = bnq(*command, code=2).stderr
        assert name in said
        assert value in said
    assert not model.with_name("out").exists()


def test_cpu_names_kernels_and_threads(bnq, bnq_json, monkeypatch):
    text = bnq("cpu").stdout
    assert "scalar" in text
    assert "gemm_i8_i8" in text
    monkeypatch.setenv("BNQ_NUM_THREADS", "3")
    document = bnq_json("cpu")
    assert document["schema"] == "bnq.cpu/1"
    assert document["threads"] == 3
    assert document["active"] in document["instruction_sets"]
    assert document["kernels"]
