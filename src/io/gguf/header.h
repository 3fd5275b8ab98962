#pragma once

#include <bnq/tensor.h>

#include "io/gguf/metadata.h"
#include "io/gguf/type.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// All of a GGUF file before its tensors (docs/formats/gguf.rst): the mark "GGUF", a version, the number of tensors and
// of keys, the metadata, a row for each tensor, zeros up to the alignment.

namespace bnq::detail::gguf {

class MetadataBuilder;

inline constexpr std::string_view mark = "GGUF";
inline constexpr std::uint32_t newest_version = 3;
inline constexpr std::string_view alignment_key = "general.alignment";
inline constexpr std::string_view writer_key = "bnq.version";  ///< of files that bnq wrote; their 42 is q2_0
inline constexpr std::string_view quantization_version_key = "general.quantization_version";
inline constexpr std::uint32_t default_alignment = 32;  ///< bytes
inline constexpr std::uint32_t least_alignment = 8;
inline constexpr std::uint32_t most_alignment = 1U << 20U;
inline constexpr std::uint64_t most_tensors = 1U << 18U;
inline constexpr std::size_t most_axes = 4;
inline constexpr std::size_t longest_written_name = 63;  ///< bytes of a tensor's name; ggml refuses longer ones

/// One tensor of a file. `offset` counts bytes from the start of the data section.
struct Entry {
  std::string name = {};
  const Type* type = nullptr;
  Shape shape = {};  ///< outermost first, as everywhere in bnq; the file has the depth first
  std::uint64_t offset = 0;
  std::uint64_t nbytes = 0;
};

struct ReadOptions {
  std::vector<std::string> types = {};  ///< names; settle ids that several programs use, where sizes do not
};

struct Header {
  std::uint32_t version = newest_version;
  std::uint32_t alignment = default_alignment;
  Metadata metadata;
  std::vector<Entry> entries;    ///< in the order of their bytes
  std::uint64_t data_begin = 0;  ///< in the file; where there is no tensor, its end
};

/// Believes nothing: every number is checked, by itself and against the file, before anything is sized by it.
/// Throws `bad_content` with `where` (the file), the key or tensor, and the byte in front.
[[nodiscard]] Header parse_header(const std::string& where, std::span<const std::byte> file,
                                  const ReadOptions& options = {});

/// Sets offsets and sizes of `entries`, in their order, which is that of the file, and returns the header's bytes,
/// zeros up to the data included. Throws `invalid_argument` for a name, shape or type that GGUF cannot hold, a name
/// that stands twice, sizes that overflow, or packed tensors without `general.quantization_version`.
[[nodiscard]] std::string make_header(const std::string& where, const MetadataBuilder& metadata,
                                      std::vector<Entry>& entries);

[[nodiscard]] bool is_alignment(std::uint64_t bytes);

/// `bytes` up to the next multiple of `alignment`; nothing when that does not fit in 63 bits.
[[nodiscard]] std::optional<std::uint64_t> aligned(std::uint64_t bytes, std::uint32_t alignment);

}  // namespace bnq::detail::gguf
