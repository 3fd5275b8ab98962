#include "checkpoint/contents.h"

#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;
using safetensors::Reader;

/// Whole numbers beside scales: X with X_scale, or X_packed with X_scale, as other quantizers name them.
bool looks_packed(const Reader& reader, const Entry& entry) {
  constexpr std::string_view packed = "_packed";
  const bool bytes = entry.dtype == DType::i8 || entry.dtype == DType::u8;
  if (bytes && reader.find(entry.name + "_scale") != nullptr) return true;
  if (entry.dtype != DType::i32 || !entry.name.ends_with(packed)) return false;
  const std::string name = entry.name.substr(0, entry.name.size() - packed.size());
  return reader.find(name + "_scale") != nullptr;
}

}  // namespace

const FileForm* Contents::find_quantized(const std::string& name) const {
  const auto at = std::ranges::lower_bound(quantized, name, {}, &FileForm::name);
  return at == quantized.end() || at->name != name ? nullptr : &*at;
}

Contents contents_of(const Reader& reader) {
  Contents contents;
  Stated stated = read_metadata(reader);
  contents.version = std::move(stated.version);
  contents.quantized = std::move(stated.forms);
  std::unordered_set<std::string> taken;
  for (const FileForm& form : contents.quantized) {
    for (const Entry& part : form.parts()) {
      if (taken.insert(part.name).second) continue;
      fail(ErrorKind::bad_content, {.where = in_file(reader.path(), part.name), .what = "belongs to two tensors"});
    }
    require_parts(reader, form);
  }
  for (const Entry& entry : reader.tensors()) {
    if (taken.contains(entry.name)) continue;
    if (contents.find_quantized(entry.name) != nullptr) {
      fail(ErrorKind::bad_content,
           {.where = in_file(reader.path(), entry.name), .what = "is there twice: quantized, and as it is"});
    }
    contents.plain.emplace(entry.name, entry);
  }
  return contents;
}

void require_not_packed(const Reader& reader, const Contents& contents) {
  constexpr const char* cure = "quantize the original; `bnq dequantize` brings back floats, not what was lost";
  if (const std::size_t count = contents.quantized.size(); count > 0) {
    fail(ErrorKind::bad_content,
         {.where = text_of(reader.path()),
          .what = "is quantized already, by bnq " + printable(contents.version),
          .got = count == 1 ? "1 quantized tensor" : std::to_string(count) + " quantized tensors",
          .cure = cure});
  }
  const auto& entries = reader.tensors();
  const auto at = std::ranges::find_if(entries, [&](const Entry& entry) { return looks_packed(reader, entry); });
  if (at == entries.end()) return;
  fail(ErrorKind::bad_content, {.where = in_file(reader.path(), at->name),
                                .what = "is packed already, by another program",
                                .got = std::string(name(at->dtype)) + " " + to_string(at->shape) + " beside its scales",
                                .cure = "quantize the original"});
}

void require_other_file(const std::filesystem::path& in, const std::filesystem::path& out) {
  std::error_code ignored;  // a file that is not there is no other file's twin
  if (!std::filesystem::equivalent(in, out, ignored) && in != out) return;
  fail(ErrorKind::invalid_argument, {.where = text_of(out),
                                     .what = "input and output are one file",
                                     .cure = "name another output; nothing is changed in place"});
}

}  // namespace bnq::detail
