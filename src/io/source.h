#pragma once

#include <bnq/safetensors.h>

#include "io/folder/model_folder.h"
#include "io/gguf/reader.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bnq::detail {

/// The tensors of one safetensors or GGUF file, or of a model folder, whose shards are mapped all at once. Packed
/// tensors of a GGUF file are entries of bytes (u8).
class Source {
 public:
  /// `gguf_types` settle what ids in a GGUF file mean, where they mean several things.
  /// Throws as the readers and `open_model_folder` do; `bad_content` also when index and shards disagree, or two shards
  /// hold a tensor of one name; `invalid_argument` for a name in `gguf_types` that is none.
  explicit Source(const std::filesystem::path& path, std::vector<std::string> gguf_types = {});

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const std::optional<ModelFolder>& folder() const noexcept { return folder_; }  ///< empty for a file
  [[nodiscard]] const std::vector<safetensors::Reader>& shards() const noexcept { return shards_; }  ///< none of GGUF
  [[nodiscard]] const gguf::Reader* gguf() const noexcept { return gguf_ ? &*gguf_ : nullptr; }      ///< null otherwise
  [[nodiscard]] const std::vector<std::string>& gguf_types() const noexcept { return gguf_types_; }
  [[nodiscard]] safetensors::Metadata metadata() const;     ///< of the first shard
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;  ///< of all shards

  /// Shard by shard, in the order of their bytes.
  [[nodiscard]] const std::vector<safetensors::Entry>& tensors() const noexcept { return tensors_; }

  [[nodiscard]] const safetensors::Entry* find(std::string_view name) const noexcept;  ///< null when absent

  // Of an entry of this source.
  [[nodiscard]] std::span<const std::byte> bytes(const safetensors::Entry& entry) const;
  [[nodiscard]] TensorView view(const safetensors::Entry& entry) const;
  void release(const safetensors::Entry& entry) const;

  // Of the file that holds a tensor of this source.
  [[nodiscard]] const std::filesystem::path& file_of(std::string_view name) const;
  [[nodiscard]] std::shared_ptr<const void> owner_of(std::string_view name) const;

 private:
  [[nodiscard]] const safetensors::Reader& shard_of(std::string_view name) const;
  void open_gguf(const std::filesystem::path& path);
  void add_shard(const std::filesystem::path& path, const std::string& name);

  std::filesystem::path path_;
  std::optional<ModelFolder> folder_;
  std::vector<safetensors::Reader> shards_;
  std::optional<gguf::Reader> gguf_;
  std::vector<std::string> gguf_types_;
  std::vector<safetensors::Entry> tensors_;
  std::vector<std::size_t> shard_of_;  ///< of each tensor
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace bnq::detail
