#include "files/tensor_sets.h"
#include "support/environment.h"
#include "support/expect_error.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>

namespace bnq::test {
namespace {

class ConvertCheckpointTest : public TempDirTest {
 protected:
  ConvertCheckpointTest() {
    write_tensors(original, {{"a.weight", gaussian(random, DType::f32, {8, 512})},
                             {"b.weight", ternary(random, DType::bf16, {4, 256})},
                             {"norm", gaussian(random, DType::f16, {7})}});
    quantize_checkpoint(original, in, {.scheme = "ternary", .rules = {{"b.weight", "keep"}}});
  }

  Random random{991};
  std::filesystem::path original = dir / "original.safetensors";
  std::filesystem::path in = dir / "in.safetensors";
  std::filesystem::path out = dir / "out.safetensors";
};

TEST_F(ConvertCheckpointTest, KeepsCodesAndScales) {
  const ConvertResult result = convert_checkpoint(in, out, {.to = Layout::parse("i32_ct")});
  EXPECT_EQ(result.tensors, 2);
  EXPECT_EQ(result.ternary_floats, 1);
  EXPECT_EQ(result.copied, 1);
  EXPECT_EQ(result.scale_error, 0);
  EXPECT_TRUE(result.warnings.empty());
  EXPECT_EQ(result.file_bytes_in, std::filesystem::file_size(in));
  EXPECT_EQ(result.file_bytes_out, std::filesystem::file_size(out));
  const auto before = bnq::load(in);
  const auto after = bnq::load(out);
  const auto& q = std::get<QuantizedTensor>(before.at("a.weight"));
  const auto& converted = std::get<QuantizedTensor>(after.at("a.weight"));
  EXPECT_TRUE(std::ranges::equal(converted.codes(), q.codes()));
  EXPECT_TRUE(std::ranges::equal(converted.scales(), q.scales()));
  const auto& floats = std::get<Tensor>(before.at("b.weight"));
  EXPECT_TRUE(same_bytes(dequantize(std::get<QuantizedTensor>(after.at("b.weight"))).bytes(), floats.bytes()));
  EXPECT_TRUE(same_bytes(std::get<Tensor>(after.at("norm")).bytes(), std::get<Tensor>(before.at("norm")).bytes()));
}

TEST_F(ConvertCheckpointTest, RefusesBeforeWork) {
  const auto to = [&](const char* layout, const std::filesystem::path& path) {
    return [&, layout, path] { (void)convert_checkpoint(in, path, {.to = Layout::parse(layout)}); };
  };
  EXPECT_BNQ_ERROR(to("u1", out)(), ErrorKind::unsupported, "'a.weight'", "u1 cannot hold it");
  EXPECT_BNQ_ERROR(to("tq2_0", out)(), ErrorKind::unsupported, "tq2_0", "one of u1, u2_hf", "*.gguf");
  EXPECT_BNQ_ERROR(to("i8", in)(), ErrorKind::invalid_argument, "one file");
  EXPECT_BNQ_ERROR(to("tq2_0", dir / "out.gguf")(), ErrorKind::unsupported, "need a model folder");
  EXPECT_BNQ_ERROR(
      (void)convert_checkpoint(in, out, {.to = Layout::parse("i8"), .progress = [](auto, auto) { return false; }}),
      ErrorKind::interrupted, "nothing was written");
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace bnq::test
