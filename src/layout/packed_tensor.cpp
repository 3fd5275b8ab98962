#include <bnq/layout.h>

#include "core/codes.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/memory/memory.h"
#include "core/scales.h"
#include "layout/held_scales.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <utility>

namespace bnq {
namespace {

std::int64_t depth_of(const Shape& shape) { return shape.empty() ? 1 : shape.back(); }

template <typename Code>
detail::CodeMatrix<Code> matrix(std::span<Code> codes, const Scheme& scheme, const Shape& shape) {
  const std::int64_t depth = depth_of(shape);
  const std::int64_t rows = codes.empty() ? 0 : static_cast<std::int64_t>(codes.size()) / depth;
  return {codes, rows, depth, scheme.code_bits()};
}

std::string layouts_that_hold(const Scheme& scheme, const Shape& shape) {
  return detail::layout_names(
      [&](const Layout& layout) { return !layout.is_read_only() && layout.refusal(scheme, shape).empty(); });
}

void require_holds(const Layout& layout, const Scheme& scheme, const Shape& shape) {
  const std::string refusal = layout.refusal(scheme, shape);
  if (refusal.empty()) return;
  detail::fail(ErrorKind::unsupported, {.where = "layout " + std::string(layout.name()),
                                        .what = "cannot hold this tensor: it " + refusal,
                                        .got = scheme.to_string() + " " + to_string(shape),
                                        .cure = "layouts that can: " + layouts_that_hold(scheme, shape)});
}

void require_writable(const Layout& layout, const Scheme& scheme, const Shape& shape) {
  if (!layout.is_read_only()) return;
  detail::fail(ErrorKind::unsupported, {.where = "pack " + std::string(layout.name()),
                                        .what = "this layout is read, not written",
                                        .cure = "layouts that can be: " + layouts_that_hold(scheme, shape)});
}

/// A scheme may have codes that the layout has no place for, as long as this tensor has none of them.
void require_fit(const QuantizedTensor& q, const Layout& layout) {
  if (layout.row().first_misfit == nullptr) return;
  const std::int64_t at = layout.row().first_misfit(q.codes());
  if (at < 0) return;
  detail::fail(ErrorKind::unsupported, {.where = "pack " + std::string(layout.name()),
                                        .what = "a code that this layout cannot hold",
                                        .got = std::to_string(q.codes()[static_cast<std::size_t>(at)]) + " at " +
                                               detail::index_text(q.shape(), at),
                                        .cure = "take another layout, such as i8"});
}

void require_scales_beside(const std::string& where, const Layout& layout, bool need) {
  if (layout.holds_scales() != need) return;
  detail::fail(ErrorKind::invalid_argument,
               {.where = where,
                .what = need ? "this layout holds its scales among the codes" : "the scales are missing",
                .need = need ? "the bytes alone" : "one float32 a granule",
                .cure = need ? "leave the scales out" : "hand them over beside the bytes"});
}

void require_codes(const PackedTensor& p, std::span<const std::int8_t> codes) {
  if (detail::has_only_codes_of(p.scheme(), codes)) return;
  const std::int64_t foreign = detail::first_foreign_code(p.scheme(), codes);
  detail::fail(ErrorKind::bad_content, {.where = "unpack " + std::string(p.layout().name()),
                                        .what = "a code that " + std::string(p.scheme().rule()) + " does not have",
                                        .got = std::to_string(codes[static_cast<std::size_t>(foreign)]) + " at " +
                                               detail::index_text(p.shape(), foreign),
                                        .need = detail::code_range(p.scheme()),
                                        .cure = "the bytes are damaged, or of another layout or scheme"});
}

Tensor copy_of(std::span<const float> scales, Shape shape) {
  Tensor copy(DType::f32, std::move(shape));
  std::ranges::copy(scales, copy.data<float>().begin());
  return copy;
}

}  // namespace

PackedTensor::PackedTensor(Layout layout, Scheme scheme, DType dtype, Shape shape, std::span<const std::byte> data,
                           std::shared_ptr<const void> owner, Tensor scales)
    : layout_(layout),
      scheme_(scheme),
      dtype_(dtype),
      shape_(std::move(shape)),
      data_(data),
      owner_(std::move(owner)),
      scales_(std::move(scales)) {
  const std::string where = require_bytes();
  require_scales_beside(where, layout_, true);
  detail::require_scales(where.c_str(), scales_, shape_, scheme_.granularity());
}

PackedTensor::PackedTensor(Layout layout, Scheme scheme, DType dtype, Shape shape, std::span<const std::byte> data,
                           std::shared_ptr<const void> owner)
    : layout_(layout),
      scheme_(scheme),
      dtype_(dtype),
      shape_(std::move(shape)),
      data_(data),
      owner_(std::move(owner)),
      scales_(DType::f32, {0}) {
  require_scales_beside(require_bytes(), layout_, false);
}

std::string PackedTensor::require_bytes() const {
  std::string where = "PackedTensor " + std::string(layout_.name());
  detail::require_quantizable(where.c_str(), dtype_);
  (void)element_count(shape_);
  require_holds(layout_, scheme_, shape_);
  const std::size_t need = layout_.storage_bytes(scheme_, shape_);
  if (data_.size() != need) {
    detail::fail(ErrorKind::invalid_argument, {.where = where,
                                               .what = "wrong number of bytes for shape " + to_string(shape_),
                                               .got = std::to_string(data_.size()),
                                               .need = std::to_string(need)});
  }
  return where;
}

double PackedTensor::bits_per_weight() const noexcept {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape_) elements *= extent;
  return elements == 0 ? 0 : 8.0 * static_cast<double>(nbytes()) / static_cast<double>(elements);
}

