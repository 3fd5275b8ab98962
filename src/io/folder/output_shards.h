#pragma once

#include <bnq/safetensors.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bnq::detail {

/// A safetensors file of the output, and the tensors [first, last) that it holds.
struct OutputShard {
  std::string name = {};  ///< below the output folder; empty when the output is a file
  std::size_t first = 0;
  std::size_t last = 0;
  std::vector<safetensors::Entry> entries = {};
  safetensors::Metadata metadata = {};
  std::uint64_t nbytes = 0;  ///< of the whole file, once `metadata` is known
};

/// Tensors in their order, into a new shard when the last one has `most_bytes`. `tensors` has the entries of each. At
/// least one shard.
[[nodiscard]] std::vector<OutputShard> split_into_shards(const std::vector<std::vector<safetensors::Entry>>& tensors,
                                                         std::uint64_t most_bytes);

/// Names them as transformers does: model.safetensors, or model-00001-of-00002.safetensors and so on.
void name_shards(std::vector<OutputShard>& shards);

/// The bytes of the index; empty for one shard, which needs none.
[[nodiscard]] std::string index_of(const std::vector<OutputShard>& shards);

}  // namespace bnq::detail
