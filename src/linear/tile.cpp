#include "linear/tile.h"

#include "core/checked.h"
#include "core/memory/memory.h"
#include "core/parallel.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <numeric>

namespace bnq::detail {
namespace {

constexpr std::int64_t outputs_a_thread = 64;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) { return ceil_div(value, multiple) * multiple; }

/// One output's place in a panel.
struct Line {
  std::byte* panel;
  std::int64_t output;      ///< in the panel
  std::int64_t step_bytes;  ///< from one step of the depth to the next

  void put_t8(std::int64_t k, std::int8_t code) const {
    panel[k / 4 * step_bytes + 4 * output + k % 4] = static_cast<std::byte>(code);
  }

  void put_t2(std::int64_t k, std::int8_t code) const {
    const auto field = static_cast<unsigned>(code + 1) << static_cast<unsigned>(k % 16 / 4 * 2);
    panel[k / 16 * step_bytes + 4 * output + k % 4] |= static_cast<std::byte>(field);
  }

  void put(TileKind kind, std::int64_t k, std::int8_t code) const {
    if (kind == TileKind::t2) return put_t2(k, code);
    if (kind == TileKind::t8) return put_t8(k, code);
    panel[k] = static_cast<std::byte>(code);
  }
};

/// Bytes of a step of the depth: 4 for each output of a panel, padding included; one where a panel is a row.
std::int64_t bytes_a_step(const TileForm& form, std::int64_t outputs) {
  return form.kind == TileKind::rows ? 1 : 4 * round_up(std::min(outputs, form.panel_outputs), vector_outputs);
}

/// Where an output's scales, sums and bias stand.
struct Slot {
  std::int64_t panel;
  std::int64_t inside;
};

Slot slot_of(const TileForm& form, std::int64_t outputs, std::int64_t n) {
  if (form.kind != TileKind::u2_hf) return {n / form.panel_outputs, n % form.panel_outputs};
  const std::int64_t quarter = outputs / 4;
  const std::int64_t byte_row = n % quarter;
  return {byte_row / vector_outputs, n / quarter * vector_outputs + byte_row % vector_outputs};
}

}  // namespace

Tile::Tile(const TileForm& form, const Scheme& scheme, const Shape& shape)
    : depth_(shape[1]), group_size_(depth_), panels_(ceil_div(shape[0], form.panel_outputs)) {
  const Granularity& granularity = scheme.granularity();
  if (granularity.kind == Granularity::Kind::group) group_size_ = std::min(granularity.group_size, depth_);
  view_.outputs = shape[0];
  view_.groups = depth_ == 0 ? 0 : ceil_div(depth_, group_size_);
  view_.group_stride = round_up(group_size_, form.depth_multiple);
  view_.depth = depth_;
  view_.group_size = group_size_;
}

Tile::Tile(const TileForm& form, const QuantizedTensor& weight, std::span<const float> bias)
    : Tile(form, weight.scheme(), weight.shape()) {
  place_codes(form, weight);
  place_scales(form, weight.scales(), bias);
}

Tile::Tile(const TileForm& form, const PackedTensor& weight, std::span<const float> bias)
    : Tile(form, weight.scheme(), weight.shape()) {
  // What is wrong is said as everywhere else: by unpacking.
  if (!weight.layout().row().has_codes_of(weight.scheme(), weight.data())) (void)unpack(weight);
  codes_ = weight.owner();
  view_.codes = weight.data().data();
  shared_bytes_ = weight.data().size();
  if (form.kind == TileKind::i8) sum_rows(form);
  place_scales(form, weight.scales(), bias);
}

void Tile::place_codes(const TileForm& form, const QuantizedTensor& weight) {
  const std::int64_t steps = padded_depth() / form.depth_multiple;
  view_.panel_bytes = steps * bytes_a_step(form, form.panel_outputs);
  const std::int64_t last_outputs = view_.outputs - (panels_ - 1) * form.panel_outputs;
  const std::int64_t bytes =
      panels_ == 0 ? 0 : (panels_ - 1) * view_.panel_bytes + steps * bytes_a_step(form, last_outputs);
  code_bytes_ = static_cast<std::size_t>(bytes);
  const std::shared_ptr<std::byte> memory = zeroed_memory(code_bytes_);
  codes_ = memory;
  view_.codes = memory.get();
  sums_.resize(static_cast<std::size_t>(panels_ * view_.groups * form.panel_outputs));
  view_.sums = sums_.data();
  parallel_for(view_.outputs, outputs_a_thread, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) {
      const auto [panel, inside] = slot_of(form, view_.outputs, n);
      const Line line{memory.get() + panel * view_.panel_bytes, inside,
                      bytes_a_step(form, view_.outputs - panel * form.panel_outputs)};
      const std::int8_t* const codes = weight.codes().data() + n * depth_;
      for (std::int64_t g = 0; g < view_.groups; ++g) {
        const std::int64_t begin = g * group_size_;
        const std::int64_t size = std::min(group_size_, depth_ - begin);
        std::int32_t sum = 0;
        for (std::int64_t k = 0; k < size; ++k) {
          sum += codes[begin + k];
          line.put(form.kind, g * view_.group_stride + k, codes[begin + k]);
        }
        sums_[static_cast<std::size_t>((panel * view_.groups + g) * form.panel_outputs + inside)] = sum;
      }
    }
  });
}

void Tile::sum_rows(const TileForm& form) {
  sums_.resize(static_cast<std::size_t>(panels_ * view_.groups * form.panel_outputs));
  view_.sums = sums_.data();
  const auto* const codes = reinterpret_cast<const std::int8_t*>(view_.codes);
  parallel_for(view_.outputs, outputs_a_thread, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) {
      const auto [panel, inside] = slot_of(form, view_.outputs, n);
      for (std::int64_t g = 0; g < view_.groups; ++g) {
        const std::int8_t* const group = codes + n * depth_ + g * group_size_;
        const std::int64_t size = std::min(group_size_, depth_ - g * group_size_);
        sums_[static_cast<std::size_t>((panel * view_.groups + g) * form.panel_outputs + inside)] =
            std::accumulate(group, group + size, std::int32_t{0});
      }
    }
  });
}

void Tile::place_scales(const TileForm& form, std::span<const float> scales, std::span<const float> bias) {
  scales_.resize(static_cast<std::size_t>(panels_ * view_.groups * form.panel_outputs));
  if (!bias.empty()) bias_.resize(static_cast<std::size_t>(panels_ * form.panel_outputs));
  const bool one_scale = scales.size() == 1;
  for (std::int64_t n = 0; n < view_.outputs; ++n) {
    const auto [panel, inside] = slot_of(form, view_.outputs, n);
    for (std::int64_t g = 0; g < view_.groups; ++g) {
      scales_[static_cast<std::size_t>((panel * view_.groups + g) * form.panel_outputs + inside)] =
          scales[static_cast<std::size_t>(one_scale ? 0 : n * view_.groups + g)];
    }
    if (bias.empty()) continue;
    bias_[static_cast<std::size_t>(panel * form.panel_outputs + inside)] = bias[static_cast<std::size_t>(n)];
  }
  view_.scales = scales_.data();
  view_.bias = bias.empty() ? nullptr : bias_.data();
}

}  // namespace bnq::detail
