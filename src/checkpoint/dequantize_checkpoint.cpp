#include "checkpoint/clients/model_config.h"
#include "checkpoint/contents.h"
#include "checkpoint/foreign/online_bitnet.h"
#include "checkpoint/work.h"
#include "core/elements.h"
#include "core/fail.h"
#include "io/folder/output_folder.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <bnq/quantize.h>
#include <bnq/version.h>

#include <algorithm>
#include <utility>

namespace bnq {
namespace {

using detail::Contents;
using detail::FileForm;
using detail::OutputShard;
using detail::Source;
using safetensors::Entry;

/// One tensor of the output: dequantized, or a copy.
struct Item {
  const FileForm* form;  ///< null: a copy
  Entry entry;           ///< of the output
};

std::vector<Item> items_of(const Contents& contents, std::optional<DType> dtype) {
  std::vector<Item> items;
  for (const FileForm& form : contents.quantized) {
    const DType out = dtype.value_or(form.dtype);
    const auto bytes = static_cast<std::uint64_t>(element_count(form.shape)) * size_bytes(out);
    items.push_back({&form, {.name = form.name, .dtype = out, .shape = form.shape, .nbytes = bytes}});
  }
  for (const auto& [name, entry] : contents.plain) items.push_back({nullptr, entry});
  return items;
}

Contents quantized_contents(const Source& source, ScaleConvention convention) {
  Contents contents = detail::contents_of(source, convention);
  detail::require_readable(source, contents);
  if (!contents.quantized.empty()) return contents;
  detail::fail(ErrorKind::bad_content, {.where = detail::text_of(source.path()),
                                        .what = "holds no quantized tensor that bnq knows",
                                        .need = "low-bit types of a GGUF file, a 'bnq' entry in its metadata, or the "
                                                "config.json of a folder that another program quantized"});
}

std::uint64_t stored_bytes(const FileForm& form) {
  std::uint64_t bytes = 0;
  for (const Entry& part : form.parts()) bytes += part.nbytes;
  return bytes;
}

/// Returns how many values were held at the largest finite number of `dtype`.
std::int64_t write_dequantized(const Source& source, safetensors::Writer& writer, const FileForm& form, DType dtype) {
  Tensor values(dtype, form.shape);
  const std::int64_t held = dequantize_into(detail::read_quantized(source, form), values.mutable_view());
  writer.write(form.name, std::as_const(values).bytes());
  return held;
}

/// Work with what it needs to be done, file by file.
class Dequantizer {
 public:
  Dequantizer(const Source& source, Contents contents, std::optional<DType> dtype, const Progress& progress)
      : source_(source),
        contents_(std::move(contents)),
        items_(items_of(contents_, dtype)),
        counter_(progress, source.file_bytes(), detail::ProgressCounter::Writes::yes) {
    std::vector<std::vector<Entry>> entries;
    for (const Item& item : items_) entries.push_back({item.entry});
    shards = detail::split_into_shards(entries, source.folder() ? most_shard_bytes : ~std::uint64_t{0});
    if (source.folder()) detail::name_shards(shards);
    result.tensors = static_cast<std::int64_t>(contents_.quantized.size());
    result.file_bytes_in = source.file_bytes();
    for (OutputShard& shard : shards) {
      shard.metadata = source.metadata();
      shard.metadata.erase(detail::metadata_key);
      shard.metadata[detail::dequantized_key] = "bnq " BNQ_VERSION;
      shard.nbytes = safetensors::Writer::file_bytes(shard.entries, shard.metadata);
      result.file_bytes_out += shard.nbytes;
    }
  }

  std::vector<OutputShard> shards;
  DequantizeResult result;

  void write(const OutputShard& shard, const std::filesystem::path& path, bool replace) {
    using Replace = safetensors::Writer::Replace;
    safetensors::Writer writer(path, shard.entries, shard.metadata, replace ? Replace::yes : Replace::no);
    for (std::size_t i = shard.first; i < shard.last; ++i) write_item(writer, items_[i]);
    writer.finish();
  }

 private:
  static constexpr std::uint64_t most_shard_bytes = 5'000'000'000;

  void write_item(safetensors::Writer& writer, const Item& item) {
    if (item.form == nullptr) {
      writer.write(item.entry.name, source_.bytes(item.entry));
      counter_.add(item.entry.nbytes);
    } else {
      result.saturated_values += write_dequantized(source_, writer, *item.form, item.entry.dtype);
      counter_.add(stored_bytes(*item.form));
    }
  }

  const Source& source_;
  Contents contents_;
  std::vector<Item> items_;
  detail::ProgressCounter counter_;
};

void write_folder(const Source& source, Dequantizer& work, const std::filesystem::path& out, bool replace) {
  std::vector<std::string> names{detail::config_name, detail::index_name};
  for (const OutputShard& shard : work.shards) names.push_back(shard.name);
  for (const detail::FolderFile& other : source.folder()->others) names.push_back(other.name);
  detail::OutputFolder folder(
      out, {.size_bytes = work.result.file_bytes_out, .replace = replace, .files = std::move(names)});
  for (const OutputShard& shard : work.shards) work.write(shard, folder.place(shard.name), false);
  if (const std::string index = detail::index_of(work.shards); !index.empty()) folder.write(detail::index_name, index);
  const std::string& config = source.folder()->config;
  if (!config.empty()) folder.write(detail::config_name, detail::without_quantization(config));
  for (const detail::FolderFile& other : source.folder()->others) {
    folder.copy(source.path() / other.name, other.name);
  }
  folder.commit();
}

}  // namespace

DequantizeResult dequantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                       const DequantizeOptions& options) {
  if (options.dtype) detail::require_quantizable("dequantize", *options.dtype);
  detail::require_other_file(in, out);
  const Source source(in, options.gguf_types);
  detail::require_plain_layers(in, detail::config_of(source));
  Dequantizer work(source, quantized_contents(source, options.convention), options.dtype, options.progress);
  if (source.folder()) {
    write_folder(source, work, out, options.replace);
  } else {
    work.write(work.shards.front(), out, options.replace);
  }
  return work.result;
}

}  // namespace bnq
