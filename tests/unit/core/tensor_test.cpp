#include "support/expect_error.h"

#include <bnq/tensor.h>

#include <gtest/gtest.h>

#include <limits>
#include <new>
#include <vector>

namespace bnq::test {
namespace {

constexpr std::int64_t huge = std::int64_t{1} << 62;

TEST(Shape, Counts) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({5}), 5);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({2, 0, 4}), 0);
  EXPECT_EQ(element_count({huge, 1}), huge);
  EXPECT_EQ(element_count({std::int64_t{1} << 31, std::int64_t{1} << 31}), huge);
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Shape{256, 512}), "[256, 512]");
}

TEST(Shape, RefusesNegativeExtentsAndOverflow) {
  EXPECT_BNQ_ERROR(element_count({-1}), ErrorKind::invalid_argument, "negative", "-1");
  EXPECT_BNQ_ERROR(element_count({0, -3}), ErrorKind::invalid_argument, "negative", "-3");
  EXPECT_BNQ_ERROR(element_count({-1, -1}), ErrorKind::invalid_argument, "negative");
  EXPECT_BNQ_ERROR(element_count({huge, 2}), ErrorKind::invalid_argument, "too many elements", "2^63");
  EXPECT_BNQ_ERROR(element_count({std::int64_t{1} << 32, std::int64_t{1} << 32}), ErrorKind::invalid_argument,
                   "too many elements");
  EXPECT_BNQ_ERROR(element_count({3, std::numeric_limits<std::int64_t>::max()}), ErrorKind::invalid_argument,
                   "too many elements");
}

/// A zero must not hide extents whose product, the number of rows, is past 63 bits.
TEST(Shape, RefusesOverflowBesideAZero) {
  EXPECT_BNQ_ERROR(element_count({huge, 4, 0}), ErrorKind::invalid_argument, "too many elements");
  EXPECT_BNQ_ERROR(element_count({0, huge, 4}), ErrorKind::invalid_argument, "too many elements");
  EXPECT_EQ(element_count({huge, 0}), 0);
}

TEST(TensorView, IsRowMajorWithoutStrides) {
  const std::vector<float> memory(24);
  const TensorView view(memory.data(), DType::f32, {2, 3, 4});
  EXPECT_EQ(view.strides(), (std::vector<std::int64_t>{12, 4, 1}));
  EXPECT_TRUE(view.contiguous());
  EXPECT_EQ(view.elements(), 24);
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.depth(), 4);
  EXPECT_EQ(view.data(), memory.data());
}

TEST(TensorView, RowsAndDepthOfAnyRank) {
  const float one = 0;
  const TensorView scalar(&one, DType::f32, {});
  EXPECT_EQ(scalar.elements(), 1);
  EXPECT_EQ(scalar.rows(), 1);
  EXPECT_EQ(scalar.depth(), 1);
  const std::vector<float> memory(5);
  const TensorView row(memory.data(), DType::f32, {5});
  EXPECT_EQ(row.rows(), 1);
  EXPECT_EQ(row.depth(), 5);
  EXPECT_EQ(TensorView(nullptr, DType::f32, {3, 0}).rows(), 3);
  EXPECT_EQ(TensorView(nullptr, DType::f32, {0, 3}).rows(), 0);
}

TEST(TensorView, KnowsWhetherItIsContiguous) {
  const std::vector<float> memory(24);
  const auto contiguous = [&](const Shape& shape, std::vector<std::int64_t> strides) {
    return TensorView(memory.data(), DType::f32, shape, std::move(strides)).contiguous();
  };
  EXPECT_TRUE(contiguous({2, 3}, {3, 1}));
  EXPECT_TRUE(contiguous({1, 3}, {99, 1}));
  EXPECT_TRUE(contiguous({2, 1}, {1, 7}));
  EXPECT_TRUE(contiguous({}, {}));
  EXPECT_TRUE(contiguous({0, 3}, {5, 5}));
  EXPECT_FALSE(contiguous({2, 3}, {1, 2}));
  EXPECT_FALSE(contiguous({2, 3}, {4, 1}));
  EXPECT_FALSE(contiguous({2, 3}, {0, 1}));
}

