// What plain C++ gets from this machine, whatever the compiler makes of it.

#include "kernels/kernel.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t codes = 4096;

std::uint64_t read(const std::byte* from, std::size_t bytes) noexcept {
  std::uint64_t seen[4] = {};
  for (std::size_t i = 0; i < bytes; i += 32) {
    std::uint64_t four[4];
    __builtin_memcpy(four, from + i, sizeof four);
    for (unsigned j = 0; j < 4; ++j) seen[j] ^= four[j];
  }
  return seen[0] ^ seen[1] ^ seen[2] ^ seen[3];
}

std::uint64_t multiply(std::int64_t rounds) noexcept {
  std::int8_t a[codes];
  std::int8_t b[codes];
  for (std::int64_t i = 0; i < codes; ++i) a[i] = b[i] = static_cast<std::int8_t>(i);
  std::uint64_t all = 0;
  for (std::int64_t r = 0; r < rounds; ++r) {
    __asm__ volatile("" : : "r"(&a[0]) : "memory");  // or else all rounds would be found to be one
    std::int32_t sum = 0;
    for (std::int64_t i = 0; i < codes; ++i) sum += a[i] * b[i];
    all += static_cast<std::uint32_t>(sum);
  }
  return all;
}

}  // namespace

constinit const RoofProbes roofs_scalar{
    .isa = Isa::scalar, .products_a_round = codes, .read = read, .multiply = multiply};

}  // namespace bnq::detail
