#pragma once

#include <bnq/scheme.h>

#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>

namespace bnq::detail {

/// Index of the first code that the scheme does not have, or -1.
inline std::int64_t first_foreign_code(const Scheme& scheme, std::span<const std::int8_t> codes) {
  constexpr std::size_t block_codes = 4096;  // looked at without a branch, so that the loop is vectorized
  const auto low = static_cast<std::uint8_t>(scheme.min_code());
  const auto range = static_cast<std::uint8_t>(scheme.max_code() - scheme.min_code());
  const std::uint8_t zero_is_foreign = scheme.has_zero() ? 0 : 1;
  for (std::size_t begin = 0; begin < codes.size(); begin += block_codes) {
    const auto block = codes.subspan(begin, std::min(block_codes, codes.size() - begin));
    std::uint8_t foreign = 0;  // bytes throughout: 16 of them fit in any vector register
    for (const std::int8_t code : block) {
      const auto above_low = static_cast<std::uint8_t>(static_cast<std::uint8_t>(code) - low);
      foreign |= static_cast<std::uint8_t>(above_low > range ? 1 : 0);
      foreign |= static_cast<std::uint8_t>(code == 0 ? zero_is_foreign : 0);
    }
    if (foreign == 0) continue;
    const auto at = std::ranges::find_if(block, [&](int code) { return !scheme.holds(code); });
    return static_cast<std::int64_t>(begin) + (at - block.begin());
  }
  return -1;
}

/// Does the scheme have every one of them? On all threads.
inline bool has_only_codes_of(const Scheme& scheme, std::span<const std::int8_t> codes) {
  constexpr std::int64_t codes_a_thread = 1 << 16;
  std::atomic<bool> all = true;
  parallel_for(std::ssize(codes), codes_a_thread, [&](std::int64_t first, std::int64_t last) {
    const auto part = codes.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
    if (first_foreign_code(scheme, part) >= 0) all = false;
  });
  return all;
}

/// "-7 to 7", "-1 to 1 without 0": the codes of a scheme.
inline std::string code_range(const Scheme& scheme) {
  return std::to_string(scheme.min_code()) + " to " + std::to_string(scheme.max_code()) +
         (scheme.has_zero() ? "" : " without 0");
}

}  // namespace bnq::detail
