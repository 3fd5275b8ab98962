#include <bnq/layout.h>

#include "core/checked.h"
#include "core/fail.h"
#include "layout/held_scales.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <array>

namespace bnq {
namespace {

// Every layout there is. First bnq's choice, smallest codes first: `pack` without a layout takes the first that fits,
// and i8 fits always. Behind it the layouts of other programs, for whom names them.
constexpr std::array<const detail::LayoutRow*, 16> rows{
    &detail::layout_u1,       &detail::layout_u2_hf,  &detail::layout_i32_ct, &detail::layout_i8,
    &detail::layout_tq1_0,    &detail::layout_tq2_0,  &detail::layout_q2_0,   &detail::layout_q4_0,
    &detail::layout_q8_0,     &detail::layout_iq2_bn, &detail::layout_i2_s,   &detail::layout_i2_s_arm,
    &detail::layout_i2_s_1x4, &detail::layout_u2_ort, &detail::layout_u4_ort, &detail::layout_u8_ort};

}  // namespace

Layout Layout::parse(std::string_view name) {
  const auto row = std::ranges::find_if(rows, [&](const detail::LayoutRow* r) { return r->name == name; });
  if (row == rows.end()) {
    detail::fail(ErrorKind::invalid_argument,
                 {.where = "layout",
                  .what = "unknown",
                  .got = "'" + detail::printable(std::string(name)) + "'",
                  .need = "one of " + detail::layout_names([](const Layout&) { return true; })});
  }
  return Layout(*row);
}

std::vector<Layout> Layout::all() {
  std::vector<Layout> layouts;
  for (const detail::LayoutRow* row : rows) layouts.push_back(Layout(row));
  return layouts;
}

std::string_view Layout::name() const { return row_->name; }
std::string_view Layout::about() const { return row_->about; }

std::string Layout::refusal(const Scheme& scheme, const Shape& shape) const {
  std::string why = row_->refusal(scheme, shape);
  if (!why.empty() || !holds_scales()) return why;
  return detail::held_scales_refusal(row_->held_scales->cell, scheme.granularity(), shape);
}

bool Layout::holds_scales() const noexcept { return row_->held_scales.has_value(); }
bool Layout::is_read_only() const noexcept { return row_->pack == nullptr; }

DType Layout::storage_dtype() const { return row_->storage_dtype; }

Shape Layout::storage_shape(const Scheme& scheme, const Shape& shape) const {
  return row_->storage_shape(scheme, shape);
}

std::size_t Layout::storage_bytes(const Scheme& scheme, const Shape& shape) const {
  const auto elements = static_cast<std::size_t>(element_count(storage_shape(scheme, shape)));
  const auto bytes = detail::checked_mul(elements, size_bytes(storage_dtype()));
  if (!bytes) {
    detail::fail(ErrorKind::invalid_argument,
                 {.where = "layout " + std::string(name()), .what = "too many bytes", .got = to_string(shape)});
  }
  return *bytes;
}

}  // namespace bnq
