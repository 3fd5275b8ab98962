#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::test {

/// The eight bytes of `length`, little-endian, then `rest`: a safetensors file whose length field may lie.
[[nodiscard]] std::string with_length(std::uint64_t length, std::string_view rest);

/// A safetensors file of this header text and `data_bytes` bytes 0, 1, 2, … (mod 251). The header is not padded.
[[nodiscard]] std::string raw_file(std::string_view header, std::size_t data_bytes = 0);

/// `"name":{"dtype":"D","shape":S,"data_offsets":O}`; name, shape and offsets stand in the header as they are.
[[nodiscard]] std::string raw_entry(std::string_view name, std::string_view dtype, std::string_view shape,
                                    std::string_view offsets);

/// `text` over and over.
[[nodiscard]] std::string repeated(std::string_view text, std::size_t times);

/// A file that the reader must refuse with `bad_content`.
struct BrokenFile {
  std::string name;                    ///< of the test
  std::string bytes;                   ///< the whole file
  std::vector<std::string> fragments;  ///< that the message must hold, beside the file's path
};

inline void PrintTo(const BrokenFile& row, std::ostream* out) { *out << row.name; }

[[nodiscard]] std::vector<BrokenFile> broken_prefixes();  ///< the length field
[[nodiscard]] std::vector<BrokenFile> broken_json();      ///< the header is no JSON object
[[nodiscard]] std::vector<BrokenFile> broken_text();      ///< UTF-8, duplicates, metadata
[[nodiscard]] std::vector<BrokenFile> broken_entries();   ///< fields of an entry
[[nodiscard]] std::vector<BrokenFile> broken_numbers();   ///< in shapes and offsets
[[nodiscard]] std::vector<BrokenFile> broken_ranges();    ///< byte ranges against shapes, the file and each other

/// A file that is odd but right.
struct LegalFile {
  std::string name;
  std::string bytes;
  std::size_t tensors = 0;
  std::size_t metadata = 0;
};

inline void PrintTo(const LegalFile& row, std::ostream* out) { *out << row.name; }

[[nodiscard]] std::vector<LegalFile> legal_files();

}  // namespace bnq::test