TEST(TensorView, RefusesBadArguments) {
  const std::vector<float> memory(6);
  EXPECT_BNQ_ERROR(TensorView(nullptr, DType::f32, {2}), ErrorKind::invalid_argument, "null pointer", "2 elements");
  EXPECT_BNQ_ERROR(TensorView(nullptr, DType::f32, {2}, {1}), ErrorKind::invalid_argument, "null pointer");
  EXPECT_BNQ_ERROR(TensorView(memory.data(), DType::f32, {2, 3}, {1}), ErrorKind::invalid_argument, "got 1 strides",
                   "need 2");
  EXPECT_BNQ_ERROR(TensorView(memory.data(), DType::f32, {-2}), ErrorKind::invalid_argument, "negative");
  EXPECT_BNQ_ERROR(MutableTensorView(nullptr, DType::f32, {2}), ErrorKind::invalid_argument, "null pointer");
  EXPECT_NO_THROW(TensorView(nullptr, DType::f32, {0, 7}));
}

TEST(TensorView, RefusesStridesThatLeaveTheAddressSpace) {
  const std::vector<float> memory(6);
  const auto view = [&](const Shape& shape, std::vector<std::int64_t> strides) {
    return TensorView(memory.data(), DType::f32, shape, std::move(strides));
  };
  EXPECT_BNQ_ERROR(view({2, 2}, {huge, 1}), ErrorKind::invalid_argument, "address space");
  EXPECT_BNQ_ERROR(view({2, 2}, {-huge, 1}), ErrorKind::invalid_argument, "address space");
  EXPECT_BNQ_ERROR(view({3, 2}, {huge / 2, huge / 2}), ErrorKind::invalid_argument, "address space");
  EXPECT_BNQ_ERROR(view({3}, {std::numeric_limits<std::int64_t>::min()}), ErrorKind::invalid_argument, "address space");
  EXPECT_BNQ_ERROR(view({2}, {-(huge / 4)}), ErrorKind::invalid_argument, "address space");  // below address 0
  EXPECT_BNQ_ERROR(TensorView(memory.data(), DType::f32, {huge}), ErrorKind::invalid_argument, "address space");
  EXPECT_NO_THROW((void)view({1, 6}, {huge, 1}));
  EXPECT_NO_THROW((void)view({0, 6}, {huge, huge}));
}

TEST(Tensor, IsZeroedAndAligned) {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{5, 7}, Shape{0}, Shape{1000, 3}}) {
    const Tensor tensor(DType::f16, shape);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 64, 0U);
    EXPECT_EQ(tensor.nbytes(), static_cast<std::size_t>(element_count(shape)) * 2);
    EXPECT_EQ(tensor.elements(), element_count(shape));
    for (const std::byte byte : tensor.bytes()) ASSERT_EQ(byte, std::byte{0});
  }
}

TEST(Tensor, CopiesShareMemory) {
  Tensor tensor(DType::f32, {2});
  const Tensor copy = tensor;
  tensor.data<float>()[1] = 3;
  EXPECT_EQ(copy.data<float>()[1], 3);
  EXPECT_EQ(copy.view().data(), tensor.mutable_view().data());
}

TEST(Tensor, RefusesBadShapes) {
  EXPECT_BNQ_ERROR(Tensor(DType::f32, {-1}), ErrorKind::invalid_argument, "negative");
  EXPECT_BNQ_ERROR(Tensor(DType::f32, {huge, 2}), ErrorKind::invalid_argument, "too many elements");
  EXPECT_THROW(Tensor(DType::f32, {huge}), std::bad_alloc);  // its bytes do not fit in 64 bits
}

}  // namespace
}  // namespace bnq::test
