#include "layout/bit_rows.h"

#include "core/checked.h"
#include "core/fail.h"
#include "core/parallel.h"

#include <algorithm>

namespace bnq::detail {
namespace {

constexpr std::int64_t elems_a_thread = 1 << 16;

std::int64_t row_grain(std::int64_t depth) {
  return std::max<std::int64_t>(1, elems_a_thread / std::max<std::int64_t>(1, depth));
}

std::span<std::byte> part(std::span<std::byte> data, std::int64_t row, std::int64_t bytes) {
  return data.subspan(static_cast<std::size_t>(row * bytes), static_cast<std::size_t>(bytes));
}

std::span<const std::byte> part(std::span<const std::byte> data, std::int64_t row, std::int64_t bytes) {
  return data.subspan(static_cast<std::size_t>(row * bytes), static_cast<std::size_t>(bytes));
}

void pack_row(const BitRows& form, std::span<const std::int8_t> codes, std::span<std::byte> row) {
  std::ranges::fill(row, std::byte{0});
  std::size_t bit = 0;
  for (const std::int8_t code : codes) {
    const auto field = static_cast<unsigned>((code + form.offset) / form.step);
    const unsigned at_byte = field << bit % 8;  // a field of up to 8 bits touches at most two bytes
    row[bit / 8] |= static_cast<std::byte>(at_byte & 0xFFU);
    if (at_byte > 0xFFU) row[bit / 8 + 1] |= static_cast<std::byte>(at_byte >> 8U);
    bit += form.bits;
  }
}

void unpack_row(const BitRows& form, std::span<const std::byte> row, std::span<std::int8_t> codes) {
  const unsigned mask = (1U << form.bits) - 1U;
  std::size_t bit = 0;
  for (std::int8_t& code : codes) {
    const unsigned low = std::to_integer<unsigned>(row[bit / 8]);
    const unsigned high = bit / 8 + 1 < row.size() ? std::to_integer<unsigned>(row[bit / 8 + 1]) : 0U;
    const unsigned field = (low | high << 8U) >> bit % 8 & mask;
    code = static_cast<std::int8_t>(static_cast<int>(field) * form.step - form.offset);
    bit += form.bits;
  }
}

/// Padding that is not zero is what a row looks like that has fields of another width.
void require_padding(const BitRows& form, std::span<const std::byte> row, std::int64_t r, std::int64_t depth) {
  std::size_t bit = static_cast<std::size_t>(depth) * form.bits;
  for (; bit < 8 * row.size(); bit += 8 - bit % 8) {
    if (std::to_integer<unsigned>(row[bit / 8]) >> bit % 8 == 0) continue;
    fail(ErrorKind::bad_content, {.where = "unpack, row " + std::to_string(r),
                                  .what = "its padding bits are not zero",
                                  .need = std::to_string(depth) + " fields of " + std::to_string(form.bits) + " bits",
                                  .cure = "the bytes are damaged, or of another width or layout"});
  }
}

}  // namespace

std::int64_t BitRows::row_bytes(std::int64_t depth) const {
  const std::int64_t fields_a_unit = 8 * row_bytes_multiple;  // fields that fill `bits` units exactly
  const std::int64_t whole = depth / fields_a_unit * static_cast<std::int64_t>(bits);
  const std::int64_t rest = ceil_div(depth % fields_a_unit * static_cast<std::int64_t>(bits), fields_a_unit);
  return (whole + rest) * row_bytes_multiple;
}

void BitRows::pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) const {
  const std::int64_t bytes = row_bytes(codes.depth);
  parallel_for(codes.rows, row_grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) pack_row(*this, codes.row(r), part(data, r, bytes));
  });
}

void BitRows::unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) const {
  const std::int64_t bytes = row_bytes(codes.depth);
  for (std::int64_t r = 0; r < codes.rows; ++r) require_padding(*this, part(data, r, bytes), r, codes.depth);
  parallel_for(codes.rows, row_grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) unpack_row(*this, part(data, r, bytes), codes.row(r));
  });
}

}  // namespace bnq::detail
