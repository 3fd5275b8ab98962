#include <bnq/linear.h>

#include "core/checked.h"
#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "kernels/registry.h"
#include "linear/tile.h"
#include "linear/tokens.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

namespace bnq {

/// Everything a forward pass reads; never written after the constructor.
struct Linear::State {
  Scheme scheme;
  const detail::RowKernels& rows;  ///< quantize the activations
  detail::Choice choice;
  detail::Tile tile;
  std::string layout = {};  ///< that the weights were unpacked from, if they were
};

namespace {

constexpr const char* where = "Linear";
constexpr std::int64_t products_a_thread = 1 << 19;
constexpr std::size_t line_bytes = 64;

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

/// Codes of the longest sum: a group, or the whole depth.
std::int64_t sum_length(const Scheme& scheme, std::int64_t depth) {
  const Granularity& granularity = scheme.granularity();
  return granularity.kind == Granularity::Kind::group ? std::min(granularity.group_size, depth) : depth;
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

/// Is `y` the shape of `x` with `outputs` for its last extent?
bool fits(const Shape& x, const Shape& y, std::int64_t outputs) {
  return y.size() == x.size() && y.back() == outputs && std::equal(x.begin(), x.end() - 1, y.begin());
}

void require_shapes(const TensorView& x, const MutableTensorView& y, std::int64_t outputs, std::int64_t depth) {
  detail::require_quantizable("Linear.forward", x.dtype());
  if (x.shape().empty() || x.depth() != depth) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                               .what = "x has another depth",
                                               .got = to_string(x.shape()),
                                               .need = "[..., " + std::to_string(depth) + "]"});
  }
  if (fits(x.shape(), y.shape(), outputs) && y.dtype() == x.dtype()) return;
  Shape need = x.shape();
  need.back() = outputs;
  detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                             .what = "y does not fit x",
                                             .got = std::string(name(y.dtype())) + " " + to_string(y.shape()),
                                             .need = std::string(name(x.dtype())) + " " + to_string(need)});
}

/// A multiple of a cache line, so that each thread's piece is aligned as the first is.
std::size_t workspace_bytes(const detail::Kernel& kernel, std::int64_t tokens, const detail::Tile& tile) {
  const std::size_t bytes = kernel.workspace_bytes(tokens, tile.view());
  return detail::ceil_div(bytes, line_bytes) * line_bytes;
}

/// Into how many parts the outputs are cut: one a thread, as far as that pays and there are panels.
std::int64_t parts_of(std::int64_t tokens, const detail::Tile& tile) {
  const std::int64_t panels = std::max<std::int64_t>(1, tile.panels());
  const double products = static_cast<double>(tokens) * static_cast<double>(tile.view().outputs) *
                          static_cast<double>(std::max<std::int64_t>(1, tile.depth()));
  const double worth = std::max(1.0, products / static_cast<double>(products_a_thread));
  const std::int64_t most = std::min<std::int64_t>(panels, num_threads());
  return worth < static_cast<double>(most) ? static_cast<std::int64_t>(worth) : most;
}

/// What explain() says of memory.
std::string memory_text(const detail::Tile& tile, const char* layout) {
  const std::string own = "  memory: " + std::to_string(tile.own_nbytes()) + " bytes of its own";
  if (layout == nullptr) return own + ", the weights in the kernel's order\n";
  return own + "; it reads " + std::to_string(tile.nbytes() - tile.own_nbytes()) +
         " bytes of the packed tensor where they lie (" + layout + ")\n";
}

/// Throws what the constructors do. `layout` is that of the weights, or empty where they are not packed.
detail::Choice choose(const Scheme& scheme, const Shape& shape, std::span<const float> bias, std::string_view layout) {
  require_two_axes(shape);
  require_bias(bias, shape[0]);
  const std::int64_t group_size = sum_length(scheme, shape[1]);
  require_exact_sums(scheme, group_size);
  return detail::choose_kernel(active_isa(), {.min_code = scheme.min_code(),
                                              .max_code = scheme.max_code(),
                                              .group_size = group_size,
                                              .groups = group_size == 0 ? 0 : detail::ceil_div(shape[1], group_size),
                                              .layout = layout});
}

}  // namespace

