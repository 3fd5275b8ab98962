"""bnq inspect, verify and dequantize on what quantize wrote."""

import json

import ml_dtypes  # noqa: F401, names bfloat16
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file


def rows_of(text):
    return {line.split()[-1]: line for line in text.splitlines() if line}


def ternary(rows, depth):
    return np.random.default_rng(1).choice(np.array([-0.5, 0, 0.5], np.float32), (rows, depth))


def test_inspect_shows_dtype_shape_bytes_range_and_zeros(bnq, tmp_path):
    save_file({"x": np.array([[-2, 0, 0, 1.5]], np.float16), "i": np.zeros((2, 3), np.int32)}, tmp_path / "m")
    text = bnq("inspect", "m").stdout
    assert f"{(tmp_path / 'm').stat().st_size:,} bytes" in text
    assert rows_of(text)["x"].split() == ["f16", "[1,", "4]", "8", "-2", "1.5", "50.0", "%", "x"]
    assert rows_of(text)["i"].split() == ["i32", "[2,", "3]", "24", "i"]


def test_inspect_flags_what_is_odd(bnq, bnq_json, tmp_path):
    nan = np.ones((4, 4), np.float32)
    nan[0, 0], nan[1, 1], nan[2, 2] = np.nan, np.nan, np.inf
    save_file(
        {
            "zero": np.zeros((4, 4), np.float32),
            "tern": ternary(4, 8),
            "nan": nan,
            "plain": np.eye(4, dtype=np.float32) + 1,
        },
        tmp_path / "m",
    )
    rows = rows_of(bnq("inspect", "m").stdout)
    assert "all zero" in rows["zero"]
    assert "already ternary" in rows["tern"]
    assert "NaN: 2, infinite: 1" in rows["nan"]
    assert not any(word in rows["plain"] for word in ("zero", "ternary", "NaN"))
    flags = {
        t["name"]: (t["all_zero"], t["already_ternary"], t["nan_count"]) for t in bnq_json("inspect", "m")["tensors"]
    }
    assert flags["zero"][0]
    assert flags["tern"][1]
    assert flags["nan"][2] == 2
    assert flags["plain"] == (False, False, 0)


def test_inspect_shows_a_quantized_tensor_as_one(bnq, small, tensors):
    text = bnq("inspect", small).stdout
    rows = rows_of(text)
    assert tensors.keys() <= rows.keys()
    assert not any(name.endswith("_scale") for name in rows)
    assert "written by bnq 0." in text
    # [64, 32] codes of a byte and 64 scales of four: 8 + 32 / 32 bits a weight
    assert rows["layer.0.up.weight"].split()[:7] == ["f32", "[64,", "32]", "2,304", "int8-absmax:row", "i8", "9.00"]


def test_verify_ends_with_the_answer(bnq, model, small):
    text = bnq("verify", model, small).stdout
    rows = rows_of(text)
    assert "int8-absmax:row" in rows["layer.0.up.weight"]
    end = "\n".join(text.splitlines()[-12:])
    for word in ("4 quantized (0 lossless), 6 copied (all equal)", "worst SQNR", "median SQNR", "reproduced"):
        assert word in end
    assert f"{model.stat().st_size:,} -> {small.stat().st_size:,} bytes" in end
    assert text.splitlines()[-1].startswith("Near lossless")


def test_verify_figures_are_those_of_numpy(bnq, bnq_json, model, small, tensors):
    back = model.with_name("back")
    bnq("dequantize", small, back, "--dtype", "f32")
    values = load_file(back)
    by_name = {t["name"]: t["report"] for t in bnq_json("verify", model, small)["tensors"]}
    for name in ("layer.0.up.weight", "layer.0.down.weight"):
        w, v = tensors[name].astype(np.float64).ravel(), values[name].astype(np.float64).ravel()
        # sums of 2048 float64 terms: relative error below 2048 * 2^-53 in either order
        expected = 10 * np.log10((w @ w) / ((w - v) @ (w - v)))
        assert by_name[name]["sqnr_db"] == pytest.approx(expected, rel=1e-12)
        assert by_name[name]["cosine"] == pytest.approx((w @ v) / np.sqrt((w @ w) * (v @ v)), rel=1e-12)
        assert by_name[name]["max_abs_error"] == np.abs(w - v).max()


