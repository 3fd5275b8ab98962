// Any strides and any shape: a view of some memory gives what a contiguous copy gives.

#include "support/distributions.h"
#include "support/guarded_buffer.h"
#include "support/oracle_bridge.h"
#include "support/strided.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <vector>

namespace bnq::test {
namespace {

const ValueLimits limits{.levels = 127, .largest = 60'000};

Tensor random_matrix(Random& random, DType dtype, std::int64_t rows, std::int64_t depth) {
  const std::array<std::size_t, 2> size{static_cast<std::size_t>(rows), static_cast<std::size_t>(depth)};
  return make_tensor(dtype, {rows, depth}, random_values(random, Values::heavy_tailed, size, limits));
}

TEST(Views, EveryPlacementOfAMatrix) {
  Random random(20);
  for (const DType dtype : float_dtypes) {
    for (const auto& [rows, depth] : {std::pair{7, 19}, {1, 40}, {40, 1}, {3, 4500}}) {
      const Tensor matrix = random_matrix(random, dtype, rows, depth);
      for (const auto& [placement, title] : placements) {
        const StridedMatrix strided(matrix, placement);
        for (const Scheme& rule : Scheme::all()) {
          for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(5)}) {
            const Scheme scheme = rule.with(granularity);
            const QuantizedTensor want = quantize(matrix.view(), scheme);
            const QuantizedTensor got = quantize(strided.view(), scheme);
            ASSERT_TRUE(same(got, as_oracle(want))) << title << " " << scheme.to_string() << " " << name(dtype);
            ASSERT_EQ(report(strided.view(), want).noise, report(matrix.view(), want).noise) << title;
          }
        }
      }
    }
  }
}

TEST(Views, LinearReadsAnyPlacementOfX) {
  Random random(21);
  const Tensor w = random_matrix(random, DType::f32, 6, 1030);
  const Linear linear(quantize(w.view(), Scheme::parse("8")));
  std::vector<std::byte> scratch(linear.scratch_bytes(5));
  for (const DType dtype : float_dtypes) {
    const Tensor x = random_matrix(random, dtype, 5, 1030);
    Tensor want(dtype, {5, 6});
    linear.forward(x.view(), want.mutable_view(), scratch);
    for (const auto& [placement, title] : placements) {
      const StridedMatrix strided(x, placement);
      Tensor got(dtype, {5, 6});
      linear.forward(strided.view(), got.mutable_view(), scratch);
      EXPECT_TRUE(same_bytes(got.bytes(), want.bytes())) << title << " " << name(dtype);
    }
  }
}

TEST(Views, PermutedAxes) {
  Random random(22);
  const std::vector<float> values = random_values(random, Values::gaussian, {1, 120}, limits);
  const Tensor memory = make_tensor(DType::f32, {4, 5, 6}, values);
  const TensorView view(memory.bytes().data(), DType::f32, {6, 4, 5}, {1, 30, 6});
  EXPECT_FALSE(view.contiguous());
  Tensor copy(DType::f32, {6, 4, 5});
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      for (std::size_t k = 0; k < 5; ++k) copy.data<float>()[(i * 4 + j) * 5 + k] = values[i + j * 30 + k * 6];
    }
  }
  for (const char* scheme : {"8:tensor", "8", "4:group(2)", "ternary", "binary:group(3)"}) {
    const QuantizedTensor want = quantize(copy.view(), Scheme::parse(scheme));
    EXPECT_TRUE(same(quantize(view, Scheme::parse(scheme)), as_oracle(want))) << scheme;
  }
}

TEST(Views, ExpandedAxes) {
  const Tensor row = make_tensor({0.5F, -1.0F, 0.25F});
  const Tensor rows = make_tensor(DType::f32, {2, 3}, {0.5F, -1.0F, 0.25F, 0.5F, -1.0F, 0.25F});
  const TensorView repeated_row(row.bytes().data(), DType::f32, {2, 3}, {0, 1});
  const Tensor columns = make_tensor(DType::f32, {3, 2}, {0.5F, 0.5F, -1.0F, -1.0F, 0.25F, 0.25F});
  const TensorView repeated_column(row.bytes().data(), DType::f32, {3, 2}, {1, 0});
  const Tensor ones = make_tensor(DType::f32, {3, 3}, std::vector<float>(9, 0.5F));
  const TensorView one(row.bytes().data(), DType::f32, {3, 3}, {0, 0});
  for (const Scheme& scheme : Scheme::all()) {
    EXPECT_TRUE(same_values(quantize(repeated_row, scheme), quantize(rows.view(), scheme))) << scheme.to_string();
    EXPECT_TRUE(same_values(quantize(repeated_column, scheme), quantize(columns.view(), scheme))) << scheme.to_string();
    EXPECT_TRUE(same_values(quantize(one, scheme), quantize(ones.view(), scheme))) << scheme.to_string();
  }
}

