#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace bnq::detail {

inline constexpr std::uint64_t most_index_bytes = 100'000'000;

/// The `weight_map` of a model.safetensors.index.json: each tensor and the file that holds it.
/// Throws `bad_content` with `where` (the file) in front: not JSON, no weight_map, a key that stands twice, or a shard
/// that is no plain name of a safetensors file.
[[nodiscard]] std::map<std::string, std::string> parse_shard_index(const std::string& where, std::string_view text);

/// The bytes of an index: sorted, so that they depend on nothing but the map.
[[nodiscard]] std::string make_shard_index(const std::map<std::string, std::string>& weight_map,
                                           std::uint64_t total_bytes);

}  // namespace bnq::detail
