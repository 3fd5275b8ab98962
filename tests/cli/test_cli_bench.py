"""`bnq bench` says how fast, against what, and why."""

import pytest


def test_text_has_roofs_rows_and_reasons(bnq):
    text = bnq("bench", "--shape", "64x48", "--threads", 1).stdout
    for word in (
        "memory read",
        "int8 peak",
        "64 x 48",
        "ternary",
        "tokens",
        "of the roof",
        "kernel: ",
        "passed over: ",
    ):
        assert word in text, word


def test_json_has_a_row_for_each_scheme_and_number_of_tokens(bnq_json):
    document = bnq_json("bench", "--shape", "33x17", "--threads", 2)
    assert document["schema"] == "bnq.bench/1"
    assert (document["threads"], document["shape"]) == (2, [33, 17])
    rows = {(row["scheme"], row["tokens"]) for row in document["rows"]}
    assert rows == {(scheme, tokens) for scheme in ("ternary", "8") for tokens in (1, 8, 32, 128, 512)}
    for row in document["rows"]:
        gmac = 33 * 17 * row["tokens"] / row["seconds"] / 1e9
        assert row["gmac_per_s"] == pytest.approx(gmac, rel=1e-4)  # six digits are printed of each


def test_json_names_the_forced_instruction_set(bnq_json, monkeypatch):
    monkeypatch.setenv("BNQ_ISA", "scalar")
    assert bnq_json("bench", "--shape", "8x8", "--threads", 1)["instruction_set"] == "scalar"


@pytest.mark.parametrize("shape", ["", "4096", "0x4", "4x", "4x4x4", "4x65537", "-4x4", "4X4", "4 x 4"])
def test_what_is_no_shape_is_a_usage_error(bnq, shape):
    assert "wrong value" in bnq("bench", "--shape", shape, code=2).stderr