Linear::Linear(const QuantizedTensor& weight, std::span<const float> bias) {
  const detail::Choice choice = choose(weight.scheme(), weight.shape(), bias, {});
  state_ = std::make_unique<const State>(State{
      weight.scheme(), detail::row_kernels(active_isa()), choice, detail::Tile(choice.kernel->tile, weight, bias), {}});
}

Linear::Linear(const PackedTensor& weight, std::span<const float> bias) {
  const detail::Choice choice = choose(weight.scheme(), weight.shape(), bias, weight.layout().name());
  const detail::TileForm& form = choice.kernel->tile;
  const bool in_place = form.layout != nullptr;
  state_ = std::make_unique<const State>(
      State{weight.scheme(), detail::row_kernels(active_isa()), choice,
            in_place ? detail::Tile(form, weight, bias) : detail::Tile(form, unpack(weight), bias),
            in_place ? std::string() : std::string(weight.layout().name())});
}

Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

std::int64_t Linear::in_features() const noexcept { return state_->tile.depth(); }
std::int64_t Linear::out_features() const noexcept { return state_->tile.view().outputs; }

std::size_t Linear::scratch_bytes(std::int64_t tokens) const {
  const State& s = *state_;
  const std::size_t token_bytes = detail::token_bytes(tokens, s.tile);  // throws before anything is made of `tokens`
  const std::size_t workspace = workspace_bytes(*s.choice.kernel, tokens, s.tile);
  return token_bytes + static_cast<std::size_t>(parts_of(tokens, s.tile)) * workspace;
}

void Linear::forward(const TensorView& x, const MutableTensorView& y, std::span<std::byte> scratch) const {
  const State& s = *state_;
  const detail::Kernel& kernel = *s.choice.kernel;
  require_shapes(x, y, out_features(), in_features());
  const std::int64_t tokens = x.rows();
  const std::size_t token_bytes = detail::token_bytes(tokens, s.tile);
  const std::size_t workspace = workspace_bytes(kernel, tokens, s.tile);
  // With less scratch than for all threads, fewer work; the result is the same.
  if (scratch.size() < token_bytes + workspace) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Linear.forward",
                                               .what = "the scratch is too small",
                                               .got = std::to_string(scratch.size()) + " bytes",
                                               .need = std::to_string(scratch_bytes(tokens))});
  }
  if (y.elements() == 0) return;
  std::int64_t parts = parts_of(tokens, s.tile);
  if (workspace > 0) parts = std::min(parts, static_cast<std::int64_t>((scratch.size() - token_bytes) / workspace));
  const detail::Tokens codes = detail::quantize_tokens(x, s.tile, {s.rows, kernel.activation_xor}, scratch);
  const std::int64_t panels = s.tile.panels();
  detail::parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part) {
      kernel.run({.activations = codes.codes,
                  .activation_scales = codes.scales,
                  .activation_sums = codes.sums,
                  .tokens = tokens,
                  .tile = s.tile.view(),
                  .first_panel = panels * part / parts,
                  .last_panel = panels * (part + 1) / parts,
                  .y = y.data(),
                  .y_dtype = y.dtype(),
                  .workspace = codes.workspace + static_cast<std::size_t>(part) * workspace});
    }
  });
}

std::size_t Linear::nbytes() const noexcept { return state_->tile.nbytes(); }
std::size_t Linear::own_nbytes() const noexcept { return state_->tile.own_nbytes(); }

std::string Linear::explain() const {
  const State& s = *state_;
  std::string text = "Linear [" + std::to_string(out_features()) + ", " + std::to_string(in_features()) + "] " +
                     s.scheme.to_string() + " x int8 activations\n  kernel: " + s.choice.kernel->name() +
                     ", exact int32 sums\n  instruction set: " + std::string(name(s.choice.kernel->isa)) + "\n" +
                     memory_text(s.tile, s.choice.kernel->tile.layout);
  if (!s.layout.empty()) text += "  weights: unpacked from " + s.layout + ", then put in the order of the kernel\n";
  for (const detail::PassedOver& other : s.choice.passed_over) {
    text += "  passed over: " + other.kernel->name() + ", " + other.why + "\n";
  }
  if (s.choice.passed_over.empty()) text += "  passed over: none; this is the best kernel compiled in\n";
  return text;
}

}  // namespace bnq
