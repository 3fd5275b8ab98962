#include "support/environment.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>
#include <bnq/version.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

class InspectTest : public TempDirTest {
 protected:
  InspectedTensor inspect(Tensor tensor) const {
    write_tensors(path, {{"t", std::move(tensor)}});
    return inspect_checkpoint(path).tensors.at(0);
  }
  InspectedTensor inspect(std::initializer_list<float> values) const {
    return inspect(make_tensor(DType::f32, {1, static_cast<std::int64_t>(values.size())}, values));
  }

  std::filesystem::path path = dir / "model.safetensors";
};

TEST_F(InspectTest, FindsRangeAndZeros) {
  for (const DType dtype : float_dtypes) {
    const InspectedTensor t = inspect(make_tensor(dtype, {2, 4}, {0, -2.5F, 1, 0.5F, -0.0F, 0.25F, 3, 0.5F}));
    EXPECT_EQ(t.name, "t");
    EXPECT_EQ(t.dtype, dtype);
    EXPECT_EQ(t.shape, (Shape{2, 4}));
    EXPECT_EQ(t.nbytes, 8 * size_bytes(dtype));
    EXPECT_EQ(t.minimum, -2.5);
    EXPECT_EQ(t.maximum, 3.0);
    EXPECT_EQ(t.zero_share, 0.25);
    EXPECT_EQ(t.nan_count, 0);
    EXPECT_EQ(t.inf_count, 0);
    EXPECT_FALSE(t.all_zero);
    EXPECT_FALSE(t.already_ternary);
    EXPECT_FALSE(t.scheme);
    EXPECT_FALSE(t.layout);
  }
}

TEST_F(InspectTest, ReportsWhatIsNotFinite) {
  const InspectedTensor some = inspect({nan, 1, infinity, -infinity, -3, nan, 0, nan});
  EXPECT_EQ(some.nan_count, 3);
  EXPECT_EQ(some.inf_count, 2);
  EXPECT_EQ(some.minimum, -3.0);
  EXPECT_EQ(some.maximum, 1.0);
  EXPECT_EQ(some.zero_share, 0.125);
  const InspectedTensor all = inspect({nan, infinity});
  EXPECT_FALSE(all.minimum);
  EXPECT_FALSE(all.maximum);
  EXPECT_FALSE(all.all_zero);
  EXPECT_FALSE(all.already_ternary);
}

TEST_F(InspectTest, FindsZeros) {
  EXPECT_TRUE(inspect({0, 0, -0.0F}).all_zero);
  EXPECT_EQ(inspect({0, 0, -0.0F}).zero_share, 1.0);
  EXPECT_FALSE(inspect({0, 1e-45F}).all_zero);
  EXPECT_FALSE(inspect({0, nan}).all_zero);
}

TEST_F(InspectTest, FindsTernaryWeights) {
  EXPECT_TRUE(inspect({-0.5F, 0, 0.5F}).already_ternary);
  EXPECT_TRUE(inspect({-0.5F, 0, 0}).already_ternary);
  EXPECT_TRUE(inspect({1e-45F, -1e-45F}).already_ternary);
  EXPECT_FALSE(inspect({-0.5F, 0, 0.25F}).already_ternary);
  EXPECT_FALSE(inspect({-0.5F, 0, 0.50000006F}).already_ternary);
  EXPECT_FALSE(inspect({0, 0, 0}).already_ternary);
  EXPECT_FALSE(inspect({-0.5F, 0, 0.5F, nan}).already_ternary);
  EXPECT_FALSE(inspect({-0.5F, 0, 0.5F, infinity}).already_ternary);
}

TEST_F(InspectTest, LooksAtEveryElement) {
  constexpr std::int64_t elements = 300'000;  // past one block of one thread
  for (const std::int64_t at : {std::int64_t{0}, std::int64_t{4095}, std::int64_t{4096}, elements / 2, elements - 1}) {
    for (const int threads : {1, 7}) {
      const ThreadCount count(threads);
      Tensor tensor(DType::f32, {elements});
      tensor.data<float>()[static_cast<std::size_t>(at)] = -7;
      const InspectedTensor t = inspect(std::move(tensor));
      EXPECT_EQ(t.minimum, -7.0);
      EXPECT_EQ(t.maximum, 0.0);
      EXPECT_FALSE(t.all_zero);
      EXPECT_DOUBLE_EQ(*t.zero_share, static_cast<double>(elements - 1) / elements);
    }
  }
}

TEST_F(InspectTest, ListsWhatItDoesNotCompute) {
  Random random(771);
  for (int d = 0; d <= static_cast<int>(DType::c64); ++d) {
    const auto dtype = static_cast<DType>(d);
    if (is_quantizable(dtype)) continue;
    const InspectedTensor t = inspect(noise(random, dtype, {3, 5}));
    EXPECT_EQ(t.dtype, dtype);
    EXPECT_EQ(t.nbytes, 15 * size_bytes(dtype));
    EXPECT_FALSE(t.minimum);
    EXPECT_FALSE(t.maximum);
    EXPECT_FALSE(t.zero_share);
    EXPECT_FALSE(t.already_ternary);
  }
}

