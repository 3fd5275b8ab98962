#include <bnq/quantized_tensor.h>

#include "core/checked.h"
#include "core/codes.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/scales.h"

#include <utility>

namespace bnq {
namespace {

constexpr const char* where = "QuantizedTensor";

void require_same(const char* what, const std::string& got, const std::string& need) {
  if (got == need) return;
  detail::fail(ErrorKind::invalid_argument, {.where = where, .what = what, .got = got, .need = need});
}

void require_codes(const Scheme& scheme, const Shape& shape, std::span<const std::int8_t> codes) {
  const std::int64_t foreign = detail::first_foreign_code(scheme, codes);
  if (foreign < 0) return;
  detail::fail(ErrorKind::invalid_argument, {.where = where,
                                             .what = "a code that " + std::string(scheme.rule()) + " does not have",
                                             .got = std::to_string(codes[static_cast<std::size_t>(foreign)]) + " at " +
                                                    detail::index_text(shape, foreign),
                                             .need = detail::code_range(scheme)});
}

}  // namespace

std::int64_t granule_count(const Shape& shape, const Granularity& granularity) {
  const std::int64_t elements = element_count(shape);
  if (elements == 0) return 0;
  if (granularity.kind == Granularity::Kind::tensor) return 1;
  const std::int64_t depth = shape.empty() ? 1 : shape.back();
  const std::int64_t rows = elements / depth;
  return granularity.kind == Granularity::Kind::row ? rows : rows * detail::ceil_div(depth, granularity.group_size);
}

Shape scales_shape(const Shape& shape, const Granularity& granularity) {
  const std::int64_t elements = element_count(shape);
  if (granularity.kind == Granularity::Kind::tensor) return {elements == 0 ? 0 : 1};
  const std::int64_t depth = shape.empty() ? 1 : shape.back();
  Shape result = shape;
  if (result.empty()) result.push_back(1);
  if (granularity.kind == Granularity::Kind::row) {
    result.back() = depth == 0 ? 0 : 1;
  } else {
    result.back() = detail::ceil_div(depth, granularity.group_size);
  }
  return result;
}

QuantizedTensor::QuantizedTensor(Scheme scheme, DType dtype, Shape shape, Tensor codes, Tensor scales,
                                 QuantizeCounts counts)
    : scheme_(scheme),
      dtype_(dtype),
      shape_(std::move(shape)),
      codes_(std::move(codes)),
      scales_(std::move(scales)),
      counts_(counts) {
  detail::require_quantizable(where, dtype_);
  require_same("codes of another dtype", std::string(name(codes_.dtype())), "i8");
  require_same("codes of another shape", to_string(codes_.shape()), to_string(shape_));
  detail::require_scales(where, scales_, shape_, scheme_.granularity());
  require_codes(scheme_, shape_, this->codes());
}

QuantizedTensor::QuantizedTensor(Parts parts) noexcept
    : scheme_(parts.scheme),
      dtype_(parts.dtype),
      shape_(std::move(parts.shape)),
      codes_(std::move(parts.codes)),
      scales_(std::move(parts.scales)),
      counts_(parts.counts) {}

std::int64_t QuantizedTensor::depth() const noexcept { return shape_.empty() ? 1 : shape_.back(); }

std::int64_t QuantizedTensor::rows() const noexcept {
  std::int64_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < shape_.size(); ++axis) rows *= shape_[axis];
  return rows;
}

double QuantizedTensor::bits_per_weight() const noexcept {
  if (elements() == 0) return 0;
  return scheme_.code_bits() + 8.0 * static_cast<double>(scales_.nbytes()) / static_cast<double>(elements());
}

}  // namespace bnq
