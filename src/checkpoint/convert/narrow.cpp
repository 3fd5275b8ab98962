#include "checkpoint/convert/narrow.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

namespace bnq::detail {
namespace {

/// The scale of granules [first, last) that have a code other than 0; that of the first where none has. Nothing when
/// they disagree.
std::optional<float> common_scale(const QuantizedTensor& q, std::int64_t first, std::int64_t last) {
  const auto granules = static_cast<std::int64_t>(q.scales().size());
  const std::int64_t elems = q.elements() / granules;  // all are as long: layouts take whole cells
  std::optional<float> common;
  for (std::int64_t g = first; g < last; ++g) {
    const auto codes = q.codes().subspan(static_cast<std::size_t>(g * elems), static_cast<std::size_t>(elems));
    if (std::ranges::all_of(codes, [](std::int8_t code) { return code == 0; })) continue;
    const float scale = q.scales()[static_cast<std::size_t>(g)];
    if (common && *common != scale) return {};
    common = scale;
  }
  return common ? common : q.scales()[static_cast<std::size_t>(first)];
}

bool has_one_a_row(const QuantizedTensor& q) {
  const std::int64_t granules = static_cast<std::int64_t>(q.scales().size()) / q.rows();
  for (std::int64_t r = 0; r < q.rows(); ++r) {
    if (!common_scale(q, r * granules, (r + 1) * granules)) return false;
  }
  return true;
}

}  // namespace

Scheme narrow_scheme(const QuantizedTensor& q) {
  Scheme scheme = q.scheme();
  const auto fits = [](std::int8_t code) { return code >= -1 && code <= 1; };
  if (std::ranges::all_of(q.codes(), fits)) scheme = Scheme::parse("ternary-absmean").with(scheme.granularity());
  const auto granules = static_cast<std::int64_t>(q.scales().size());
  if (granules == 0 || scheme.granularity() == Granularity::tensor()) return scheme;
  if (common_scale(q, 0, granules)) return scheme.with(Granularity::tensor());
  return has_one_a_row(q) ? scheme.with(Granularity::row()) : scheme;
}

QuantizedTensor narrowed(const QuantizedTensor& q, const Scheme& scheme) {
  Tensor codes(DType::i8, q.shape());
  if (q.elements() > 0) std::memcpy(codes.bytes().data(), q.codes().data(), q.codes().size());
  Tensor scales(DType::f32, scales_shape(q.shape(), scheme.granularity()));
  const std::span<float> made = scales.data<float>();
  const std::size_t of_each = made.empty() ? 0 : q.scales().size() / made.size();
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto first = static_cast<std::int64_t>(i * of_each);
    made[i] = common_scale(q, first, first + static_cast<std::int64_t>(of_each)).value_or(0);
  }
  return {scheme, q.dtype(), q.shape(), std::move(codes), std::move(scales)};
}

}  // namespace bnq::detail
