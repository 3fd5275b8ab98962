#include "checkpoint/convert/conversion.h"
#include "checkpoint/convert/gguf/gguf_output.h"
#include "checkpoint/work.h"
#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <bnq/checkpoint.h>

#include <set>
#include <string_view>

namespace bnq {
namespace detail {
namespace {

using safetensors::Entry;

void require_file_layout(const std::filesystem::path& out, const Layout& layout) {
  if (layout.row().file_suffix) return;
  const std::string names = layout_names([](const Layout& other) { return other.row().file_suffix.has_value(); });
  fail(ErrorKind::unsupported, {.where = text_of(out),
                                .what = "a safetensors file has no place for this layout",
                                .got = std::string(layout.name()),
                                .need = "one of " + names,
                                .cure = layout.row().ggml ? "name OUT *.gguf for this layout" : ""});
}

/// `x` and `x_scale` cannot both be there when x becomes codes.
void require_free_names(const Source& source, const std::vector<Entry>& entries) {
  std::set<std::string_view> names;
  for (const Entry& entry : entries) {
    if (names.insert(entry.name).second) continue;
    fail(ErrorKind::bad_content,
         {.where = in_file(source.path(), entry.name), .what = "its name is needed for a part of a low-bit tensor"});
  }
}

/// An output file, and how each tensor lies in it.
class SafetensorsOutput {
 public:
  explicit SafetensorsOutput(Conversion& conversion) : conversion_(conversion) {
    conversion.require_places();
    for (const Item& item : conversion.items) {
      if (item.scheme) {
        forms_.push_back({item.out, *item.scheme, conversion.options().to, item.dtype, item.shape});
        for (Entry& part : forms_.back().parts()) entries_.push_back(std::move(part));
      } else {
        entries_.push_back({.name = item.out, .dtype = item.dtype, .shape = item.shape, .nbytes = item.nbytes});
      }
    }
    require_free_names(conversion.source(), entries_);
    metadata_ = metadata_of(conversion.source().metadata(), forms_, nullptr);
    conversion.result.file_bytes_out = safetensors::Writer::file_bytes(entries_, metadata_);
  }

  void write(const std::filesystem::path& out) {
    const ConvertOptions& options = conversion_.options();
    using Replace = safetensors::Writer::Replace;
    ProgressCounter counter(options.progress, conversion_.source().file_bytes(), ProgressCounter::Writes::yes);
    safetensors::Writer writer(out, entries_, metadata_, options.replace ? Replace::yes : Replace::no);
    auto form = forms_.begin();
    for (const Item& item : conversion_.items) {
      if (item.scheme) {
        write_tensor(writer, *form++, conversion_.pack(item));
      } else {
        Tensor buffer(DType::u8, {0});
        writer.write(item.out, conversion_.bytes_of(item, buffer));
      }
      conversion_.release(item);
      counter.add(item.nbytes);
    }
    writer.finish();
  }

 private:
  Conversion& conversion_;
  std::vector<FileForm> forms_;
  std::vector<Entry> entries_;
  safetensors::Metadata metadata_;
};

}  // namespace
}  // namespace detail

ConvertResult convert_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                 const ConvertOptions& options) {
  const bool to_gguf = out.extension() == ".gguf";
  if (!to_gguf) detail::require_file_layout(out, options.to);
  detail::require_other_file(in, out);
  detail::Conversion conversion(in, options);
  if (to_gguf) {
    detail::write_gguf(conversion, out);
  } else {
    if (conversion.source().gguf() != nullptr) detail::name_as_hugging_face(conversion);
    detail::SafetensorsOutput(conversion).write(out);
  }
  return std::move(conversion.result);
}

}  // namespace bnq