PackedTensor pack(const QuantizedTensor& q, const Layout& layout) {
  require_holds(layout, q.scheme(), q.shape());
  require_writable(layout, q.scheme(), q.shape());
  require_fit(q, layout);
  const std::size_t bytes = layout.storage_bytes(q.scheme(), q.shape());
  auto codes = matrix(q.codes(), q.scheme(), q.shape());
  detail::StoredScales held;
  if (layout.holds_scales()) held = detail::scales_to_store(q, layout);
  codes.held_scales = held.values;
  const std::shared_ptr<std::byte> data = detail::zeroed_memory(bytes);  // a kernel may read it as it lies
  layout.row().pack(codes, {data.get(), bytes});
  const std::span<const std::byte> packed(data.get(), bytes);
  if (layout.holds_scales()) {
    PackedTensor p(layout, q.scheme(), q.dtype(), q.shape(), packed, data);
    p.scale_error_ = held.worst_error;
    return p;
  }
  Tensor scales = copy_of(q.scales(), scales_shape(q.shape(), q.scheme().granularity()));
  return {layout, q.scheme(), q.dtype(), q.shape(), packed, data, std::move(scales)};
}

PackedTensor pack(const QuantizedTensor& q) {
  for (const Layout& layout : Layout::all()) {
    if (layout.refusal(q.scheme(), q.shape()).empty()) return pack(q, layout);
  }
  detail::fail(ErrorKind::unsupported, {.where = "pack", .what = "no layout holds " + q.scheme().to_string()});
}

QuantizedTensor unpack(const PackedTensor& p) {
  const Layout& layout = p.layout();
  Tensor codes = Tensor::uninitialized(DType::i8, p.shape());  // a layout has a place for each
  auto into = matrix(codes.data<std::int8_t>(), p.scheme(), p.shape());
  std::vector<float> held;
  if (layout.holds_scales()) {
    held.resize(static_cast<std::size_t>(granule_count(p.shape(), layout.row().held_scales->cell)));
  }
  into.held_scales = held;
  layout.row().unpack(p.data(), into);
  const auto read = std::as_const(codes).data<std::int8_t>();
  require_codes(p, read);
  Tensor scales = layout.holds_scales() ? detail::granule_scales({layout, p.scheme(), p.shape(), read, held})
                                        : copy_of(p.scales(), scales_shape(p.shape(), p.scheme().granularity()));
  detail::require_scales("unpack", scales, p.shape(), p.scheme().granularity());
  return QuantizedTensor(
      QuantizedTensor::Parts{p.scheme(), p.dtype(), p.shape(), std::move(codes), std::move(scales), {}});
}

}  // namespace bnq
