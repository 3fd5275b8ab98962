#pragma once

#include "files/raw_file.h"

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::test {

/// A number as its bytes, little-endian.
template <typename T>
[[nodiscard]] std::string le(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A string of GGUF: its length and its bytes.
[[nodiscard]] std::string gguf_text(std::string_view text);

/// An array of GGUF without its type: the type of its elements, `count`, and `elements` as they are.
[[nodiscard]] std::string gguf_array(std::uint32_t type, std::uint64_t count, std::string_view elements);

/// A row of the tensor table, its extents in the order of the file: the depth first.
[[nodiscard]] std::string gguf_row(std::string_view name, const std::vector<std::uint64_t>& extents, std::uint32_t type,
                                   std::uint64_t offset);

/// A key and its value.
[[nodiscard]] std::string gguf_key(std::string_view name, std::uint32_t type, std::string_view value);

/// A GGUF file in pieces, each of which may lie.
struct RawGguf {
  std::string mark = "GGUF";
  std::uint32_t version = 3;
  std::vector<std::string> keys = {};
  std::vector<std::string> rows = {};
  std::optional<std::uint64_t> key_count = {};  ///< as stated; otherwise as they are
  std::optional<std::uint64_t> row_count = {};
  std::size_t data_bytes = 0;  ///< 0, 1, 2, … (mod 251)
  std::size_t zeros = 0;       ///< behind the data
  std::size_t alignment = 32;  ///< of the data

  [[nodiscard]] std::string head() const;  ///< up to the last row
  [[nodiscard]] std::string bytes() const;
};

[[nodiscard]] std::vector<BrokenFile> broken_gguf_starts();      ///< mark, version, counts
[[nodiscard]] std::vector<BrokenFile> broken_gguf_keys();        ///< names, types, lengths of metadata
[[nodiscard]] std::vector<BrokenFile> broken_gguf_giants();      ///< megabytes that cost time or memory
[[nodiscard]] std::vector<BrokenFile> broken_gguf_values();      ///< keys that the reader looks at
[[nodiscard]] std::vector<BrokenFile> broken_gguf_rows();        ///< the tensor table
[[nodiscard]] std::vector<BrokenFile> broken_gguf_types();       ///< types against shapes
[[nodiscard]] std::vector<BrokenFile> broken_gguf_placements();  ///< offsets against the file and each other

[[nodiscard]] std::vector<LegalFile> legal_gguf_files();

}  // namespace bnq::test
