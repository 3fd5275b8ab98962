#include "layout/held_scales.h"

#include "core/elements.h"
#include "core/fail.h"
#include "core/float16.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace bnq::detail {
namespace {

using Kind = Granularity::Kind;

/// Where cells and granules lie. Both are runs of neighbours, and no cell reaches over the end of a granule.
class Runs {
 public:
  Runs(const Granularity& cell, const Granularity& granularity, const Shape& shape)
      : granularity_(granularity), depth_(shape.back()), cells_(granule_count(shape, cell)) {
    if (cells_ > 0) elems_ = element_count(shape) / cells_;
    if (granularity_.kind == Kind::group) groups_a_row_ = (depth_ - 1) / granularity_.group_size + 1;
  }

  [[nodiscard]] std::int64_t cells() const { return cells_; }
  [[nodiscard]] std::int64_t first_element(std::int64_t cell) const { return cell * elems_; }

  [[nodiscard]] std::int64_t granule_of(std::int64_t cell) const {
    if (granularity_.kind == Kind::tensor) return 0;
    const std::int64_t element = first_element(cell);
    if (granularity_.kind == Kind::row) return element / depth_;
    return element / depth_ * groups_a_row_ + element % depth_ / granularity_.group_size;
  }

  [[nodiscard]] bool all_zero(std::span<const std::int8_t> codes, std::int64_t cell) const {
    const auto own = codes.subspan(static_cast<std::size_t>(first_element(cell)), static_cast<std::size_t>(elems_));
    return std::ranges::all_of(own, [](std::int8_t code) { return code == 0; });
  }

 private:
  Granularity granularity_;
  std::int64_t depth_;
  std::int64_t cells_;
  std::int64_t elems_ = 0;  ///< of a cell
  std::int64_t groups_a_row_ = 1;
};

float rounded_to(DType dtype, float scale) { return dtype == DType::f16 ? f16_to_f32(f32_to_f16(scale)) : scale; }

bool fits(float stored, float scale) { return std::isfinite(stored) && (stored > 0 || scale == 0); }

std::string number(float value) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
  return text.data();
}

[[noreturn]] void refuse_scale(const QuantizedTensor& q, const Layout& layout, std::int64_t element, float scale) {
  fail(ErrorKind::unsupported, {.where = "pack " + std::string(layout.name()),
                                .what = "a scale that " + std::string(name(layout.row().held_scales->dtype)) +
                                        " cannot hold, from " + index_text(q.shape(), element) + " on",
                                .got = number(scale),
                                .need = "2^-25 < scale < 65520",
                                .cure = "take a layout with float32 scales, such as i8"});
}

std::string where_of(const ReadCells& cells) { return "unpack " + std::string(cells.layout.name()); }

void require_scale(const ReadCells& cells, float scale, std::int64_t element) {
  if (std::isfinite(scale) && scale >= 0) return;
  fail(ErrorKind::bad_content,
       {.where = where_of(cells),
        .what = "the bytes hold no scale for the codes from " + index_text(cells.shape, element) + " on",
        .got = number(scale),
        .need = "a finite number, 0 or more",
        .cure = "the bytes are damaged, or of another layout"});
}

[[noreturn]] void refuse_cells(const ReadCells& cells, std::int64_t element, float got, float need) {
  const Granularity& cell = cells.layout.row().held_scales->cell;
  fail(ErrorKind::bad_content,
       {.where = where_of(cells),
        .what = "more than one scale where " + cells.scheme.granularity().to_string() + " has one",
        .got = number(got) + " from " + index_text(cells.shape, element) + " on",
        .need = number(need) + ", as before it",
        .cure = "read it as " + cells.scheme.with(cell).to_string()});
}

}  // namespace

std::string held_scales_refusal(const Granularity& cell, const Granularity& granularity, const Shape& shape) {
  const std::int64_t depth = shape.back();
  const bool one_a_row =
      granularity.kind == Kind::row || (granularity.kind == Kind::group && granularity.group_size >= depth);
  if (granularity.kind == Kind::tensor) return {};
  if (cell.kind == Kind::tensor) return "has one scale, " + granularity.to_string() + " needs more";
  if (one_a_row) return {};
  if (cell.kind == Kind::row) return "has one scale a row, " + granularity.to_string() + " needs more";
  const std::string size = std::to_string(cell.group_size);
  if (granularity.group_size % cell.group_size == 0) return {};
  return "has one scale for " + size + " codes, and " + granularity.to_string() + " is no multiple of " + size;
}

StoredScales scales_to_store(const QuantizedTensor& q, const Layout& layout) {
  const HeldScales& held = *layout.row().held_scales;
  const Runs runs(held.cell, q.scheme().granularity(), q.shape());
  StoredScales stored{.values = std::vector<float>(static_cast<std::size_t>(runs.cells()))};
  for (std::int64_t i = 0; i < runs.cells(); ++i) {
    const float scale = q.scales()[static_cast<std::size_t>(runs.granule_of(i))];
    float& value = stored.values[static_cast<std::size_t>(i)];
    value = rounded_to(held.dtype, scale);
    if (value == scale) continue;
    if (runs.all_zero(q.codes(), i)) {
      if (!fits(value, scale)) value = 0;
      continue;
    }
    if (!fits(value, scale)) refuse_scale(q, layout, runs.first_element(i), scale);
    const double error = std::fabs(static_cast<double>(value) - static_cast<double>(scale));
    stored.worst_error = std::max(stored.worst_error, error / static_cast<double>(scale));
  }
  return stored;
}

Tensor granule_scales(const ReadCells& cells) {
  const Granularity& granularity = cells.scheme.granularity();
  const Runs runs(cells.layout.row().held_scales->cell, granularity, cells.shape);
  Tensor made(DType::f32, scales_shape(cells.shape, granularity));
  const std::span<float> scales = made.data<float>();
  std::int64_t granule = -1;
  bool is_known = false;  // from a cell that has a code other than 0
  for (std::int64_t i = 0; i < runs.cells(); ++i) {
    const float stored = cells.scales[static_cast<std::size_t>(i)];
    require_scale(cells, stored, runs.first_element(i));
    const bool is_first = runs.granule_of(i) != granule;
    granule = runs.granule_of(i);
    float& scale = scales[static_cast<std::size_t>(granule)];
    if (is_first) scale = stored;
    is_known = is_known && !is_first;
    if ((is_known && scale == stored) || runs.all_zero(cells.codes, i)) continue;
    if (is_known) refuse_cells(cells, runs.first_element(i), stored, scale);
    scale = stored;
    is_known = true;
  }
  return made;
}

}  // namespace bnq::detail