def test_already_ternary_weights_are_lossless(bnq, bnq_json, tmp_path):
    save_file({"a.weight": ternary(64, 48), "b.weight": ternary(32, 64)}, tmp_path / "m")
    bnq("quantize", "m", "out", "--scheme", "ternary")
    text = bnq("verify", "m", "out", "--min-sqnr", "1000", "--min-cosine", "1").stdout
    assert text.splitlines()[-1].startswith("Lossless")
    assert "2 quantized (2 lossless)" in text
    document = bnq_json("verify", "m", "out")
    assert document["lossless"]
    assert document["worst_sqnr_db"] is None
    bnq("dequantize", "out", "back")
    for name, values in load_file(tmp_path / "back").items():
        np.testing.assert_array_equal(values, load_file(tmp_path / "m")[name])


def test_ternarizing_an_ordinary_model_is_a_large_loss_in_words_and_figures(bnq, bnq_json, model):
    bnq("quantize", model, "out", "--scheme", "ternary")
    verdict = bnq("verify", model, "out").stdout.splitlines()[-1]
    assert verdict.startswith("LARGE LOSS")
    assert "not trained to be ternary" in verdict
    document = bnq_json("verify", model, "out")
    # Normal weights: g = sqrt(2/pi), threshold g/2; noise = E[w^2; |w| < g/2] + E[(|w| - g)^2; |w| > g/2] = 0.2634,
    # which is 5.79 dB. Both sums of 2048 terms vary by about 1/sqrt(2048) = 2 %, 0.1 dB; thrice that is allowed.
    assert document["median_sqnr_db"] == pytest.approx(5.79, abs=0.3)
    assert f"{document['median_sqnr_db']:.1f} dB" in verdict


@pytest.mark.parametrize("gate", [["--min-sqnr", "60"], ["--min-cosine", "0.999999999"]])
def test_a_missed_gate_is_exit_3(bnq, bnq_json, model, small, gate):
    text = bnq("verify", model, small, *gate, code=3).stdout
    assert "missed by 4 tensors" in text
    assert "gate missed" in rows_of(text)["layer.0.up.weight"]
    assert not bnq_json("verify", model, small, *gate, code=3)["gates_met"]


def test_a_met_gate_is_exit_0(bnq, model, small):
    assert ": met" in bnq("verify", model, small, "--min-sqnr", "30", "--min-cosine", "0.99").stdout


@pytest.mark.parametrize("name", ["layer.0.up.weight", "layer.0.up.weight_scale", "norm.weight"])
def test_a_changed_byte_is_noticed(bnq, model, small, name):
    content = bytearray(small.read_bytes())
    header_bytes = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_bytes])
    content[8 + header_bytes + header[name]["data_offsets"][0]] ^= 1
    small.write_bytes(content)
    text = bnq("verify", model, small, code=3).stdout
    assert "reproduced   no" in text
    assert "NOT REPRODUCED" in text.splitlines()[-1]
    assert name.removesuffix("_scale") in text


def test_an_unrelated_file_does_not_pass(bnq, model, tmp_path):
    save_file({"other": np.ones((2, 2), np.float32)}, tmp_path / "other")
    text = bnq("verify", model, "other", code=3).stdout
    assert "missing: layer.0.up.weight" in text
    assert "extra: other" in text


@pytest.mark.parametrize("other", ["shape", "dtype"])
def test_an_original_of_another_shape_or_dtype_does_not_pass(bnq, model, small, tensors, other):
    weights = tensors["layer.0.up.weight"]
    tensors["layer.0.up.weight"] = weights[:, :16].copy() if other == "shape" else weights.astype(np.float16)
    save_file(tensors, model)
    text = bnq("verify", model, small, code=3).stdout
    assert "made from another dtype or shape: layer.0.up.weight" in text
    assert "NOT REPRODUCED: 1 tensor differs" in text.splitlines()[-1]


def test_arguments_that_stand_the_wrong_way_round_are_noticed(bnq, model, small):
    assert "swap" in bnq("verify", small, model, code=4).stderr
    assert "swap" in bnq("verify", small, small, code=4).stderr