/// Strides of axes with one element do not count, however wild.
TEST(Views, AxesOfOneElement) {
  const Tensor row = make_tensor({0.5F, -1.0F, 0.25F});
  const TensorView view(row.bytes().data(), DType::f32, {1, 3, 1}, {1000, 1, -77});
  EXPECT_TRUE(view.contiguous());
  const Tensor copy = make_tensor(DType::f32, {1, 3, 1}, {0.5F, -1.0F, 0.25F});
  EXPECT_TRUE(same_values(quantize(view, Scheme::parse("8")), quantize(copy.view(), Scheme::parse("8"))));
}

TEST(Views, OfAnyRank) {
  Random random(23);
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{17}, Shape{2, 3, 4}, Shape{2, 1, 3, 5}, Shape{1, 1, 1, 1, 9}}) {
    const auto elements = static_cast<std::size_t>(element_count(shape));
    const Tensor tensor =
        make_tensor(DType::f32, shape, random_values(random, Values::gaussian, {1, elements}, limits));
    for (const Scheme& rule : Scheme::all()) {
      for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(2)}) {
        const Scheme scheme = rule.with(granularity);
        const QuantizedTensor q = quantize(tensor.view(), scheme);
        EXPECT_TRUE(same(q, oracle_quantize(floats_of(tensor), shape, scheme)))
            << scheme.to_string() << " " << to_string(shape);
        EXPECT_EQ(q.shape(), shape);
        EXPECT_EQ(dequantize(q).shape(), shape);
      }
    }
  }
}

TEST(Views, WithoutElements) {
  for (const Shape& shape : {Shape{0}, Shape{0, 5}, Shape{5, 0}, Shape{2, 0, 3}, Shape{0, 0}, Shape{3, 4, 0}}) {
    for (const Scheme& rule : Scheme::all()) {
      for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(2)}) {
        SCOPED_TRACE(rule.with(granularity).to_string() + " " + to_string(shape));
        const TensorView view(nullptr, DType::bf16, shape);
        const QuantizedTensor q = quantize(view, rule.with(granularity));
        EXPECT_EQ(q.shape(), shape);
        EXPECT_TRUE(q.codes().empty());
        EXPECT_TRUE(q.scales().empty());
        EXPECT_EQ(q.bits_per_weight(), 0);
        EXPECT_EQ(dequantize(q).shape(), shape);
        const Report r = report(view, q);
        EXPECT_TRUE(r.lossless);
        EXPECT_EQ(r.elements, 0);
        for (const Layout& layout : Layout::all()) {
          if (layout.is_read_only() || !layout.refusal(q.scheme(), shape).empty()) continue;
          EXPECT_TRUE(same_values(unpack(pack(q, layout)), q));
        }
      }
    }
  }
}

/// Nothing is read before the first or behind the last element.
TEST(Views, FlushAgainstAGuardPage) {
  Random random(24);
  for (const DType dtype : float_dtypes) {
    for (const std::int64_t depth : {1, 3, 15, 16, 17, 64, 67, 4099}) {
      const Tensor tensor = random_matrix(random, dtype, 2, depth);
      for (const auto guard : {GuardedBuffer::Guard::before, GuardedBuffer::Guard::behind}) {
        GuardedBuffer memory(tensor.nbytes(), guard);
        memory.assign(tensor.bytes());
        const TensorView view(memory.data(), dtype, tensor.shape());
        for (const Scheme& scheme : Scheme::all()) {
          const QuantizedTensor q = quantize(view, scheme);
          EXPECT_TRUE(same_values(q, quantize(tensor.view(), scheme)));
          GuardedBuffer out(tensor.nbytes(), guard);
          dequantize_into(q, {out.data(), dtype, tensor.shape()});
          EXPECT_TRUE(same_bytes(out.bytes(), dequantize(q).bytes()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
