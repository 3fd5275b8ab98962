#include <bnq/linear.h>

#include "core/checked.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "kernels/registry.h"
#include "linear/tokens.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

namespace bnq {

/// Everything a forward pass reads; never written after the constructor.
struct Linear::State {
  Scheme scheme;
  std::int64_t outputs = 0;
  std::int64_t depth = 0;
  std::int64_t groups = 0;
  std::int64_t group_size = 0;
  std::int64_t scale_stride = 0;
  std::vector<std::int8_t> codes = {};
  std::vector<float> scales = {};
  std::vector<float> bias = {};
  detail::Choice choice;
};

namespace {

constexpr const char* where = "Linear";
constexpr std::int64_t outputs_a_call = 256;  // their sums fit on the stack
constexpr std::int64_t products_a_thread = 1 << 20;

void require_two_axes(const Shape& shape) {
  if (shape.size() == 2) return;
  detail::fail(ErrorKind::unsupported, {.where = where,
                                        .what = "the weight has another number of axes",
                                        .got = to_string(shape),
                                        .need = "[outputs, depth]",
                                        .cure = "reshape it"});
}

/// |acc| <= group_size * 128 * max |code| has to fit in int32.
void require_exact_sums(const Scheme& scheme, std::int64_t group_size) {
  const std::int64_t largest_product = 128LL * std::max(std::abs(scheme.min_code()), scheme.max_code());
  const std::int64_t limit = std::numeric_limits<std::int32_t>::max() / largest_product;
  if (group_size <= limit) return;
  detail::fail(ErrorKind::unsupported, {.where = where,
                                        .what = "sums over this depth would not fit in int32",
                                        .got = std::to_string(group_size) + " codes a sum",
                                        .need = std::to_string(limit) + " or fewer with " + scheme.to_string(),
                                        .cure = "quantize with group(n)"});
}

void require_bias(std::span<const float> bias, std::int64_t outputs) {
  if (bias.empty()) return;
  if (static_cast<std::int64_t>(bias.size()) != outputs) {
    detail::fail(ErrorKind::invalid_argument, {.where = where,
                                               .what = "bias of another length",
                                               .got = std::to_string(bias.size()),
                                               .need = std::to_string(outputs)});
  }
  const auto bad = std::ranges::find_if(bias, [](float b) { return !std::isfinite(b); });
  if (bad == bias.end()) return;
  detail::fail(ErrorKind::invalid_argument,
               {.where = where,
                .what = "bias is not finite",
                .got = std::to_string(*bad) + " at [" + std::to_string(bad - bias.begin()) + "]"});
}

Shape output_shape(const Shape& x, std::int64_t outputs) {
  Shape y = x;
  y.back() = outputs;
  return y;
}

void require_shapes(const TensorView& x, const MutableTensorView& y, std::int64_t outputs, std::int64_t depth) {
  detail::require_quantizable("Linear.forward", x.dtype());
  if (x.shape().empty() || x.depth() != depth) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                               .what = "x has another depth",
                                               .got = to_string(x.shape()),
                                               .need = "[..., " + std::to_string(depth) + "]"});
  }
  const Shape need = output_shape(x.shape(), outputs);
  if (y.shape() != need || y.dtype() != x.dtype()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                               .what = "y does not fit x",
                                               .got = std::string(name(y.dtype())) + " " + to_string(y.shape()),
                                               .need = std::string(name(x.dtype())) + " " + to_string(need)});
  }
}

}  // namespace

Linear::Linear(const QuantizedTensor& weight, std::span<const float> bias) {
  require_two_axes(weight.shape());
  require_bias(bias, weight.rows());
  State s{.scheme = weight.scheme(), .choice = detail::choose_kernel(active_isa())};
  s.outputs = weight.rows();
  s.depth = weight.depth();
  const Granularity& granularity = s.scheme.granularity();
  const bool by_group = granularity.kind == Granularity::Kind::group;
  s.group_size = by_group ? std::min(granularity.group_size, s.depth) : s.depth;
  s.groups = s.depth == 0 ? 0 : detail::ceil_div(s.depth, s.group_size);
  s.scale_stride = granularity.kind == Granularity::Kind::tensor ? 0 : s.groups;
  require_exact_sums(s.scheme, s.group_size);
  s.codes.assign(weight.codes().begin(), weight.codes().end());
  s.scales.assign(weight.scales().begin(), weight.scales().end());
  s.bias.assign(bias.begin(), bias.end());
  state_ = std::make_unique<const State>(std::move(s));
}

Linear::Linear(const PackedTensor& weight, std::span<const float> bias) : Linear(unpack(weight), bias) {}

Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

std::int64_t Linear::in_features() const noexcept { return state_->depth; }
std::int64_t Linear::out_features() const noexcept { return state_->outputs; }

std::size_t Linear::scratch_bytes(std::int64_t tokens) const { return detail::token_bytes(tokens, state_->depth); }

void Linear::forward(const TensorView& x, const MutableTensorView& y, std::span<std::byte> scratch) const {
  const State& s = *state_;
  require_shapes(x, y, s.outputs, s.depth);
  const std::int64_t tokens = x.rows();
  if (scratch.size() < scratch_bytes(tokens)) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                               .what = "the scratch is too small",
                                               .got = std::to_string(scratch.size()) + " bytes",
                                               .need = std::to_string(scratch_bytes(tokens))});
  }
  if (y.elements() == 0) return;
  const detail::Tokens codes = detail::quantize_tokens(x, scratch);
  const std::int64_t calls = detail::ceil_div(s.outputs, outputs_a_call);
  const std::int64_t grain = products_a_thread / std::max<std::int64_t>(1, s.depth * outputs_a_call);
  auto* const out = static_cast<std::byte*>(y.data());
  detail::parallel_for(tokens * calls, grain, [&](std::int64_t begin, std::int64_t end) {
    std::array<float, outputs_a_call> sums;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t token = i / calls;
      const std::int64_t first = i % calls * outputs_a_call;
      const std::int64_t last = std::min(first + outputs_a_call, s.outputs);
      s.choice.kernel->run({.activations = codes.codes + token * s.depth,
                            .activation_scale = codes.scale(token),
                            .weights = s.codes.data(),
                            .weight_scales = s.scales.data(),
                            .scale_stride = s.scale_stride,
                            .groups = s.groups,
                            .group_size = s.group_size,
                            .depth = s.depth,
                            .bias = s.bias.empty() ? nullptr : s.bias.data(),
                            .first_output = first,
                            .last_output = last,
                            .y = sums.data()});
      const auto at = static_cast<std::size_t>(token * s.outputs + first) * size_bytes(y.dtype());
      detail::write_elements(std::span(sums).first(static_cast<std::size_t>(last - first)), y.dtype(), out + at);
    }
  });
}

std::string Linear::explain() const {
  const State& s = *state_;
  std::string text = "Linear [" + std::to_string(s.outputs) + ", " + std::to_string(s.depth) + "] " +
                     s.scheme.to_string() + " x int8 activations\n  kernel: " + s.choice.kernel->name() +
                     ", exact int32 sums\n  instruction set: " + std::string(name(s.choice.kernel->isa)) + "\n";
  for (const detail::PassedOver& other : s.choice.passed_over) {
    text += "  passed over: " + other.kernel->name() + ", " + other.why + "\n";
  }
  if (s.choice.passed_over.empty()) text += "  passed over: none; this is the best kernel compiled in\n";
  return text;
}

}  // namespace bnq