TEST_F(InspectTest, TakesEmptyTensorsAndScalars) {
  const InspectedTensor empty = inspect(Tensor(DType::f32, {0, 4}));
  EXPECT_EQ(empty.nbytes, 0U);
  EXPECT_FALSE(empty.minimum);
  EXPECT_FALSE(empty.zero_share);
  EXPECT_FALSE(empty.all_zero);
  EXPECT_FALSE(empty.already_ternary);
  EXPECT_EQ(inspect(make_tensor(DType::f16, {}, {3})).maximum, 3.0);
  write_tensors(path, {});
  EXPECT_TRUE(inspect_checkpoint(path).tensors.empty());
}

TEST_F(InspectTest, SeesQuantizedTensorsAsTheirUserDoes) {
  Random random(772);
  const Tensor w = gaussian(random, DType::bf16, {8, 20});
  const Tensor t = ternary(random, DType::f16, {8, 20}, 0.25F);
  save(path, {{"q8", quantize(w.view(), Scheme::parse("8"))},
              {"q5", quantize(w.view(), Scheme::parse("5"))},
              {"t", quantize(t.view(), Scheme::parse("ternary"))},
              {"plain", make_tensor({1, 2})}});
  const Inspection inspection = inspect_checkpoint(path);
  EXPECT_EQ(inspection.file_bytes, std::filesystem::file_size(path));
  EXPECT_EQ(inspection.written_by, std::string("bnq ") + BNQ_VERSION);
  ASSERT_EQ(inspection.tensors.size(), 4U);  // scales and shapes belong to their tensors
  const auto find = [&](const char* name) {
    return *std::ranges::find(inspection.tensors, name, &InspectedTensor::name);
  };
  EXPECT_EQ(find("q8").scheme->to_string(), "int8-absmax:row");
  EXPECT_EQ(find("q8").layout->name(), "i8");
  EXPECT_EQ(find("q8").dtype, DType::bf16);
  EXPECT_EQ(find("q8").shape, (Shape{8, 20}));
  EXPECT_EQ(find("q8").nbytes, 8U * 20 + 8 * 4);
  EXPECT_EQ(find("q5").nbytes, 8U * 16 + 8 * 4 + 16);
  EXPECT_EQ(find("t").nbytes, 2U * 20 + 4);
  EXPECT_EQ(find("t").dtype, DType::f16);
  EXPECT_EQ(find("t").layout->name(), "u2_hf");
  EXPECT_EQ(find("t").minimum, -0.25);
  EXPECT_EQ(find("t").maximum, 0.25);
  EXPECT_TRUE(find("t").already_ternary);
  EXPECT_FALSE(find("plain").scheme);
}

TEST_F(InspectTest, KnowsForeignFiles) {
  write_tensors(path, {{"w", make_tensor({1})}}, {{"format", "pt"}});
  EXPECT_EQ(inspect_checkpoint(path).written_by, "");
}

TEST_F(InspectTest, ReportsWhatTheReaderReports) {
  EXPECT_BNQ_ERROR(inspect_checkpoint(path), ErrorKind::io, path.string());
  write_file(path, "short");
  EXPECT_BNQ_ERROR(inspect_checkpoint(path), ErrorKind::bad_content, path.string());
}

TEST_F(InspectTest, CanBeStopped) {
  write_tensors(path, small_model(773));
  int calls = 0;
  EXPECT_BNQ_ERROR(inspect_checkpoint(path, [&](std::uint64_t, std::uint64_t) { return ++calls < 3; }),
                   ErrorKind::interrupted);
  EXPECT_EQ(calls, 3);
}

TEST_F(InspectTest, IsOneJsonDocument) {
  Random random(774);
  const Tensor w = gaussian(random, DType::bf16, {8, 20});
  save(path, {{"a", quantize(w.view(), Scheme::parse("8"))}, {"b\x1b", make_tensor({nan, infinity})}});
  const Inspection inspection = inspect_checkpoint(path);
  const auto document = nlohmann::json::parse(to_json(inspection));
  EXPECT_EQ(document.at("schema"), "bnq.inspection/1");
  EXPECT_EQ(document.at("file_bytes"), inspection.file_bytes);
  EXPECT_EQ(document.at("written_by"), inspection.written_by);
  const auto& a = document.at("tensors").at(0);
  EXPECT_EQ(a.at("name"), "a");
  EXPECT_EQ(a.at("dtype"), "bf16");
  EXPECT_EQ(a.at("scheme"), "int8-absmax:row");
  EXPECT_EQ(a.at("layout"), "i8");
  EXPECT_EQ(a.at("maximum").get<double>(), *inspection.tensors[0].maximum);
  const auto& b = document.at("tensors").at(1);
  EXPECT_EQ(b.at("name"), "b\x1b");
  EXPECT_TRUE(b.at("minimum").is_null());
  EXPECT_TRUE(b.at("scheme").is_null());
  EXPECT_EQ(b.at("nan_count"), 1);
  EXPECT_EQ(b.at("inf_count"), 1);
}

}  // namespace
}  // namespace bnq::test
