#include "checkpoint/convert/conversion.h"
#include "checkpoint/convert/gguf/gguf_output.h"
#include "checkpoint/convert/write_items.h"
#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <bnq/checkpoint.h>

#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

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

void require_one(const ConvertOptions& options) {
  if (options.to.has_value() != options.target.has_value()) return;
  fail(ErrorKind::invalid_argument, {.where = "convert",
                                     .what = options.to ? "a layout and a target are both given, and a target has its "
                                                          "own"
                                                        : "neither a layout nor a target is given",
                                     .need = "one of them (--to, --target)"});
}

/// Throws unless the target reads files that a conversion writes.
void require_read(const std::filesystem::path& out, const Target& target) {
  const std::string name(target.name());
  switch (target.reads()) {
    case Target::Reads::gguf:
      if (out.extension() == ".gguf") return;
      fail(ErrorKind::unsupported,
           {.where = text_of(out), .what = name + " reads GGUF files", .cure = "name OUT *.gguf"});
    case Target::Reads::folder:
      fail(ErrorKind::unsupported, {.where = text_of(out),
                                    .what = name + " loads a model folder, and converting writes one file",
                                    .cure = "`bnq quantize FOLDER OUT --target " + name + "` writes such a folder"});
    case Target::Reads::operands:
      break;
  }
  fail(ErrorKind::unsupported,
       {.where = text_of(out),
        .what = name + " reads graphs, which bnq does not write",
        .cure = "in Python bnq.pack(q, layout) makes the weights that an operator of your graph takes"});
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
class SafetensorsOutput final : public ItemWriter {
 public:
  explicit SafetensorsOutput(Conversion& conversion) : conversion_(conversion) {
    conversion.require_places();
    std::vector<FileForm> forms;
    for (const Item& item : conversion.items) {
      if (item.scheme) {
        forms.push_back(form_of(item));
        for (Entry& part : forms.back().parts()) entries_.push_back(std::move(part));
      } else {
        entries_.push_back({.name = item.out, .dtype = item.dtype, .shape = item.shape, .nbytes = item.nbytes});
      }
    }
    require_free_names(conversion.source(), entries_);
    metadata_ = metadata_of(conversion.source().metadata(), forms, nullptr);
    conversion.result.file_bytes_out = safetensors::Writer::file_bytes(entries_, metadata_);
  }

  void write_to(const std::filesystem::path& out) {
    using Replace = safetensors::Writer::Replace;
    writer_.emplace(out, entries_, metadata_, conversion_.options().replace ? Replace::yes : Replace::no);
    write_items(conversion_, *this);
    writer_->finish();
  }

  void write(const Item& item, const PackedTensor& packed) override {
    FileForm form = form_of(item);
    write_tensor(*writer_, form, packed);
  }

  void copy(const Item& item) override {
    Tensor buffer(DType::u8, {0});
    writer_->write(item.out, conversion_.bytes_of(item, buffer));
  }

 private:
  [[nodiscard]] FileForm form_of(const Item& item) const {
    return {item.out, *item.scheme, conversion_.to(), item.dtype, item.shape};
  }

  Conversion& conversion_;
  std::vector<Entry> entries_;
  safetensors::Metadata metadata_;
  std::optional<safetensors::Writer> writer_;
};

}  // namespace
}  // namespace detail

ConvertResult convert_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                 const ConvertOptions& options) {
  const bool to_gguf = out.extension() == ".gguf";
  detail::require_one(options);
  if (options.target) detail::require_read(out, *options.target);
  if (options.to && !to_gguf) detail::require_file_layout(out, *options.to);
  detail::require_other_file(in, out);
  detail::Conversion conversion(in, options);
  if (to_gguf) {
    detail::write_gguf(conversion, out);
  } else {
    if (conversion.source().gguf() != nullptr) detail::name_as_hugging_face(conversion);
    detail::SafetensorsOutput(conversion).write_to(out);
  }
  return std::move(conversion.result);
}

}  // namespace bnq
