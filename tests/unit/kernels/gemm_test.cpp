// Every compiled matrix kernel against the scalar one, bit for bit, over random sizes and at the limits of the
// contract. All buffers lie flush against a page that may not be touched, on one side or the other.

#include "kernels/registry.h"
#include "linear/tile.h"

#include "support/guarded_buffer.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <bnq/cpu.h>
#include <bnq/layout.h>
#include <bnq/quantized_tensor.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace bnq::test {
namespace {

using detail::Kernel;
using Guard = GuardedBuffer::Guard;

/// A layer and its tokens, as codes.
struct Problem {
  QuantizedTensor weight;
  std::vector<float> bias;
  std::vector<std::int8_t> activations;  ///< [tokens, depth]
  std::vector<float> activation_scales;
  DType y_dtype;
  Guard guard;

  [[nodiscard]] std::int64_t tokens() const { return static_cast<std::int64_t>(activation_scales.size()); }

  [[nodiscard]] std::string describe() const {
    return "tokens " + std::to_string(tokens()) + ", weight " + to_string(weight.shape()) + " " +
           weight.scheme().to_string() + ", y " + std::string(name(y_dtype)) + (bias.empty() ? "" : ", bias");
  }
};

detail::GemmProblem limits_of(const Problem& p, std::string_view layout) {
  const Granularity& granularity = p.weight.scheme().granularity();
  const bool by_group = granularity.kind == Granularity::Kind::group;
  return {.min_code = p.weight.scheme().min_code(),
          .max_code = p.weight.scheme().max_code(),
          .group_size = by_group ? std::min(granularity.group_size, p.weight.depth()) : p.weight.depth(),
          .groups = by_group ? (p.weight.depth() + granularity.group_size - 1) / granularity.group_size : 1,
          .layout = layout};
}

/// Kernels that this machine runs and that do not refuse the problem, packed as each of them wants it.
std::vector<const Kernel*> kernels_for(const Problem& p) {
  const std::vector<Isa> isas = available_isas();
  std::vector<const Kernel*> kernels;
  for (const Kernel* kernel : detail::all_kernels()) {
    const bool runs = std::ranges::find(isas, kernel->isa) != isas.end();
    const std::string_view layout = kernel->tile.layout == nullptr ? "" : kernel->tile.layout;
    if (!layout.empty() && !Layout::parse(layout).refusal(p.weight.scheme(), p.weight.shape()).empty()) continue;
    if (runs && kernel->refusal(limits_of(p, layout)) == nullptr) kernels.push_back(kernel);
  }
  return kernels;
}

/// The activations in the order of a tile, written from the picture in kernels/kernel.h.
struct Activations {
  GuardedBuffer codes;
  std::vector<std::int32_t> sums;

  Activations(const Problem& p, const detail::Tile& tile, std::uint8_t flip)
      : codes(static_cast<std::size_t>(p.tokens() * tile.padded_depth()), p.guard) {
    const std::int64_t depth = p.weight.depth();
    auto* at = reinterpret_cast<std::int8_t*>(codes.data());
    for (std::int64_t token = 0; token < p.tokens(); ++token) {
      for (std::int64_t g = 0; g < tile.view().groups; ++g) {
        std::int32_t sum = 0;
        for (std::int64_t k = 0; k < tile.view().group_stride; ++k) {
          const std::int64_t from = g * tile.group_size() + k;
          const bool real = k < tile.group_size() && from < depth;
          const std::int8_t code =
              real ? p.activations[static_cast<std::size_t>(token * depth + from)] : std::int8_t{0};
          sum += code;
          *at++ = static_cast<std::int8_t>(code ^ static_cast<std::int8_t>(flip));
        }
        sums.push_back(sum);
      }
    }
  }
};

/// The weights in the order of a kernel. Packed bytes that it reads as they lie are guarded.
struct Weights {
  std::optional<GuardedBuffer> packed;
  detail::Tile tile;

  Weights(const Kernel& kernel, const Problem& p) : tile(tile_of(kernel, p)) {}

