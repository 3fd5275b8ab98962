#pragma once

#include <bnq/safetensors.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The JSON header of a safetensors file: {"name": {"dtype", "shape", "data_offsets"}, …, "__metadata__": {text: text}}.
// Before it stand its length, 8 bytes little-endian; behind it the data, which the tensors tile without gaps.

namespace bnq::detail {

inline constexpr std::uint64_t header_length_bytes = 8;
inline constexpr std::uint64_t most_header_bytes = 100'000'000;  // the limit of the reference reader

struct SafetensorsHeader {
  std::vector<safetensors::Entry> entries;  ///< in the order of their bytes
  safetensors::Metadata metadata;
};

/// Believes nothing: every size is checked, by itself and against `data_bytes`.
/// Throws `bad_content` with `where` (the file) and the tensor or byte in front.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(const std::string& where, std::string_view text,
                                                         std::uint64_t data_bytes);

/// Puts `entries` into the order of a file (wide dtypes first, then by name), sets their offsets and sizes, and returns
/// the header's bytes, length included, padded so that the data is aligned to 8.
/// Throws `invalid_argument` for a repeated, reserved or non-UTF-8 name, or when sizes overflow.
[[nodiscard]] std::string make_safetensors_header(const std::string& where, std::vector<safetensors::Entry>& entries,
                                                  const safetensors::Metadata& metadata);

}  // namespace bnq::detail
