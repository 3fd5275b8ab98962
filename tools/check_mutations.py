"""Breaks the numeric core in one place at a time, in a copy of the tree; a test must notice each.

`check_mutations.py [WORD ...]` runs the mutations whose name has one of the words, or all. Exits 1 if one survives.
`check_mutations.py --places` only looks whether each still finds its line, in no time.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutations"
TREE, BUILD = WORK / "tree", WORK / "build"
COPIED = ("CMakeLists.txt", "cmake", "include", "src", "tests")
BINARIES = ("bnq_unit_tests", "bnq_environment_tests", "bnq_property_tests")
SECONDS = 120  # a mutated loop may never end


class Mutation(NamedTuple):
    name: str
    path: str  # below src/
    old: str  # stands there exactly once
    new: str


MUTATIONS = (
    Mutation("rounding: half away from zero", "core/rounding.h", "(held + shift) - shift",
             "static_cast<float>(static_cast<int>(held + (held < 0 ? -0.5F : 0.5F) + 0 * shift))"),
    Mutation("rounding: clamp one too high", "core/rounding.h", "static_cast<float>(high)",
             "static_cast<float>(high + 1)"),
    Mutation("f16: subnormals cut off, not rounded", "core/float16.h",
             "shift_right_half_even(fraction, 126 - exponent)", "(fraction >> (126 - exponent))"),
    Mutation("f16: subnormals widened to half", "core/float16.h", "(113 - shift)", "(112 - shift)"),
    Mutation("bf16: rounded half up", "core/float16.h", "(rest == half && (kept & 1U) != 0)", "rest == half"),
    Mutation("strides: outer axes read as one", "core/elements.cpp", "    row /= view.shape()[axis];\n", ""),
    Mutation("float state: small work runs in the caller's", "core/parallel.cpp",
             "    const FloatState float_state;\n    return body", "    return body"),
    Mutation("absmax: no floor", "quantize/absmax.cpp", "std::max(scale, smallest_scale)", "scale"),
    Mutation("absmax: multiplies by the reciprocal", "quantize/absmax.cpp",
             "encode_divided(encoder, encoder.fit.scale,", "encode_multiplied(encoder, 1.0F / encoder.fit.scale,"),
    Mutation("absmean: no floor", "quantize/absmean.cpp", "std::max(mean, smallest_mean)", "mean"),
    Mutation("absmean: divides instead of multiplying", "quantize/absmean.cpp",
             "encode_multiplied(encoder, encoder.fit.multiplier,", "encode_divided(encoder, encoder.fit.scale,"),
    Mutation("absmean: floor before the already-ternary rule", "quantize/absmean.cpp",
             "if (granule.already_ternary()) {", "if (granule.already_ternary() && granule.absmax >= smallest_mean) {"),
    Mutation("means: lanes folded in another order", "kernels/scalar/rows.cpp", "sums[lane + half]",
             "sums[2 * half - 1 - lane]"),
    Mutation("means: blocks of 8192", "quantize/statistics.cpp", "block_elems = 4096", "block_elems = 8192"),
    Mutation("avx512: quotients near halfway are trusted", "kernels/avx512vnni/rows.cpp", "margin = 2", "margin = -1"),
    Mutation("avx512: a reciprocal that is not normal", "kernels/avx512vnni/rows.cpp",
             "smallest_reciprocal_factor <= factor && factor <= largest_reciprocal_factor", "factor > 0"),
    Mutation("avx512: codes narrowed in another order", "kernels/avx512vnni/rows.cpp",
             "0, 4, 8, 12, 1, 5", "0, 4, 8, 12, 5, 1"),
    Mutation("avx512: odd lanes keep bits of the even ones", "kernels/avx512vnni/rows.cpp",
             "_mm512_and_si512(_mm512_srli_epi64(bits, 3), _mm512_set1_epi64(-(std::int64_t{1} << 29)))",
             "_mm512_srli_epi64(bits, 3)"),
    Mutation("avx512: the last half of a 16-bit row is not seen", "kernels/avx512vnni/rows.cpp",
             "left >= step ? -1 : (std::int64_t{1} << left) - 1", "left >= step ? -1 : (std::int64_t{1} << left) / 2"),
    Mutation("statistics: infinity is let through", "quantize/statistics.cpp", "!std::isfinite(s.absmax)",
             "std::isnan(s.absmax)"),
    Mutation("groups: the last element of a tail left out", "quantize/granules.h", "line_ - i % a_line_ * step_)",
             "std::max<std::int64_t>(1, line_ - i % a_line_ * step_ - 1))"),
    Mutation("binary: the mean itself is +1", "quantize/binary.cpp", "value - encoder.fit.center > 0",
             "value - encoder.fit.center >= 0"),
    Mutation("tokens: torch's (1 / m) * 127", "core/token_scale.h", "127.0F / m;\n  }", "(1.0F / m) * 127.0F;\n  }"),
    Mutation("tokens: codes up to 126", "core/token_scale.h", "max_code = 127", "max_code = 126"),
    Mutation("tokens: NaN and infinity are let through", "linear/tokens.cpp", "if (!finite) {",
             "if (!finite && absmax < 1) {"),
    Mutation("dequantize: no largest number", "quantize/dequantize.cpp", "std::clamp(value, -largest, largest)",
             "value"),
    Mutation("dequantize: a table for one code too few", "quantize/dequantize.cpp",
             "const auto count = static_cast<std::size_t>(levels);",
             "const auto count = static_cast<std::size_t>(levels - 1);"),
    Mutation("dequantize: never held", "quantize/dequantize.cpp", "may_exceed_ = !(", "may_exceed_ = 2 < 1 && !("),
    Mutation("u2_hf: quarters of eight codes in another order", "layout/u2_hf.cpp",
             "std::memcpy(codes + i * quarter + at, &eight",
             "std::memcpy(codes + (3 - i) * quarter + at, &eight"),
    Mutation("u2_hf: the bytes behind the eights", "layout/u2_hf.cpp", "codes[i * quarter + at] =",
             "codes[(3 - i) * quarter + at] ="),
    Mutation("u2_hf: a field leaks into the next byte", "layout/u2_hf.cpp", "(fields & field) | sign", "fields | sign"),
    Mutation("i32_ct: offset one less, both ways", "layout/i32_ct.cpp", ".offset = 1 << (code_bits - 1)",
             ".offset = (1 << (code_bits - 1)) - 1"),
    Mutation("packed rows: no word for the tail", "layout/bit_rows.cpp",
             "ceil_div(depth % fields_a_unit * static_cast<std::int64_t>(bits), fields_a_unit)",
             "depth % fields_a_unit * static_cast<std::int64_t>(bits) / fields_a_unit"),
    Mutation("packed rows: fields cut at the byte", "layout/bit_rows.cpp", "at_byte > 0xFFU", "at_byte > 0xFFFFU"),
    Mutation("tq2_0: first code in the highest bits, both ways", "layout/blocks/tq2_0.cpp", ".first = 0, .step = 2",
             ".first = 6, .step = -2"),
    Mutation("tq1_0: fractions cut, not rounded up", "layout/blocks/tq1_0.cpp", "(q * 256 + 242) / 243",
             "(q * 256 + 241) / 243"),
    Mutation("tq1_0: bytes that are no digits are let through", "layout/blocks/tq1_0.cpp", "if (!are_digits[",
             "if (in == nullptr && !are_digits["),
    Mutation("q2_0: bytes in another order", "layout/blocks/q2_0.cpp", "block[codes_at + i / 4] =",
             "block[codes_at + (i / 4 ^ 1)] ="),
    Mutation("q4_0: the sign of the scale forgotten", "layout/blocks/q4_0.cpp", "std::signbit(scale) ? -1 : 1",
             "std::signbit(scale) ? 1 : 1"),
    Mutation("q4_0: both ends in one block", "layout/blocks/q4_0.cpp", "code == -end", "end > zero_field"),
    Mutation("q4_0: an end of the block before counts", "layout/blocks/q4_0.cpp", "at % Block::elems == 0", "at == 0"),
    Mutation("iq2_bn: first code in the highest bits, both ways", "layout/blocks/iq2_bn.cpp", ".first = 0, .step = 2",
             ".first = 6, .step = -2"),
    Mutation("i2_s: first code in the lowest bits, both ways", "layout/blocks/i2_s.cpp", ".first = 6, .step = -2",
             ".first = 0, .step = 2"),
    Mutation("ort: a block filled up with the field 0", "layout/blocks/ort.cpp",
             "row[static_cast<std::size_t>(k)] : 0;", "row[static_cast<std::size_t>(k)] : -zero_point;"),
    Mutation("held scales: the last error counts, not the worst", "layout/held_scales.cpp",
             "std::max(stored.worst_error, error / static_cast<double>(scale))", "error / static_cast<double>(scale)"),
    Mutation("held scales: cells of zeros count", "layout/held_scales.cpp",
             "|| runs.all_zero(cells.codes, i)) continue", ") continue"),
    Mutation("held scales: the error of zeros counts", "layout/held_scales.cpp", "if (runs.all_zero(q.codes(), i)) {",
             "if (!fits(value, scale) && runs.all_zero(q.codes(), i)) {"),
    Mutation("held scales: negative ones are let through", "layout/held_scales.cpp",
             "std::isfinite(scale) && scale >= 0", "std::isfinite(scale)"),
    Mutation("held scales: the last group of a row left out", "layout/held_scales.cpp",
             "(depth_ - 1) / granularity_.group_size + 1", "depth_ / granularity_.group_size"),
    Mutation("product: activation scale first", "kernels/scalar/gemm_i8_i8.cpp", "tile.group_stride)) * scales[g]",
             "tile.group_stride)) * 0.3F * scales[g] / 0.3F"),
    Mutation("product: the sign of y turned where there is a bias", "kernels/scalar/gemm_i8_i8.cpp",
             "a.tile.bias == nullptr ? y : y + a.tile.bias[n]", "a.tile.bias == nullptr ? y : a.tile.bias[n] - y"),
    Mutation("tile: last code of a short group left out", "linear/tile.cpp", "std::min(group_size_, depth_ - begin);",
             "std::min(group_size_, depth_ - begin - (depth_ - begin < group_size_ ? 1 : 0));"),
    Mutation("avx512: the offset of the activations forgotten", "kernels/avx512vnni/lanes.h",
             "_mm512_loadu_si512(tile.sums + place.at(tile, g, v)), 7)",
             "_mm512_loadu_si512(tile.sums + place.at(tile, g, v)), 6)"),
    Mutation("avx512: the offset not taken away", "kernels/avx512vnni/gemm_i8_t8.cpp",
             "_mm512_sub_epi32(acc[t][v], offset)", "acc[t][v]"),
    Mutation("avx512: odd steps of one token left out", "kernels/avx512vnni/gemm_i8_t8.cpp",
             "_mm512_add_epi32(even[v], odd[v])", "even[v]"),
    Mutation("i8 in place: one of the accumulators of one token left out", "kernels/avx512vnni/gemm_i8_i8.cpp",
             "_mm512_add_epi32(acc[2], acc[3])", "acc[2]"),
    Mutation("avx512: a field's factor not divided away", "kernels/avx512vnni/gemm_i8_t2.cpp",
             "_mm512_srai_epi32(by_field[f][v], 2 * f)", "_mm512_srai_epi32(by_field[f][v], f)"),
    Mutation("u2_hf in place: a field's factor not divided away", "kernels/avx512vnni/gemm_i8_u2_hf.cpp",
             "_mm_setr_epi32(0, 2, 4, 6)", "_mm_setr_epi32(0, 2, 4, 4)"),
    Mutation("u2_hf in place: the tail of a row not masked", "kernels/avx512vnni/gemm_i8_u2_hf.cpp",
             "packed[r] = _mm512_maskz_loadu_epi8(mask, w + r * tile.depth + k)",
             "packed[r] = load(w + r * tile.depth + k)"),
    Mutation("laid out: past the last row", "kernels/avx512vnni/in_place.h", "(r < last ? r : last) * stride",
             "r * stride"),
    Mutation("laid out: a second block of tokens adds to the first one's sums", "kernels/avx512vnni/in_place.h",
             "depths.begin == 0 ?", "depths.begin == 0 && place.token < block_tokens ?"),
    Mutation("u2_hf in place: scales and bias by row", "linear/tile.cpp", "form.kind != TileKind::u2_hf",
             "form.kind != TileKind::u2_hf || outputs > 64"),
    Mutation("u2_hf in place: field 3 taken for a code", "layout/u2_hf.cpp", "low_bits = 0x5555555555555555U",
             "low_bits = 0x5555551555555555U"),
    Mutation("u2_hf in place: too deep a sum", "kernels/avx512vnni/gemm_i8_u2_hf.cpp",
             "0x7FFFFFFF / (2 * 128 * 64)", "0x7FFFFFFF / (2 * 128)"),
    Mutation("i8 in place: the offset of the activations forgotten", "kernels/avx512vnni/gemm_i8_i8.cpp",
             "_mm512_sub_epi32(acc, offset_)", "acc"),
    Mutation("i8 in place: the tail of a group reads into the next one", "kernels/avx512vnni/gemm_i8_i8.cpp",
             "weights[r] = _mm512_maskz_loadu_epi8(mask, g.w + r * g.row_bytes + k)",
             "weights[r] = load(g.w + r * g.row_bytes + k)"),
    Mutation("codes: foreign ones let through", "core/codes.h",
             "first_foreign_code(scheme, part) >= 0", "first_foreign_code(scheme, part) > 0"),
    Mutation("i8 in place: a short group's sum goes on into the next row", "linear/tile.cpp",
             "std::min(group_size_, depth_ - g * group_size_);", "group_size_;"),
    Mutation("laid out: terms of an earlier group lost", "kernels/avx512vnni/in_place.h",
             "_mm512_add_ps(terms, sum)", "_mm512_add_ps(bench.terms[v], sum)"),
    Mutation("laid out: the next group begins with the sums of the last", "kernels/avx512vnni/in_place.h",
             "depths.begin == 0 ?", "depths.begin == 0 && depths.group == 0 ?"),
    Mutation("avx512: codes past the end of a token summed", "kernels/avx512vnni/rows.cpp",
             "_mm512_maskz_loadu_epi8(mask, codes + i)", "_mm512_loadu_si512(codes + i)"),
    Mutation("avx2: codes past the end of a token not flipped", "kernels/avx2/rows.cpp",
             "__builtin_memcpy(codes + i, rest.elements, static_cast<std::size_t>(count - i));", ""),
    Mutation("in place: the bytes not kept", "linear/tile.cpp", "codes_ = weight.owner();", ""),
    Mutation("avx2: 16-bit sums run past their bound", "kernels/avx2/gemm_i8_t2.cpp", "steps_a_stretch = 15",
             "steps_a_stretch = 30"),
    Mutation("avx2: one lane of a mean out of order", "kernels/avx2/rows.cpp",
             "_mm256_add_pd(quarter[0], quarter[2])", "_mm256_add_pd(quarter[0], quarter[1])"),
    Mutation("report: saturated from a whole step on", "report/report.cpp", "scheme.max_code() + 0.5",
             "scheme.max_code() + 1.0"),
)  # fmt: skip


def run(command: list[str], seconds: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)


def copy_tree() -> None:
    """Copies what changed since the last run, so that only that is built again."""
    for name in COPIED:
        for source in [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*")):
            target = TREE / source.relative_to(ROOT)
            if source.is_file() and not (target.is_file() and target.read_bytes() == source.read_bytes()):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def configure() -> None:
    off = [f"-DBNQ_{part}=OFF" for part in ("BUILD_CLI", "BUILD_EXAMPLES", "BUILD_PYTHON", "INSTALL")]
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    result = run(["cmake", "-S", str(TREE), "-B", str(BUILD), *ninja, "-DCMAKE_BUILD_TYPE=Release", *off])
    if result.returncode != 0:
        sys.exit("check_mutations: cmake failed\n" + result.stdout + result.stderr)


def build() -> str:
    """Empty, or the compiler's words."""
    result = run(["cmake", "--build", str(BUILD), "--parallel", str(os.cpu_count() or 1), "--target", *BINARIES])
    return "" if result.returncode == 0 else result.stdout + result.stderr


