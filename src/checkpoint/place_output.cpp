#include "checkpoint/work.h"

#include <bnq/version.h>

#include "core/fail.h"
#include "io/digest.h"
#include "io/metadata.h"

#include <set>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;

/// `x` and `x_scale` cannot both be kept under their names when x is quantized.
void require_free_names(const Work& work) {
  std::set<std::string_view> names;
  for (const OutputShard& shard : work.shards) {
    for (const Entry& entry : shard.entries) {
      if (names.insert(entry.name).second) continue;
      fail(ErrorKind::bad_content, {.where = in_file(work.source.path(), entry.name),
                                    .what = "its name is needed for a part of a quantized tensor",
                                    .cure = "keep the tensor that would need it"});
    }
  }
}

std::vector<std::vector<Entry>> entries_of(const Work& work) {
  std::vector<std::vector<Entry>> entries;
  for (std::size_t i = 0; i < work.forms.size(); ++i) {
    entries.push_back(work.forms[i] ? work.forms[i]->parts() : std::vector{work.source.tensors()[i]});
  }
  return entries;
}

/// Every file of the output folder, and its size.
void list_files(Work& work) {
  std::vector<PlannedFile>& files = work.plan.files;
  for (const OutputShard& shard : work.shards) files.push_back({shard.name, "shard", shard.nbytes});
  if (!work.index.empty()) files.push_back({index_name, "index", work.index.size()});
  if (!work.config.empty()) files.push_back({config_name, "config", work.config.size()});
  const ModelFolder& folder = *work.source.folder();
  for (const FolderFile& other : folder.others) {
    files.push_back({other.name, "copy", other.nbytes});
    work.plan.file_bytes_in += other.nbytes;
  }
  work.plan.file_bytes_in += folder.config.size();
  for (const std::string& name : folder.left_out) {
    work.plan.warnings.push_back("'" + printable(name) +
                                 "' is not copied: weights in another form, or a link to a folder");
  }
}

}  // namespace

safetensors::Metadata shard_metadata(const Work& work, const OutputShard& shard) {
  std::vector<FileForm> forms;
  for (std::size_t i = shard.first; i < shard.last; ++i) {
    if (work.forms[i]) forms.push_back(*work.forms[i]);
  }
  return metadata_of(work.source.metadata(), forms, &work.options);
}

std::string digest_of(const Work& work) {
  Digest digest;
  digest.add(std::string(BNQ_VERSION));
  for (const safetensors::Reader& shard : work.source.shards()) {
    digest.add(shard.head());
    digest.add(std::to_string(shard.file_bytes()));
    std::error_code ignored;
    const auto changed = std::filesystem::last_write_time(shard.path(), ignored).time_since_epoch();
    digest.add(std::to_string(changed.count()));
  }
  for (const OutputShard& shard : work.shards) {
    digest.add(shard.name);
    for (const auto& [key, value] : shard.metadata) digest.add(key + "=" + value);
    for (const Entry& entry : shard.entries) {
      digest.add(entry.name + " " + std::string(name(entry.dtype)) + " " + to_string(entry.shape));
    }
  }
  return digest.hex();
}

void place_output(Work& work) {
  const bool is_folder = work.source.folder().has_value();
  work.shards = split_into_shards(entries_of(work), is_folder ? work.options.shard_bytes : ~std::uint64_t{0});
  require_free_names(work);
  if (is_folder) name_shards(work.shards);
  work.plan.file_bytes_in = work.source.file_bytes();
  for (OutputShard& shard : work.shards) {
    shard.metadata = shard_metadata(work, shard);
    shard.nbytes = safetensors::Writer::file_bytes(shard.entries, shard.metadata);
  }
  if (is_folder) {
    work.index = index_of(work.shards);
    list_files(work);
    for (const PlannedFile& file : work.plan.files) work.plan.file_bytes_out += file.nbytes;
  } else {
    work.plan.file_bytes_out = work.shards.front().nbytes;
  }
}

}  // namespace bnq::detail
