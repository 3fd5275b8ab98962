// The two roofs of this instruction set: 64-byte loads in one stream, and vpdpbusd without a load between.

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned accumulators = 16;         // enough for a latency of four at two a cycle, twice over
constexpr std::size_t prefetch_bytes = 2048;  // as the kernels do, not as far

inline std::uint64_t any_of(const __m512i (&vectors)[accumulators]) noexcept {
  __m512i all = vectors[0];
#pragma GCC unroll 16
  for (unsigned j = 1; j < accumulators; ++j) all = _mm512_xor_si512(all, vectors[j]);
  return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(all));
}

std::uint64_t read(const std::byte* from, std::size_t bytes) noexcept {
  __m512i seen[accumulators];
#pragma GCC unroll 16
  for (unsigned j = 0; j < accumulators; ++j) seen[j] = _mm512_setzero_si512();
  for (std::size_t i = 0; i < bytes; i += 64 * accumulators) {
#pragma GCC unroll 16
    for (unsigned j = 0; j < accumulators; ++j) {
      ask_for(from + i + prefetch_bytes + 64 * j);
      seen[j] = _mm512_xor_si512(seen[j], load(from + i + 64 * j));
    }
  }
  return any_of(seen);
}

std::uint64_t multiply(std::int64_t rounds) noexcept {
  __m512i sums[accumulators];
#pragma GCC unroll 16
  for (unsigned j = 0; j < accumulators; ++j) sums[j] = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(-5);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (unsigned j = 0; j < accumulators; ++j) {
      __asm__ volatile("" : "+v"(b));  // or else all products would be found to be one
      dot(sums[j], a, b);
    }
  }
  return any_of(sums);
}

}  // namespace

constinit const RoofProbes roofs_avx512vnni{
    .isa = Isa::avx512vnni, .products_a_round = accumulators * 64, .read = read, .multiply = multiply};

}  // namespace bnq::detail
