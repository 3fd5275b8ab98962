#include "io/folder/output_shards.h"

#include "io/folder/model_folder.h"
#include "io/folder/shard_index.h"

#include <map>

namespace bnq::detail {
namespace {

using safetensors::Entry;

std::uint64_t bytes_of(const std::vector<Entry>& entries) {
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.nbytes;
  return bytes;
}

std::string five_digits(std::size_t number) {
  constexpr std::size_t digits = 5;
  const std::string text = std::to_string(number);
  return std::string(text.size() < digits ? digits - text.size() : 0, '0') + text;
}

}  // namespace

std::vector<OutputShard> split_into_shards(const std::vector<std::vector<Entry>>& tensors, std::uint64_t most_bytes) {
  std::vector<OutputShard> shards(1);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t here = bytes_of(tensors[i]);
    const bool is_full = bytes > most_bytes || here > most_bytes - bytes;
    if (is_full && !shards.back().entries.empty()) {
      shards.push_back({.first = i, .last = i});
      bytes = 0;
    }
    bytes += here;
    shards.back().last = i + 1;
    shards.back().entries.insert(shards.back().entries.end(), tensors[i].begin(), tensors[i].end());
  }
  return shards;
}

void name_shards(std::vector<OutputShard>& shards) {
  const std::size_t count = shards.size();
  for (std::size_t i = 0; i < count; ++i) {
    shards[i].name =
        count == 1 ? single_name : "model-" + five_digits(i + 1) + "-of-" + five_digits(count) + ".safetensors";
  }
}

std::string index_of(const std::vector<OutputShard>& shards) {
  if (shards.size() == 1) return {};
  std::map<std::string, std::string> map;
  std::uint64_t bytes = 0;
  for (const OutputShard& shard : shards) {
    for (const Entry& entry : shard.entries) map.emplace(entry.name, shard.name);
    bytes += bytes_of(shard.entries);
  }
  return make_shard_index(map, bytes);
}

}  // namespace bnq::detail