def test_a_copy_is_no_quantized_file(bnq, model, tensors):
    text = bnq("verify", model, model).stdout
    assert text.startswith("tensors ")
    assert "reproduced" not in text
    assert text.splitlines()[-1] == "Nothing is quantized: every tensor is an equal copy."
    assert "not met, nothing is quantized" in bnq("verify", model, model, "--min-sqnr", "1", code=3).stdout
    tensors["norm.weight"][3] = 7
    other = model.with_name("other")
    save_file(tensors, other)
    text = bnq("verify", model, other, code=3).stdout
    assert text.startswith("copy differs: norm.weight\n\n")
    assert "nothing is quantized, and not every tensor is an equal copy" in text.splitlines()[-1]


def test_a_tensor_without_a_name_is_shown(bnq, tmp_path):
    save_file({"": np.ones((4, 4), np.float32)}, tmp_path / "m")
    bnq("quantize", "m", "out", "--rule", "*=8")
    for command in (["inspect", "m"], ["quantize", "m", "--dry-run"], ["verify", "m", "out"]):
        assert any(line.endswith(" ''") for line in bnq(*command).stdout.splitlines()), command


@pytest.mark.parametrize("scheme", ["8", "4", "2", "ternary", "1"])
def test_dequantize_gives_back_names_shapes_and_dtypes(bnq, model, tensors, scheme):
    out, back = model.with_name("out"), model.with_name("back")
    bnq("quantize", model, out, "--scheme", scheme)
    text = bnq("dequantize", out, back).stdout
    assert "4 tensors" in text
    values = load_file(back)
    assert {n: (v.dtype, v.shape) for n, v in values.items()} == {n: (v.dtype, v.shape) for n, v in tensors.items()}
    np.testing.assert_array_equal(values["norm.weight"], tensors["norm.weight"])


@pytest.mark.parametrize(("dtype", "expected"), [("f32", "float32"), ("f16", "float16"), ("bf16", "bfloat16")])
def test_dequantize_to_a_dtype(bnq_json, small, dtype, expected):
    document = bnq_json("dequantize", small, "back", "--dtype", dtype)
    assert document["tensors"] == 4
    assert document["file_bytes_out"] == small.with_name("back").stat().st_size
    assert load_file(small.with_name("back"))["layer.0.up.weight"].dtype == expected


def test_quantizing_what_was_dequantized_changes_no_code(bnq, tmp_path, tensors):
    floats = {n: v.astype(np.float32) for n, v in tensors.items() if n.startswith("layer") and v.ndim == 2}
    save_file(floats, tmp_path / "m")
    for scheme in ("8", "4", "ternary"):
        bnq("quantize", "m", "once", "--scheme", scheme, "--force")
        bnq("dequantize", "once", "back", "--force")
        bnq("quantize", "back", "twice", "--scheme", scheme, "--force")
        once, twice = load_file(tmp_path / "once"), load_file(tmp_path / "twice")
        for name, codes in once.items():
            if not name.endswith("_scale"):
                np.testing.assert_array_equal(codes, twice[name])


def test_dequantize_says_how_many_values_did_not_fit(bnq, bnq_json, tmp_path):
    save_file({"x.weight": np.full((2, 4), 1e6, np.float32)}, tmp_path / "m")
    bnq("quantize", "m", "out")
    assert bnq_json("dequantize", "out", "back", "--dtype", "f16")["saturated_values"] == 8
    assert "8 values held" in bnq("dequantize", "out", "back2", "--dtype", "f16").stdout


def test_verify_writes_a_page_of_its_own(bnq, model, tmp_path):
    bnq("quantize", model, "low", "--rule", "*.down.*=4")
    bnq("verify", model, "low", "--html", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")
    assert page.count("<svg") == page.count("</svg>") == 6
    assert "layer.0.down.weight" in page
    assert "http" not in page
    assert "<script" not in page
    bnq("verify", model, "low", "--html", "report.html", code=5)
    bnq("verify", model, "low", "--html", "report.html", "--force")
    assert (tmp_path / "report.html").read_text() == page


def test_names_cannot_write_html(bnq, tmp_path):
    save_file({'<script>&"a.weight': np.ones((4, 8), np.float32)}, tmp_path / "evil")
    bnq("quantize", "evil", "low")
    bnq("verify", "evil", "low", "--html", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;&amp;&quot;a.weight" in page
