#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bnq::detail {

/// A file of a model folder, by its path below the folder.
struct FolderFile {
  std::string name;
  std::uint64_t nbytes = 0;
};

/// A Hugging Face model folder: weights in one or several safetensors files, and what stands beside them.
struct ModelFolder {
  std::filesystem::path path;
  std::vector<std::string> shards = {};                ///< file names of the weights, sorted
  std::map<std::string, std::string> weight_map = {};  ///< of the index: tensor to shard; empty without an index
  std::vector<FolderFile> others = {};                 ///< tokenizer and the like, sorted; not index and config.json
  std::vector<std::string> left_out = {};              ///< weights in other forms, or not named by the index
  std::string config = {};                             ///< the bytes of config.json; empty when there is none
};

inline constexpr const char* single_name = "model.safetensors";
inline constexpr const char* index_name = "model.safetensors.index.json";
inline constexpr const char* config_name = "config.json";

/// Is `path` the folder itself or below it, by the names of both as they are?
[[nodiscard]] bool is_inside(const std::filesystem::path& path, const std::filesystem::path& folder);

/// Looks at names and sizes, reads index and config. Believes nothing: a shard is a plain file name, and links may not
/// lead out of the folder (but into the blobs of a hub cache that the folder belongs to).
/// Throws `io` when something cannot be read; `bad_content` for an index that is broken, or names what is not there.
[[nodiscard]] ModelFolder open_model_folder(const std::filesystem::path& path);

}  // namespace bnq::detail
