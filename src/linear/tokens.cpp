#include "linear/tokens.h"

#include "core/checked.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "core/rounding.h"
#include "core/token_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 1024;
constexpr std::int64_t elems_a_thread = 1 << 16;

/// Calls `body(offset, block)` over one token, widened block by block.
template <typename Body>
void for_each_block(const TensorView& x, std::int64_t token, const Body& body) {
  std::array<float, block_elems> buffer;
  const std::int64_t depth = x.depth();
  for (std::int64_t at = 0; at < depth; at += block_elems) {
    const std::span<float> block(buffer.data(), static_cast<std::size_t>(std::min(block_elems, depth - at)));
    read_elements(x, token * depth + at, block);
    body(at, block);
  }
}

/// Largest magnitude of a token; NaN when a value is not finite.
float absmax_of(const TensorView& x, std::int64_t token) {
  float absmax = 0;
  bool finite = true;
  for_each_block(x, token, [&](std::int64_t /*at*/, std::span<const float> block) {
    for (const float value : block) {
      finite = finite && std::isfinite(value);
      absmax = std::max(absmax, std::fabs(value));
    }
  });
  return finite ? absmax : std::numeric_limits<float>::quiet_NaN();
}

/// Writes the codes, returns the scale.
float quantize_token(const TensorView& x, std::int64_t token, std::int8_t* codes) {
  const float absmax = absmax_of(x, token);
  if (std::isnan(absmax)) {
    std::fill_n(codes, x.depth(), std::int8_t{0});
    return absmax;
  }
  const TokenScale rule(absmax);
  for_each_block(x, token, [&](std::int64_t at, std::span<const float> block) {
    std::int8_t* out = codes + at;
    for (const float value : block) {
      *out++ = round_to_code(value * rule.multiplier, TokenScale::min_code, TokenScale::max_code);
    }
  });
  return rule.scale;
}

}  // namespace

std::size_t token_bytes(std::int64_t tokens, std::int64_t depth) {
  const auto each = checked_add(depth, static_cast<std::int64_t>(sizeof(float)));
  const auto bytes = each ? checked_mul(tokens, *each) : std::nullopt;
  if (tokens >= 0 && bytes) return static_cast<std::size_t>(*bytes);
  fail(ErrorKind::invalid_argument, {.where = "Linear.scratch_bytes",
                                     .what = "not a number of tokens",
                                     .got = std::to_string(tokens),
                                     .need = "0 or more, and fewer bytes than 2^63"});
}

Tokens quantize_tokens(const TensorView& x, std::span<std::byte> scratch) {
  const std::int64_t tokens = x.rows();
  const std::int64_t depth = x.depth();
  std::byte* const scales = scratch.data();
  auto* const codes = reinterpret_cast<std::int8_t*>(scales + tokens * static_cast<std::int64_t>(sizeof(float)));
  parallel_for(tokens, elems_a_thread / std::max<std::int64_t>(1, depth), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t token = first; token < last; ++token) {
      const float scale = quantize_token(x, token, codes + token * depth);
      std::memcpy(scales + token * static_cast<std::int64_t>(sizeof scale), &scale, sizeof scale);
    }
  });
  return {codes, scales};
}

}  // namespace bnq::detail