def last_started(output: str | bytes | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return next(reversed(re.findall(r"\[ RUN      \] ([\w./]+)", text)), "")


def first_failure() -> str:
    """The first test that does not pass, or nothing."""
    for binary in BINARIES:
        try:
            result = run([str(BUILD / "tests" / binary), "--gtest_fail_fast"], SECONDS)
        except subprocess.TimeoutExpired as expired:
            return f"{last_started(expired.stdout) or binary} (did not end in {SECONDS} s)"
        if result.returncode == 0:
            continue
        failed = re.search(r"\[  FAILED  \] ([\w./]+)", result.stdout)
        return failed.group(1) if failed else f"{last_started(result.stdout) or binary} (crashed)"
    return ""


def mutate(mutation: Mutation) -> str:
    """The test that noticed, or nothing. The copy is as before afterwards."""
    path = TREE / "src" / mutation.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        if words := build():
            sys.exit(f"check_mutations: '{mutation.name}' does not compile\n{words}")
        return first_failure()
    finally:
        path.write_text(text, encoding="utf-8")


def require_places() -> None:
    """Code that was written anew leaves its mutations behind."""
    for mutation in MUTATIONS:
        count = (ROOT / "src" / mutation.path).read_text(encoding="utf-8").count(mutation.old)
        if count != 1:
            sys.exit(f"check_mutations: {mutation.path} has {count} times: {mutation.old}")


def main() -> int:
    require_places()
    if sys.argv[1:] == ["--places"]:
        print(f"check_mutations: {len(MUTATIONS)} mutations find their lines")
        return 0
    chosen = [m for m in MUTATIONS if len(sys.argv) == 1 or any(word in m.name for word in sys.argv[1:])]
    copy_tree()
    configure()
    if words := build() or first_failure():
        sys.exit(f"check_mutations: the tests do not pass without a mutation\n{words}")
    survivors = 0
    for mutation in chosen:
        noticed = mutate(mutation)
        survivors += not noticed
        print(f"{mutation.name:52} {noticed or 'SURVIVED'}", flush=True)
    print(f"check_mutations: {len(chosen)} mutations, {survivors} survived")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
