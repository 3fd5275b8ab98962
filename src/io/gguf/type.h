#pragma once

#include <bnq/dtype.h>
#include <bnq/tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail::gguf {

/// How the elements of a tensor lie in a GGUF file, as far as a container has to know: in blocks along the depth.
/// Of a tensor [rows, depth]:  bytes = rows x (row_bytes + depth / block_length x block_bytes) + tensor_bytes
struct Type {
  std::uint32_t id;              ///< in the file; some ids mean different types to different programs
  std::string_view name;         ///< ggml's, in small letters: that of bnq's layout, where it has one
  std::uint32_t block_length;    ///< elements; divides the depth
  std::uint32_t block_bytes;     ///< of a whole block, its scale included
  std::uint32_t row_bytes;       ///< before the blocks of each row: a scale
  std::uint32_t tensor_bytes;    ///< behind the last row: a scale
  std::optional<DType> dtype{};  ///< of types whose blocks are plain elements
};

/// By id, what is written today before what only earlier files have.
[[nodiscard]] std::span<const Type> types();

/// The first row of this name, for who writes it; null when there is none.
[[nodiscard]] const Type* find_type(std::string_view name);

/// The row of plain elements; null when GGUF has none.
[[nodiscard]] const Type* find_type(DType dtype);

/// Each meaning of an id. Empty for an id that bnq does not know.
[[nodiscard]] std::vector<const Type*> types_of(std::uint32_t id);

/// A type of this id that bnq does not read, in words ("q4_2 (removed from ggml)"), or nothing.
[[nodiscard]] std::string_view unread_type(std::uint32_t id);

/// Bytes of a tensor; nothing when the depth is no multiple of the block, or the number of elements or bytes does not
/// fit in 63 bits.
[[nodiscard]] std::optional<std::uint64_t> size_of(const Type& type, const Shape& shape);

/// "q2_0 (42)"
[[nodiscard]] std::string name_and_id(const Type& type);

}  // namespace bnq::detail::gguf
