#include "io/source.h"

#include "core/fail.h"
#include "io/file_form.h"
#include "io/system_call.h"

namespace bnq::detail {

namespace fs = std::filesystem;
using safetensors::Entry;
using safetensors::Reader;

Source::Source(const fs::path& path) : path_(path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    add_shard(path, {});
    return;
  }
  folder_ = open_model_folder(path);
  for (const std::string& name : folder_->shards) add_shard(path / name, name);
  for (const auto& [tensor, shard] : folder_->weight_map) {
    if (find(tensor) != nullptr) continue;
    fail(ErrorKind::bad_content, {.where = in_file(path / index_name, tensor),
                                  .what = "is not in the shard that the index names",
                                  .got = "'" + printable(shard) + "' without it"});
  }
}

void Source::add_shard(const fs::path& path, const std::string& name) {
  shards_.emplace_back(path);
  for (const Entry& entry : shards_.back().tensors()) {
    if (!index_.emplace(entry.name, tensors_.size()).second) {
      fail(ErrorKind::bad_content, {.where = in_file(path, entry.name),
                                    .what = "stands in two shards",
                                    .got = "also in '" + text_of(shard_of(entry.name).path()) + "'"});
    }
    tensors_.push_back(entry);
    shard_of_.push_back(shards_.size() - 1);
    if (!folder_ || folder_->weight_map.empty()) continue;
    const auto stated = folder_->weight_map.find(entry.name);
    if (stated != folder_->weight_map.end() && stated->second == name) continue;
    fail(ErrorKind::bad_content,
         {.where = in_file(path, entry.name),
          .what = "the index does not place it here",
          .got = stated == folder_->weight_map.end() ? "no entry" : "'" + printable(stated->second) + "'"});
  }
}

std::uint64_t Source::file_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Reader& shard : shards_) bytes += shard.file_bytes();
  return bytes;
}

const Entry* Source::find(std::string_view name) const noexcept {
  const auto at = index_.find(std::string(name));
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

const Reader& Source::shard_of(std::string_view name) const { return shards_[shard_of_[index_.at(std::string(name))]]; }

}  // namespace bnq::detail
