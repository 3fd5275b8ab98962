#include "linear/tokens.h"

#include "core/checked.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "core/token_scale.h"
#include "kernels/read_block.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t elems_a_thread = 1 << 16;
constexpr std::int64_t line_bytes = 64;

/// Calls `body(offset, block)` over one token.
template <typename Body>
void for_each_block(const RowKernels& kernels, const TensorView& x, std::int64_t token, const Body& body) {
  std::array<float, block_elems> buffer;
  const std::int64_t depth = x.depth();
  for (std::int64_t at = 0; at < depth; at += block_elems) {
    const std::int64_t count = std::min(block_elems, depth - at);
    body(at, read_block(kernels, x, token * depth + at, count, buffer.data()));
  }
}

/// Writes the codes without padding, returns the scale: NaN when a value is not finite.
float quantize_token(const RowKernels& kernels, const TensorView& x, std::int64_t token, std::int8_t* codes) {
  float absmax = 0;
  bool finite = true;
  for_each_block(kernels, x, token, [&](std::int64_t /*at*/, const Block& block) {
    const float here = block.absmax();
    finite = finite && std::isfinite(here);
    absmax = std::max(absmax, here);
  });
  if (!finite) {
    std::fill_n(codes, x.depth(), std::int8_t{0});
    return std::numeric_limits<float>::quiet_NaN();
  }
  const TokenScale token_scale(absmax);
  const CodeRule rule{.factor = token_scale.multiplier, .low = TokenScale::min_code, .high = TokenScale::max_code};
  for_each_block(kernels, x, token, [&](std::int64_t at, const Block& block) { block.multiply(rule, codes + at); });
  return token_scale.scale;
}

/// Moves groups of codes that stand side by side to where the tile has them, last first, and zeroes the padding.
void pad_groups(const Tile& tile, std::int8_t* codes) {
  const std::int64_t stride = tile.view().group_stride;
  for (std::int64_t g = tile.view().groups; g-- > 0;) {
    const std::int64_t begin = g * tile.group_size();
    const std::int64_t size = std::min(tile.group_size(), tile.depth() - begin);
    if (g > 0) std::memmove(codes + g * stride, codes + begin, static_cast<std::size_t>(size));
    std::fill(codes + g * stride + size, codes + (g + 1) * stride, std::int8_t{0});
  }
}

/// Takes the sum of each group, and then gives the codes their form.
void sum_groups(const Tile& tile, const TokenForm& form, std::int8_t* codes, std::int32_t* sums) {
  const std::int64_t stride = tile.view().group_stride;
  for (std::int64_t g = 0; g < tile.view().groups; ++g) {
    sums[g] = form.kernels.sum_and_flip(codes + g * stride, stride, form.activation_xor);
  }
}

/// Sizes of the parts of the scratch, each a multiple of a cache line; nothing when they overflow.
struct Parts {
  std::int64_t codes;
  std::int64_t sums;
  std::int64_t scales;
};

std::optional<std::int64_t> lines(std::int64_t rows, std::int64_t columns, std::int64_t bytes) {
  const auto row = checked_mul(columns, bytes);
  const auto all = row ? checked_mul(rows, *row) : std::nullopt;
  const auto padded = all ? checked_add(*all, line_bytes - 1) : std::nullopt;
  if (!padded) return std::nullopt;
  return *padded / line_bytes * line_bytes;
}

std::optional<Parts> parts_of(std::int64_t tokens, const Tile& tile) {
  const auto codes = lines(tokens, tile.padded_depth(), 1);
  const auto sums = lines(tokens, tile.view().groups, sizeof(std::int32_t));
  const auto scales = lines(tokens, 1, sizeof(float));
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 8;
  if (tokens < 0 || !codes || !sums || !scales || *codes > most || *sums > most || *scales > most) return std::nullopt;
  return Parts{*codes, *sums, *scales};
}

std::byte* aligned(std::byte* at) {
  const auto past = reinterpret_cast<std::uintptr_t>(at) % line_bytes;
  return past == 0 ? at : at + (line_bytes - past);
}

}  // namespace

std::size_t token_bytes(std::int64_t tokens, const Tile& tile) {
  if (tokens == 0) return 0;
  if (const auto parts = parts_of(tokens, tile)) {
    return static_cast<std::size_t>(parts->codes + parts->sums + parts->scales + line_bytes - 1);
  }
  fail(ErrorKind::invalid_argument, {.where = "Linear.scratch_bytes",
                                     .what = "not a number of tokens",
                                     .got = std::to_string(tokens),
                                     .need = "0 or more, and fewer bytes than 2^63"});
}

Tokens quantize_tokens(const TensorView& x, const Tile& tile, const TokenForm& form, std::span<std::byte> scratch) {
  const std::int64_t tokens = x.rows();
  const Parts parts = *parts_of(tokens, tile);
  std::byte* const base = aligned(scratch.data());
  const Tokens out{reinterpret_cast<std::int8_t*>(base), reinterpret_cast<std::int32_t*>(base + parts.codes),
                   reinterpret_cast<float*>(base + parts.codes + parts.sums),
                   base + parts.codes + parts.sums + parts.scales};
  const std::int64_t stride = tile.padded_depth();
  const std::int64_t groups = tile.view().groups;
  parallel_for(tokens, elems_a_thread / std::max<std::int64_t>(1, stride), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t token = first; token < last; ++token) {
      std::int8_t* const codes = out.codes + token * stride;
      out.scales[token] = quantize_token(form.kernels, x, token, codes);
      pad_groups(tile, codes);
      sum_groups(tile, form, codes, out.sums + token * groups);
    }
  });
  return out;
}

}  // namespace bnq::detail
