#include <bnq/layout.h>

#include "core/codes.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/scales.h"
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
  std::string text;
  for (const Layout& layout : Layout::all()) {
    if (layout.refusal(scheme, shape).empty()) text += (text.empty() ? "" : ", ") + std::string(layout.name());
  }
  return text;
}

void require_holds(const Layout& layout, const Scheme& scheme, const Shape& shape) {
  const std::string refusal = layout.refusal(scheme, shape);
  if (refusal.empty()) return;
  detail::fail(ErrorKind::unsupported, {.where = "layout " + std::string(layout.name()),
                                        .what = "cannot hold this tensor: it " + refusal,
                                        .got = scheme.to_string() + " " + to_string(shape),
                                        .cure = "layouts that can: " + layouts_that_hold(scheme, shape)});
}

void require_codes(const PackedTensor& p, std::span<const std::int8_t> codes) {
  const std::int64_t foreign = detail::first_foreign_code(p.scheme(), codes);
  if (foreign < 0) return;
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
  const std::string where = "PackedTensor " + std::string(layout_.name());
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
  detail::require_scales(where.c_str(), scales_, shape_, scheme_.granularity());
}

double PackedTensor::bits_per_weight() const noexcept {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape_) elements *= extent;
  return elements == 0 ? 0 : 8.0 * static_cast<double>(nbytes()) / static_cast<double>(elements);
}

PackedTensor pack(const QuantizedTensor& q, const Layout& layout) {
  require_holds(layout, q.scheme(), q.shape());
  const auto bytes = static_cast<std::int64_t>(layout.storage_bytes(q.scheme(), q.shape()));
  const auto data = std::make_shared<Tensor>(DType::u8, Shape{bytes});
  layout.row().pack(matrix(q.codes(), q.scheme(), q.shape()), data->bytes());
  Tensor scales = copy_of(q.scales(), scales_shape(q.shape(), q.scheme().granularity()));
  return {layout, q.scheme(), q.dtype(), q.shape(), std::as_const(*data).bytes(), data, std::move(scales)};
}

PackedTensor pack(const QuantizedTensor& q) {
  for (const Layout& layout : Layout::all()) {
    if (layout.refusal(q.scheme(), q.shape()).empty()) return pack(q, layout);
  }
  detail::fail(ErrorKind::unsupported, {.where = "pack", .what = "no layout holds " + q.scheme().to_string()});
}

QuantizedTensor unpack(const PackedTensor& p) {
  Tensor codes(DType::i8, p.shape());
  p.layout().row().unpack(p.data(), matrix(codes.data<std::int8_t>(), p.scheme(), p.shape()));
  require_codes(p, std::as_const(codes).data<std::int8_t>());
  Tensor scales = copy_of(p.scales(), scales_shape(p.shape(), p.scheme().granularity()));
  return {p.scheme(), p.dtype(), p.shape(), std::move(codes), std::move(scales)};
}

}  // namespace bnq
