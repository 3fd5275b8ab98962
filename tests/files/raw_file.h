#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
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

/// The bytes of a file, or how to make them. ctest runs each test as a process of its own, and each process makes the
/// tables: what is large is made by the one test that needs it.
class FileBytes {
 public:
  FileBytes(std::string bytes) : make_([bytes = std::move(bytes)] { return bytes; }) {}
  template <std::invocable Make>
  FileBytes(Make make) : make_(std::move(make)) {}

  [[nodiscard]] std::string operator()() const { return make_(); }

 private:
  std::function<std::string()> make_;
};

/// A file that the reader must refuse with `bad_content`.
struct BrokenFile {
  std::string name;                    ///< of the test
  FileBytes bytes;                     ///< the whole file
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
  FileBytes bytes;
  std::size_t tensors = 0;
  std::size_t metadata = 0;
};

inline void PrintTo(const LegalFile& row, std::ostream* out) { *out << row.name; }

[[nodiscard]] std::vector<LegalFile> legal_files();

}  // namespace bnq::test
