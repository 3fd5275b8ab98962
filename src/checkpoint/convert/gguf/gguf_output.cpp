#include "checkpoint/convert/gguf/gguf_output.h"

#include "checkpoint/convert/gguf/hf_model.h"
#include "checkpoint/convert/gguf/name_items.h"
#include "checkpoint/convert/gguf/tokenizer.h"
#include "checkpoint/convert/write_items.h"
#include "core/elements.h"
#include "core/fail.h"
#include "io/gguf/writer.h"
#include "io/system_call.h"

#include <bnq/version.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace bnq::detail {
namespace {

constexpr std::string_view file_type_key = "general.file_type";
constexpr std::uint32_t quantization_version = 2;  // of ggml's blocks, as they are today

struct FileType {
  std::string_view layout;
  std::uint32_t number;
};

/// llama.cpp's numbers, then bitnet.cpp's and ik_llama.cpp's. q2_0 has none as yet.
constexpr std::array file_types{FileType{"tq1_0", 36}, FileType{"tq2_0", 37}, FileType{"q4_0", 2},
                                FileType{"q8_0", 7},   FileType{"i2_s", 40},  FileType{"iq2_bn", 137}};

void require_gguf_layout(const std::filesystem::path& out, const Layout& layout) {
  if (layout.row().ggml) return;
  const std::string names = layout_names([](const Layout& other) { return other.row().ggml.has_value(); });
  fail(ErrorKind::unsupported, {.where = text_of(out),
                                .what = "a GGUF file has no place for this layout",
                                .got = std::string(layout.name()),
                                .need = "one of " + names});
}

/// One GGUF file: metadata, and tensors in their order.
class GgufOutput final : public ItemWriter {
 public:
  explicit GgufOutput(Conversion& conversion) : conversion_(conversion) {
    if (conversion.source().gguf() != nullptr) {
      copy_keys(*conversion.source().gguf());
      warn_of_kept_architecture(conversion);
    } else {
      describe(model_of(conversion.source()));
    }
    conversion.require_places();
    add_common_keys();
    for (const Item& item : conversion.items) entries_.push_back(entry_of(item));
    if (!divisors_.empty()) {
      entries_.push_back({.name = std::string(rope_name),
                          .type = gguf::find_type(DType::f32),
                          .shape = {static_cast<std::int64_t>(divisors_.size())}});
    }
    conversion.result.file_bytes_out = gguf::Writer::file_bytes(metadata_, entries_);
  }

  void write_to(const std::filesystem::path& out) {
    using Replace = gguf::Writer::Replace;
    const Replace replace = conversion_.options().replace ? Replace::yes : Replace::no;
    writer_.emplace(out, metadata_, entries_, replace);
    write_items(conversion_, *this);
    if (!divisors_.empty()) writer_->write(rope_name, std::as_bytes(std::span(divisors_)));
    writer_->finish();
  }

  void write(const Item& item, const PackedTensor& packed) override { writer_->write(item.out, packed.data()); }

  void copy(const Item& item) override {
    Tensor buffer(DType::u8, {0});
    const auto bytes = conversion_.bytes_of(item, buffer);
    if (!widens(item)) {
      writer_->write(item.out, bytes);
      return;
    }
    Tensor wide(DType::f32, item.shape);
    read_elements(TensorView(bytes.data(), item.dtype, item.shape), 0, wide.data<float>());
    writer_->write(item.out, std::as_const(wide).bytes());
  }

 private:
  /// Of a folder of Hugging Face.
  void describe(const HfModel& model) {
    const Source& source = conversion_.source();
    const std::string_view layout = conversion_.to().name();
    const ModelMap& map = name_for_gguf(conversion_, model);
    const std::string_view architecture = architecture_for(map, layout);
    metadata_.add("general.architecture", architecture);
    metadata_.add("general.name", std::string_view(name_of(source.path())));
    add_model_keys(metadata_, model, architecture);
    divisors_ = rope_divisors(model);
    for (std::string& warning :
         add_tokenizer(metadata_, *source.folder(), model.vocabulary, conversion_.options().pre_tokenizer)) {
      conversion_.result.warnings.push_back(std::move(warning));
    }
  }

  [[nodiscard]] static std::string name_of(const std::filesystem::path& folder) {
    std::error_code ignored;
    const auto whole = std::filesystem::weakly_canonical(folder, ignored);
    return whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
  }

  void copy_keys(const gguf::Reader& reader) {
    const std::array replaced{file_type_key, gguf::quantization_version_key, gguf::writer_key};
    for (const gguf::KeyValue& entry : reader.metadata().entries()) {
      if (std::ranges::find(replaced, entry.key) == replaced.end()) metadata_.copy(entry);
    }
  }

  void add_common_keys() {
    const auto* const type = std::ranges::find(file_types, conversion_.to().name(), &FileType::layout);
    if (type != file_types.end()) metadata_.add(file_type_key, type->number);
    metadata_.add(gguf::quantization_version_key, quantization_version);
    metadata_.add(gguf::writer_key, BNQ_VERSION);
  }

  /// Vectors of a folder become f32, as loaders add them to what they have; the rest stays in its own dtype.
  [[nodiscard]] bool widens(const Item& item) const {
    return conversion_.source().gguf() == nullptr && item.shape.size() == 1 && is_quantizable(item.dtype);
  }

  [[nodiscard]] gguf::Entry entry_of(const Item& item) const {
    gguf::Entry entry{.name = item.out, .shape = item.shape};
    if (item.scheme) {
      entry.type = gguf::find_type(conversion_.to().name());
    } else if (conversion_.source().gguf() != nullptr || is_quantizable(item.dtype)) {  // loaders take no other floats
      entry.type = gguf::find_type(widens(item) ? DType::f32 : item.dtype);
    }
    if (entry.type != nullptr) return entry;
    fail(ErrorKind::unsupported, {.where = in_file(conversion_.source().path(), item.name),
                                  .what = "its dtype has no place in a GGUF file",
                                  .got = std::string(name(item.dtype))});
  }

  Conversion& conversion_;
  gguf::MetadataBuilder metadata_;
  std::vector<gguf::Entry> entries_;
  std::vector<float> divisors_;
  std::optional<gguf::Writer> writer_;
};

}  // namespace

void write_gguf(Conversion& conversion, const std::filesystem::path& out) {
  require_gguf_layout(out, conversion.to());
  GgufOutput(conversion).write_to(out);
}

}  // namespace bnq::detail
