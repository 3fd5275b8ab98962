#pragma once

#include "io/gguf/header.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bnq::detail::gguf {

/// A tensor as its row states it. Name, shape and the number of elements are checked, the rest is not.
struct StatedTensor {
  std::string name;
  Shape shape;
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::size_t at = 0;  ///< of its row, in the file
};

/// Where the tensors of a file may lie.
struct DataSection {
  std::span<const std::byte> bytes;  ///< up to the end of the file
  std::uint32_t alignment = default_alignment;
};

/// Finds each tensor's type and size, in the order of their bytes. They have to cover the data section from its first
/// byte to its last, once, with zeros up to the alignment between them, so that nothing hides; the zeros behind the
/// last one may be missing. An id with several meanings has the one whose sizes fit all of its tensors. Throws
/// `bad_content`, naming the tensor and the byte of its row: an unknown or unclear type, a depth that its blocks do not
/// divide, a size that overflows, an offset that is not aligned or not in the file, an overlap, a gap, bytes behind the
/// last.
[[nodiscard]] std::vector<Entry> place_tensors(const std::string& where, std::vector<StatedTensor> stated,
                                               const DataSection& section, const ReadOptions& options);

}  // namespace bnq::detail::gguf
