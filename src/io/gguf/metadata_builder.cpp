#include "io/gguf/metadata_builder.h"

#include "core/fail.h"
#include "io/gguf/header.h"

#include <utility>

namespace bnq::detail::gguf {
namespace {

std::string in_key(const std::string& where, std::string_view key) {
  return where + ": key '" + printable(std::string(key)) + "'";
}

}  // namespace

MetadataBuilder::MetadataBuilder(std::string where) : where_(std::move(where)), alignment_(default_alignment) {}

void MetadataBuilder::copy(const KeyValue& entry) {
  begin(entry.key, entry.type);
  bytes_.append(as_text(entry.value));
  end(entry.key, entry.type);
}

void MetadataBuilder::add(std::string_view key, std::string_view text) {
  begin(key, ValueType::string);
  store(bytes_, text);
  end(key, ValueType::string);
}

void MetadataBuilder::begin(std::string_view key, ValueType type) {
  const std::string fault = fault_of_name(key, longest_name);
  if (!fault.empty()) fail(ErrorKind::invalid_argument, {.where = in_key(where_, key), .what = "the name " + fault});
  if (keys_.contains(key)) fail(ErrorKind::invalid_argument, {.where = in_key(where_, key), .what = "stands twice"});
  key_at_ = bytes_.size();
  store(bytes_, key);
  store(bytes_, type);
}

/// A key that is refused leaves nothing behind.
void MetadataBuilder::end(std::string_view key, ValueType type) {
  if (key == alignment_key) {
    const bool is_u32 = type == ValueType::u32;
    const auto alignment = is_u32 ? load<std::uint32_t>(std::as_bytes(std::span(bytes_)).last(4)) : 0;
    if (!is_alignment(alignment)) {
      bytes_.resize(key_at_);
      fail(ErrorKind::invalid_argument, {.where = in_key(where_, key),
                                         .what = "no alignment",
                                         .got = is_u32 ? std::to_string(alignment) : std::string(row_of(type).name),
                                         .need = "u32, a power of two from " + std::to_string(least_alignment) +
                                                 " to " + std::to_string(most_alignment)});
    }
    alignment_ = alignment;
  }
  keys_.emplace(key);
}

}  // namespace bnq::detail::gguf
