#include <bnq/tensor_file.h>

#include "checkpoint/contents.h"
#include "core/fail.h"
#include "io/metadata.h"

#include <cstring>
#include <utility>

namespace bnq {
namespace {

using detail::FileForm;
using safetensors::Entry;

FileForm form_of(const std::string& name, const QuantizedTensor& q) {
  return detail::file_form(name, q.scheme(), q.dtype(), q.shape());
}

Tensor copy_of(const detail::Source& source, const Entry& entry) {
  Tensor tensor(entry.dtype, entry.shape);
  const auto bytes = source.bytes(entry);
  if (!bytes.empty()) std::memcpy(tensor.bytes().data(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

ScaleConvention parse_scale_convention(std::string_view text) {
  if (text.empty()) return ScaleConvention::as_stated;
  if (text == "multiply") return ScaleConvention::multiply;
  if (text == "inverse") return ScaleConvention::inverse;
  detail::fail(ErrorKind::invalid_argument, {.where = "scales",
                                             .what = "unknown",
                                             .got = "'" + detail::printable(std::string(text)) + "'",
                                             .need = "multiply or inverse"});
}

void save(const std::filesystem::path& path, const std::map<std::string, StoredTensor>& tensors, bool replace) {
  std::vector<FileForm> forms;
  std::vector<Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    if (const auto* const q = std::get_if<QuantizedTensor>(&tensor)) {
      forms.push_back(form_of(name, *q));
      for (Entry& part : forms.back().parts()) entries.push_back(std::move(part));
    } else {
      const auto& plain = std::get<Tensor>(tensor);
      entries.push_back({.name = name, .dtype = plain.dtype(), .shape = plain.shape()});
    }
  }
  using Replace = safetensors::Writer::Replace;
  safetensors::Writer writer(path, std::move(entries), detail::metadata_of({}, forms, nullptr),
                             replace ? Replace::yes : Replace::no);
  for (const auto& [name, tensor] : tensors) {
    if (const auto* const q = std::get_if<QuantizedTensor>(&tensor)) {
      FileForm form = form_of(name, *q);
      detail::write_tensor(writer, form, pack(*q, form.layout));
    } else {
      writer.write(name, std::get<Tensor>(tensor).bytes());
    }
  }
  writer.finish();
}

std::map<std::string, StoredTensor> load(const std::filesystem::path& path, ScaleConvention convention,
                                         const std::vector<std::string>& gguf_types) {
  const detail::Source source(path, gguf_types);
  const detail::Contents contents = detail::contents_of(source, convention);
  detail::require_readable(source, contents);
  std::map<std::string, StoredTensor> tensors;
  for (const FileForm& form : contents.quantized) {
    tensors.emplace(form.name, detail::read_quantized(source, form));
  }
  for (const auto& [name, entry] : contents.plain) tensors.emplace(name, copy_of(source, entry));
  return tensors;
}

}  // namespace bnq
