#pragma once

#include <bnq/safetensors.h>

#include "io/folder/model_folder.h"

#include <filesystem>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bnq::detail {

/// The tensors of one safetensors file, or of a model folder, whose shards are mapped all at once.
class Source {
 public:
  /// Throws as `safetensors::Reader` and `open_model_folder` do; `bad_content` also when index and shards disagree, or
  /// two shards hold a tensor of one name.
  explicit Source(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const std::optional<ModelFolder>& folder() const noexcept { return folder_; }  ///< empty for a file
  [[nodiscard]] const std::vector<safetensors::Reader>& shards() const noexcept { return shards_; }
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;  ///< of all shards

  /// Shard by shard, in the order of their bytes.
  [[nodiscard]] const std::vector<safetensors::Entry>& tensors() const noexcept { return tensors_; }

  [[nodiscard]] const safetensors::Entry* find(std::string_view name) const noexcept;  ///< null when absent

  /// The shard that holds a tensor of this source.
  [[nodiscard]] const safetensors::Reader& shard_of(std::string_view name) const;

 private:
  void add_shard(const std::filesystem::path& path, const std::string& name);

  std::filesystem::path path_;
  std::optional<ModelFolder> folder_;
  std::vector<safetensors::Reader> shards_;
  std::vector<safetensors::Entry> tensors_;
  std::vector<std::size_t> shard_of_;  ///< of each tensor
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace bnq::detail
