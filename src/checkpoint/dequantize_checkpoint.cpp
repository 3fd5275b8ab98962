#include "checkpoint/contents.h"
#include "checkpoint/work.h"
#include "core/elements.h"
#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <bnq/quantize.h>

#include <algorithm>
#include <utility>

namespace bnq {
namespace {

using detail::Contents;
using detail::FileForm;
using safetensors::Entry;
using safetensors::Reader;

std::vector<Entry> entries_of(const Contents& contents, std::optional<DType> dtype) {
  std::vector<Entry> entries;
  for (const FileForm& form : contents.quantized) {
    entries.push_back({.name = form.name, .dtype = dtype.value_or(form.dtype), .shape = form.shape});
  }
  for (const auto& [name, entry] : contents.plain) entries.push_back(entry);
  return entries;
}

Contents quantized_contents(const Reader& reader) {
  Contents contents = detail::contents_of(reader);
  if (!contents.quantized.empty()) return contents;
  detail::fail(ErrorKind::bad_content, {.where = detail::text_of(reader.path()),
                                        .what = "holds no tensor that bnq quantized",
                                        .need = "a 'bnq' entry in its metadata that names one"});
}

std::uint64_t stored_bytes(const FileForm& form) {
  std::uint64_t bytes = 0;
  for (const Entry& part : form.parts()) bytes += part.nbytes;
  return bytes;
}

/// Returns how many values were held at the largest finite number of `dtype`.
std::int64_t write_dequantized(const Reader& reader, safetensors::Writer& writer, const FileForm& form, DType dtype) {
  Tensor values(dtype, form.shape);
  const std::int64_t held = dequantize_into(detail::read_quantized(reader, form), values.mutable_view());
  writer.write(form.name, std::as_const(values).bytes());
  return held;
}

}  // namespace

DequantizeResult dequantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                       std::optional<DType> dtype, bool replace, const Progress& progress) {
  if (dtype) detail::require_quantizable("dequantize", *dtype);
  detail::require_other_file(in, out);
  const Reader reader(in);
  const Contents contents = quantized_contents(reader);
  safetensors::Metadata metadata = reader.metadata();
  metadata.erase(detail::metadata_key);
  std::vector<Entry> entries = entries_of(contents, dtype);
  using Replace = safetensors::Writer::Replace;
  DequantizeResult result{.tensors = static_cast<std::int64_t>(contents.quantized.size()),
                          .file_bytes_in = reader.file_bytes(),
                          .file_bytes_out = safetensors::Writer::file_bytes(entries, metadata)};
  safetensors::Writer writer(out, std::move(entries), metadata, replace ? Replace::yes : Replace::no);
  detail::ProgressCounter counter(progress, reader.file_bytes(), detail::ProgressCounter::Writes::yes);
  for (const FileForm& form : contents.quantized) {
    result.saturated_values += write_dequantized(reader, writer, form, dtype.value_or(form.dtype));
    counter.add(stored_bytes(form));
  }
  for (const auto& [name, entry] : contents.plain) {
    writer.write(name, reader.bytes(entry));
    counter.add(entry.nbytes);
  }
  writer.finish();
  return result;
}

}  // namespace bnq