  detail::Tile tile_of(const Kernel& kernel, const Problem& p) {
    if (kernel.tile.layout == nullptr) return {kernel.tile, p.weight, p.bias};
    const PackedTensor bytes = pack(p.weight, Layout::parse(kernel.tile.layout));
    packed.emplace(bytes.data().size(), p.guard).assign(bytes.data());
    Tensor scales(DType::f32, scales_shape(p.weight.shape(), p.weight.scheme().granularity()));
    std::ranges::copy(bytes.scales(), scales.data<float>().begin());
    const PackedTensor guarded(bytes.layout(), bytes.scheme(), bytes.dtype(), bytes.shape(), packed->bytes(), nullptr,
                               std::move(scales));
    return {kernel.tile, guarded, p.bias};
  }
};

std::vector<std::byte> run(const Kernel& kernel, const Problem& p) {
  const Weights weights(kernel, p);
  const detail::Tile& tile = weights.tile;
  Activations activations(p, tile, kernel.activation_xor);
  GuardedBuffer y(static_cast<std::size_t>(p.tokens() * p.weight.rows()) * size_bytes(p.y_dtype), p.guard);
  std::memset(y.data(), 0xA5, y.bytes().size());
  const std::size_t workspace_bytes = (kernel.workspace_bytes(p.tokens(), tile.view()) + 63) / 64 * 64;
  GuardedBuffer workspace(workspace_bytes, p.guard);  // a page ends at a multiple of 64
  std::memset(workspace.data(), 0xA5, workspace_bytes);
  const std::int64_t middle = tile.panels() / 2;  // in two calls, as two threads would
  for (const auto& [first, last] : {std::pair{middle, tile.panels()}, std::pair{std::int64_t{0}, middle}}) {
    kernel.run({.activations = reinterpret_cast<const std::int8_t*>(activations.codes.data()),
                .activation_scales = p.activation_scales.data(),
                .activation_sums = activations.sums.data(),
                .tokens = p.tokens(),
                .tile = tile.view(),
                .first_panel = first,
                .last_panel = last,
                .y = y.data(),
                .y_dtype = p.y_dtype,
                .workspace = workspace.data()});
  }
  return {y.bytes().begin(), y.bytes().end()};
}

Scheme random_scheme(Random& random) {
  const char* const rules[] = {"8", "7", "4", "2", "ternary", "ternary", "binary", "int8-token"};
  const Scheme scheme = Scheme::parse(rules[random.integer(0, 7)]);
  const std::int64_t kind = random.integer(0, 3);
  if (kind == 0) return scheme.with(Granularity::tensor());
  if (kind == 1) return scheme.with(Granularity::row());
  return scheme.with(Granularity::group(random.integer(0, 7) == 0 ? random.integer(256, 400) : random.integer(1, 70)));
}

/// Any float, NaN aside: zeros, subnormals and huge ones too.
float random_scale(Random& random) {
  if (random.integer(0, 15) == 0) return 0;
  return static_cast<float>(std::ldexp(1 + random.unit(), static_cast<int>(random.integer(-140, 120))));
}

std::int8_t random_code(Random& random, int low, int high) {
  const std::int64_t kind = random.integer(0, 7);
  const std::int64_t code = kind == 0 ? low : kind == 1 ? high : random.integer(low, high);
  return static_cast<std::int8_t>(code);
}

QuantizedTensor random_weight(Random& random, const Scheme& scheme, const Shape& shape) {
  Tensor codes(DType::i8, shape);
  for (std::int8_t& code : codes.data<std::int8_t>()) {
    do code = random_code(random, scheme.min_code(), scheme.max_code());
    while (!scheme.holds(code));
  }
  Tensor scales(DType::f32, scales_shape(shape, scheme.granularity()));
  for (float& scale : scales.data<float>()) scale = random_scale(random);
  return {scheme, DType::f32, shape, std::move(codes), std::move(scales)};
}

Problem random_problem(Random& random) {
  const bool wide = random.integer(0, 15) == 0;
  const std::int64_t tokens = random.integer(0, 31) == 0 ? random.integer(48, 70) : random.integer(1, 14);
  const std::int64_t quarter = random.integer(1, wide ? 50 : 10);
  const std::int64_t outputs = random.coin() ? 4 * quarter : 4 * quarter - random.integer(1, 3);
  const std::int64_t depth = random.integer(1, random.integer(0, 15) == 0 ? 900 : 60);
  Problem p{.weight = random_weight(random, random_scheme(random), {outputs, depth}),
            .bias = {},
            .activations = std::vector<std::int8_t>(static_cast<std::size_t>(tokens * depth)),
            .activation_scales = std::vector<float>(static_cast<std::size_t>(tokens)),
            .y_dtype = random.coin()   ? DType::f32
                       : random.coin() ? DType::f16
                                       : DType::bf16,
            .guard = random.coin() ? Guard::before : Guard::behind};
  for (std::int8_t& code : p.activations) code = random_code(random, -128, 127);
  for (float& scale : p.activation_scales) {
    scale = random.integer(0, 15) == 0 ? std::nanf("")
                                       : static_cast<float>(std::ldexp(1, static_cast<int>(random.integer(-20, 20))));
  }
  if (random.coin()) p.bias.assign(static_cast<std::size_t>(outputs), -0.0F);
  for (float& b : p.bias) b = random.integer(0, 7) == 0 ? -0.0F : static_cast<float>(random.uniform(-4, 4));
  return p;
}

/// Compares each kernel with the scalar one; returns how many were.
std::int64_t compare(const Problem& p) {
  const std::vector<const Kernel*> kernels = kernels_for(p);
  const std::vector<std::byte> want = run(*kernels.back(), p);
  for (const Kernel* kernel : kernels) {
    if (kernel == kernels.back()) continue;
    EXPECT_TRUE(run(*kernel, p) == want) << kernel->name() << ": " << p.describe();
  }
  return static_cast<std::int64_t>(kernels.size()) - 1;
}

TEST(Gemm, EveryKernelEqualsScalar) {
  Random random(31);
  std::int64_t compared = 0;
  const std::int64_t problems = scaled(40'000);
  for (std::int64_t i = 0; i < problems; ++i) {
    SCOPED_TRACE(random.describe() + ", problem " + std::to_string(i));
    compared += compare(random_problem(random));
    ASSERT_FALSE(HasFailure());
  }
  std::printf("kernels equal scalar, bit for bit, in %lld of %lld cases\n", static_cast<long long>(compared),
              static_cast<long long>(compared));
}

/// All activations the same, all weights the same.
struct Extreme {
  std::int64_t tokens;
  std::int64_t outputs = 17;
  std::int64_t depth;
  std::int8_t activation;
  std::int8_t weight;
};

Problem extreme(const char* scheme, const Extreme& e) {
  const Shape shape{e.outputs, e.depth};
  Tensor codes(DType::i8, shape);
  std::ranges::fill(codes.data<std::int8_t>(), e.weight);
  Tensor scales(DType::f32, scales_shape(shape, Granularity::tensor()));
  scales.data<float>()[0] = 1;
  return {.weight = {Scheme::parse(scheme).with(Granularity::tensor()), DType::f32, shape, codes, scales},
          .bias = {},
          .activations = std::vector<std::int8_t>(static_cast<std::size_t>(e.tokens * e.depth), e.activation),
          .activation_scales = std::vector<float>(static_cast<std::size_t>(e.tokens), 1.0F),
          .y_dtype = DType::f32,
          .guard = Guard::behind};
}

void expect_exact(const Extreme& e) {
  const char* const scheme = e.weight == -128 ? "int8-token" : std::abs(e.weight) == 1 ? "binary" : "8";
  const Problem p = extreme(scheme, e);
  const auto want = static_cast<float>(e.depth * e.activation * e.weight);
  for (const Kernel* kernel : kernels_for(p)) {
    const std::vector<std::byte> y = run(*kernel, p);
    std::vector<float> got(y.size() / sizeof(float));
    std::memcpy(got.data(), y.data(), y.size());
    EXPECT_EQ(got, std::vector<float>(got.size(), want)) << kernel->name() << ": " << p.describe();
  }
}

/// 131071 products of 128 * 128 are the most that int32 holds. A kernel has one way for a token, one for a few, and may
/// have one for many.
TEST(Gemm, ExtremeCodesAreExact) {
  for (const std::int64_t depth : {1, 15, 16, 17, 63, 64, 65, 16'384, 131'071}) {
    for (const std::int8_t activation : {std::int8_t{-128}, std::int8_t{127}}) {
      for (const std::int8_t weight :
           {std::int8_t{-128}, std::int8_t{-127}, std::int8_t{127}, std::int8_t{1}, std::int8_t{-1}}) {
        expect_exact({.tokens = 1, .depth = depth, .activation = activation, .weight = weight});
        expect_exact({.tokens = 7, .depth = depth, .activation = activation, .weight = weight});
        if (depth <= 16'384) expect_exact({.tokens = 50, .depth = depth, .activation = activation, .weight = weight});
      }
    }
  }
}

/// The outputs of token `at`, and no others, are the quiet NaN of their dtype.
void expect_nan_at(const Kernel& kernel, const Problem& p, std::int64_t at, const std::vector<std::byte>& y) {
  const std::uint32_t quiet = p.y_dtype == DType::f32 ? 0x7FC0'0000U : p.y_dtype == DType::f16 ? 0x7E00U : 0x7FC0U;
  const std::size_t size = size_bytes(p.y_dtype);
  for (std::int64_t i = 0; i < p.tokens() * p.weight.rows(); ++i) {
    std::uint32_t got = 0;
    std::memcpy(&got, y.data() + static_cast<std::size_t>(i) * size, size);
    ASSERT_EQ(got == quiet, i / p.weight.rows() == at) << kernel.name() << ": " << p.describe() << ", element " << i;
  }
}

/// Every lane of every register of a panel and of a shorter last one, for each token of a tile and of a shorter one.
TEST(Gemm, NanFillsItsTokenOnly) {
  const DType dtypes[] = {DType::f32, DType::f16, DType::bf16};
  for (const char* const scheme : {"8", "binary"}) {
    for (std::int64_t outputs = 1; outputs <= 130; ++outputs) {
      const std::int64_t tokens = outputs % 14 + 1;
      for (std::int64_t at = 0; at < tokens; ++at) {
        Problem p = extreme(scheme, {.tokens = tokens, .outputs = outputs, .depth = 5, .activation = 3, .weight = 1});
        p.y_dtype = dtypes[(outputs + at) % 3];
        p.activation_scales[static_cast<std::size_t>(at)] = -std::nanf("1");
        for (const Kernel* kernel : kernels_for(p)) expect_nan_at(*kernel, p, at, run(*kernel, p));
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
