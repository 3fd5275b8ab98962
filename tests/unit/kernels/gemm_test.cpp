// Every compiled matrix kernel against the scalar one, bit for bit, over random sizes and at the limits of the
// contract. All buffers lie flush against a page that may not be touched, on one side or the other.

#include "kernels/registry.h"
#include "linear/tile.h"

#include "support/guarded_buffer.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <bnq/cpu.h>
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

detail::GemmProblem limits_of(const Problem& p) {
  const Granularity& granularity = p.weight.scheme().granularity();
  const bool by_group = granularity.kind == Granularity::Kind::group;
  return {.min_code = p.weight.scheme().min_code(),
          .max_code = p.weight.scheme().max_code(),
          .group_size = by_group ? std::min(granularity.group_size, p.weight.depth()) : p.weight.depth()};
}

/// Kernels that this machine runs and that do not refuse the problem.
std::vector<const Kernel*> kernels_for(const Problem& p) {
  const std::vector<Isa> isas = available_isas();
  std::vector<const Kernel*> kernels;
  for (const Kernel* kernel : detail::all_kernels()) {
    const bool runs = std::ranges::find(isas, kernel->isa) != isas.end();
    if (runs && kernel->refusal(limits_of(p)) == nullptr) kernels.push_back(kernel);
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

std::vector<std::byte> run(const Kernel& kernel, const Problem& p) {
  const detail::Tile tile(kernel.tile, p.weight, p.bias);
  Activations activations(p, tile, kernel.activation_xor);
  GuardedBuffer y(static_cast<std::size_t>(p.tokens() * p.weight.rows()) * size_bytes(p.y_dtype), p.guard);
  std::memset(y.data(), 0xA5, y.bytes().size());
  std::vector<std::byte> workspace(kernel.workspace_bytes(p.tokens(), tile.padded_depth()) + 64);
  void* aligned = workspace.data();
  std::size_t room = workspace.size();
  std::align(64, room - 64, aligned, room);
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
                .workspace = static_cast<std::byte*>(aligned)});
  }
  return {y.bytes().begin(), y.bytes().end()};
}

Scheme random_scheme(Random& random) {
  const char* const rules[] = {"8", "7", "4", "2", "ternary", "ternary", "binary", "int8-token"};
  const Scheme scheme = Scheme::parse(rules[random.integer(0, 7)]);
  const std::int64_t kind = random.integer(0, 3);
  if (kind == 0) return scheme.with(Granularity::tensor());
  return scheme.with(kind == 1 ? Granularity::row() : Granularity::group(random.integer(1, 70)));
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
  const std::int64_t outputs = random.integer(1, wide ? 200 : 40);
  const std::int64_t depth = random.integer(1, random.integer(0, 15) == 0 ? 600 : 60);
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

Problem extreme(const char* scheme, std::int64_t depth, std::int8_t activation, std::int8_t weight) {
  const Shape shape{17, depth};
  Tensor codes(DType::i8, shape);
  std::ranges::fill(codes.data<std::int8_t>(), weight);
  Tensor scales(DType::f32, scales_shape(shape, Granularity::tensor()));
  scales.data<float>()[0] = 1;
  return {.weight = {Scheme::parse(scheme).with(Granularity::tensor()), DType::f32, shape, codes, scales},
          .bias = {},
          .activations = std::vector<std::int8_t>(static_cast<std::size_t>(7 * depth), activation),
          .activation_scales = std::vector<float>(7, 1.0F),
          .y_dtype = DType::f32,
          .guard = Guard::behind};
}

/// 131071 products of 128 * 128 are the most that int32 holds.
TEST(Gemm, ExtremeCodesAreExact) {
  for (const std::int64_t depth : {1, 15, 16, 17, 63, 64, 65, 16'384, 131'071}) {
    for (const std::int8_t activation : {std::int8_t{-128}, std::int8_t{127}}) {
      for (const std::int8_t weight :
           {std::int8_t{-128}, std::int8_t{-127}, std::int8_t{127}, std::int8_t{1}, std::int8_t{-1}}) {
        const char* const scheme = weight == -128 ? "int8-token" : std::abs(weight) == 1 ? "binary" : "8";
        const Problem p = extreme(scheme, depth, activation, weight);
        const auto want = static_cast<float>(depth * activation * weight);
        for (const Kernel* kernel : kernels_for(p)) {
          const std::vector<std::byte> y = run(*kernel, p);
          float got = 0;
          std::memcpy(&got, y.data() + y.size() - sizeof got, sizeof got);
          EXPECT_EQ(got, want) << kernel->name() << ": " << p.describe();
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
