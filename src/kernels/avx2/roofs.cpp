// The two roofs of this instruction set: 32-byte loads in one stream, and vpmaddubsw with the 16-bit sum behind it.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned accumulators = 8;
constexpr std::size_t prefetch_bytes = 2048;  // as the kernels do

inline std::uint64_t any_of(const __m256i (&vectors)[accumulators]) noexcept {
  __m256i all = vectors[0];
#pragma GCC unroll 16
  for (unsigned j = 1; j < accumulators; ++j) all = _mm256_xor_si256(all, vectors[j]);
  return static_cast<std::uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^
                                    _mm256_extract_epi64(all, 2) ^ _mm256_extract_epi64(all, 3));
}

std::uint64_t read(const std::byte* from, std::size_t bytes) noexcept {
  __m256i seen[accumulators];
#pragma GCC unroll 16
  for (unsigned j = 0; j < accumulators; ++j) seen[j] = _mm256_setzero_si256();
  for (std::size_t i = 0; i < bytes; i += 32 * accumulators) {
#pragma GCC unroll 16
    for (unsigned j = 0; j < accumulators; ++j) {
      if (j % 2 == 0) _mm_prefetch(reinterpret_cast<const char*>(from + i + prefetch_bytes + 32 * j), _MM_HINT_T0);
      seen[j] = _mm256_xor_si256(seen[j], load(from + i + 32 * j));
    }
  }
  return any_of(seen);
}

std::uint64_t multiply(std::int64_t rounds) noexcept {
  __m256i sums[accumulators];
#pragma GCC unroll 16
  for (unsigned j = 0; j < accumulators; ++j) sums[j] = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(-5);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (unsigned j = 0; j < accumulators; ++j) {
      __asm__ volatile("" : "+x"(b));  // or else all products would be found to be one
      sums[j] = _mm256_add_epi16(sums[j], _mm256_maddubs_epi16(a, b));
    }
  }
  return any_of(sums);
}

}  // namespace

constinit const RoofProbes roofs_avx2{
    .isa = Isa::avx2, .products_a_round = accumulators * 32, .read = read, .multiply = multiply};

}  // namespace bnq::detail
