#pragma once

#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace bnq::detail {

/// Rows of q and k as the architecture llama has them in GGUF. A head of d rows has pairs that are rotated together:
/// outside the rows s * d/2 + j, s = 0, 1; in GGUF the rows 2 * j + s.
enum class RowOrder : std::uint8_t { halves_to_pairs, pairs_to_halves };

/// Throws `bad_content` with `where` in front unless `heads` divide the rows into heads of an even number of rows.
void require_heads(const std::string& where, std::int64_t rows, std::int64_t heads);

/// The rows in the other order; `require_heads` holds.
[[nodiscard]] QuantizedTensor reordered(const QuantizedTensor& q, std::int64_t heads, RowOrder order);

/// The same for rows of plain bytes.
[[nodiscard]] Tensor reordered(const Tensor& values, std::int64_t heads, RowOrder order);

}  // namespace bnq::detail
