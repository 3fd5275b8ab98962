#include "raw_gguf.h"

namespace bnq::test {

std::string gguf_text(std::string_view text) { return le<std::uint64_t>(text.size()).append(text); }

std::string gguf_array(std::uint32_t type, std::uint64_t count, std::string_view elements) {
  return (le(type) + le(count)).append(elements);
}

std::string gguf_row(std::string_view name, const std::vector<std::uint64_t>& extents, std::uint32_t type,
                     std::uint64_t offset) {
  std::string row = gguf_text(name) + le(static_cast<std::uint32_t>(extents.size()));
  for (const std::uint64_t extent : extents) row += le(extent);
  return row + le(type) + le(offset);
}

std::string gguf_key(std::string_view name, std::uint32_t type, std::string_view value) {
  return (gguf_text(name) + le(type)).append(value);
}

std::string RawGguf::head() const {
  std::string text = mark + le(version) + le(row_count.value_or(rows.size())) + le(key_count.value_or(keys.size()));
  for (const std::string& key : keys) text += key;
  for (const std::string& row : rows) text += row;
  return text;
}

std::string RawGguf::bytes() const {
  std::string text = head();
  if (data_bytes + zeros > 0) text.resize((text.size() + alignment - 1) / alignment * alignment, '\0');
  for (std::size_t i = 0; i < data_bytes; ++i) text += static_cast<char>(i % 251);
  return text.append(zeros, '\0');
}

}  // namespace bnq::test
