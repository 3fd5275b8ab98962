#include "io/source.h"

#include "core/fail.h"
#include "io/file_form.h"
#include "io/system_call.h"
#include "layout/layout_row.h"

#include <bnq/layout.h>

#include <array>
#include <fstream>
#include <utility>

namespace bnq::detail {

namespace fs = std::filesystem;
using safetensors::Entry;
using safetensors::Reader;

namespace {

/// Names that settle the order of an i2_s tensor, which no type of the container does.
bool is_order(std::string_view name) { return name == "i2_s_arm" || name == "i2_s_1x4"; }

bool is_gguf(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;  // opening a pipe would wait for who writes into it
  std::array<char, gguf::mark.size()> first{};
  std::ifstream(path, std::ios::binary).read(first.data(), first.size());
  return std::string_view(first.data(), first.size()) == gguf::mark;
}

gguf::ReadOptions read_options(const std::vector<std::string>& types) {
  gguf::ReadOptions options;
  for (const std::string& name : types) {
    if (gguf::find_type(name) != nullptr) {
      options.types.push_back(name);
    } else if (!is_order(name)) {
      fail(ErrorKind::invalid_argument, {.where = "gguf type",
                                         .what = "unknown",
                                         .got = "'" + printable(name) + "'",
                                         .need = "a name such as q2_0, pq2_0, stq1_0, i2_s, i2_s_arm or i2_s_1x4"});
    }
  }
  return options;
}

/// As a safetensors file would have it: bytes, where its elements are packed.
Entry entry_of(const gguf::Entry& stored) {
  Entry entry{.name = stored.name, .shape = stored.shape, .offset = stored.offset, .nbytes = stored.nbytes};
  if (stored.type->dtype) {
    entry.dtype = *stored.type->dtype;
    return entry;
  }
  entry.shape = {static_cast<std::int64_t>(stored.nbytes)};
  for (const Layout& layout : Layout::all()) {
    if (layout.name() != stored.type->name || !layout.row().ggml) continue;
    const Scheme scheme = Scheme::parse(layout.row().ggml->scheme);
    if (layout.refusal(scheme, stored.shape).empty()) entry.shape = layout.storage_shape(scheme, stored.shape);
  }
  return entry;
}

}  // namespace

Source::Source(const fs::path& path, std::vector<std::string> gguf_types)
    : path_(path), gguf_types_(std::move(gguf_types)) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    if (is_gguf(path)) {
      open_gguf(path);
    } else {
      add_shard(path, {});
    }
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
  if (gguf_) bytes += gguf_->file_bytes();
  return bytes;
}

const Entry* Source::find(std::string_view name) const noexcept {
  const auto at = index_.find(std::string(name));
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

void Source::open_gguf(const fs::path& path) {
  gguf_.emplace(path, read_options(gguf_types_));
  for (const gguf::Entry& stored : gguf_->tensors()) {
    index_.emplace(stored.name, tensors_.size());
    tensors_.push_back(entry_of(stored));
  }
}

safetensors::Metadata Source::metadata() const {
  return shards_.empty() ? safetensors::Metadata() : shards_.front().metadata();
}

std::span<const std::byte> Source::bytes(const Entry& entry) const {
  return gguf_ ? gguf_->bytes(*gguf_->find(entry.name)) : shard_of(entry.name).bytes(entry);
}

TensorView Source::view(const Entry& entry) const {
  return gguf_ ? TensorView(bytes(entry).data(), entry.dtype, entry.shape) : shard_of(entry.name).view(entry);
}

void Source::release(const Entry& entry) const {
  if (gguf_) {
    gguf_->release(*gguf_->find(entry.name));
  } else {
    shard_of(entry.name).release(entry);
  }
}

const fs::path& Source::file_of(std::string_view name) const { return gguf_ ? path_ : shard_of(name).path(); }

std::shared_ptr<const void> Source::owner_of(std::string_view name) const {
  return gguf_ ? gguf_->owner() : shard_of(name).owner();
}

const Reader& Source::shard_of(std::string_view name) const { return shards_[shard_of_[index_.at(std::string(name))]]; }

}  // namespace bnq::detail
