#include "checkpoint/convert/gguf/row_order.h"

#include "core/fail.h"

#include <cstring>
#include <utility>

namespace bnq::detail {
namespace {

struct Rows {
  std::int64_t count;
  std::int64_t heads;
  RowOrder order;

  /// Where row `to` of the result lies before.
  [[nodiscard]] std::int64_t from(std::int64_t to) const {
    const std::int64_t head_rows = count / heads;
    const std::int64_t half = head_rows / 2;
    const std::int64_t head = to / head_rows * head_rows;
    const std::int64_t at = to % head_rows;
    if (order == RowOrder::halves_to_pairs) return head + at % 2 * half + at / 2;
    return head + at % half * 2 + at / half;
  }
};

void copy_rows(const Rows& rows, std::span<const std::byte> from, std::span<std::byte> to) {
  if (from.empty()) return;
  const std::size_t row_bytes = from.size() / static_cast<std::size_t>(rows.count);
  for (std::int64_t r = 0; r < rows.count; ++r) {
    std::memcpy(to.data() + static_cast<std::size_t>(r) * row_bytes,
                from.data() + static_cast<std::size_t>(rows.from(r)) * row_bytes, row_bytes);
  }
}

}  // namespace

void require_heads(const std::string& where, std::int64_t rows, std::int64_t heads) {
  if (heads > 0 && rows % heads == 0 && rows / heads % 2 == 0 && rows > 0) return;
  fail(ErrorKind::bad_content, {.where = where,
                                .what = "its rows are not those of the heads that the model states",
                                .got = std::to_string(rows) + " rows, " + std::to_string(heads) + " heads",
                                .need = "heads of an even number of rows"});
}

QuantizedTensor reordered(const QuantizedTensor& q, std::int64_t heads, RowOrder order) {
  const Rows rows{q.rows(), heads, order};
  Tensor codes(DType::i8, q.shape());
  copy_rows(rows, std::as_bytes(q.codes()), codes.bytes());
  Tensor scales(DType::f32, scales_shape(q.shape(), q.scheme().granularity()));
  const auto stored = std::as_bytes(q.scales());
  if (q.scheme().granularity() == Granularity::tensor()) {
    std::memcpy(scales.bytes().data(), stored.data(), stored.size());
  } else {
    copy_rows(rows, stored, scales.bytes());
  }
  return {q.scheme(), q.dtype(), q.shape(), std::move(codes), std::move(scales)};
}

Tensor reordered(const Tensor& values, std::int64_t heads, RowOrder order) {
  Tensor made(values.dtype(), values.shape());
  copy_rows({values.shape().front(), heads, order}, values.bytes(), made.bytes());
  return made;
}

}  // namespace bnq::detail
