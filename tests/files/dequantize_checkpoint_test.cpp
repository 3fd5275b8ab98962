#include "support/environment.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>
#include <bnq/version.h>

#include <gtest/gtest.h>

#include <algorithm>

namespace bnq::test {
namespace {

class DequantizeCheckpointTest : public TempDirTest {
 protected:
  DequantizeCheckpointTest() {
    write_tensors(original, model, {{"format", "pt"}, {"author", "β"}});
    quantize_checkpoint(original, in, {.scheme = "ternary", .rules = {{"*.v.weight", "4"}, {"norm.weight", "1"}}});
  }

  TensorMap model = small_model(761);
  std::filesystem::path original = dir / "original.safetensors";
  std::filesystem::path in = dir / "in.safetensors";
  std::filesystem::path out = dir / "out.safetensors";
};

TEST_F(DequantizeCheckpointTest, GivesBackFloatsAndCopiesTheRest) {
  const auto stored = bnq::load(in);
  for (const std::optional<DType> dtype : {std::optional<DType>(), {DType::f32}, {DType::f16}, {DType::bf16}}) {
    const DequantizeResult result = dequantize_checkpoint(in, out, {.dtype = dtype, .replace = true});
    EXPECT_EQ(result.tensors, 5);
    EXPECT_EQ(result.saturated_values, 0);
    EXPECT_EQ(result.file_bytes_in, std::filesystem::file_size(in));
    EXPECT_EQ(result.file_bytes_out, std::filesystem::file_size(out));
    const safetensors::Reader reader(out);
    EXPECT_EQ(reader.tensors().size(), model.size());
    for (const auto& [name, tensor] : stored) {
      SCOPED_TRACE(name);
      const safetensors::Entry* const entry = reader.find(name);
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->shape, model.at(name).shape());
      if (const auto* const q = std::get_if<QuantizedTensor>(&tensor)) {
        EXPECT_EQ(entry->dtype, dtype.value_or(model.at(name).dtype()));
        const Tensor need = dequantize(*q, entry->dtype);
        EXPECT_TRUE(same_bytes(reader.bytes(*entry), need.bytes()));
      } else {
        EXPECT_EQ(entry->dtype, model.at(name).dtype());
        EXPECT_TRUE(same_bytes(reader.bytes(*entry), model.at(name).bytes()));
      }
    }
  }
}

TEST_F(DequantizeCheckpointTest, GivesBackTernaryWeightsExactly) {
  Random random(762);
  for (const DType dtype : float_dtypes) model.insert_or_assign("t.weight", ternary(random, dtype, {12, 20}));
  write_tensors(original, model);
  quantize_checkpoint(original, in, {.scheme = "ternary", .replace = true});
  dequantize_checkpoint(in, out);
  EXPECT_EQ(stored_bytes(out, "t.weight"), stored_bytes(original, "t.weight"));
}

TEST_F(DequantizeCheckpointTest, KeepsOtherMetadataAndForgetsItsOwn) {
  dequantize_checkpoint(in, out);
  EXPECT_EQ(safetensors::Reader(out).metadata(),
            (safetensors::Metadata{{"format", "pt"}, {"author", "β"}, {"dequantized_by", "bnq " BNQ_VERSION}}));
  EXPECT_EQ(dir.entries(), 3);
  quantize_checkpoint(out, dir / "again", {});  // it is an ordinary file again
}

TEST_F(DequantizeCheckpointTest, CountsValuesThatAreTooLarge) {
  write_tensors(original, {{"a.weight", make_tensor(DType::f32, {2, 2}, {1e6F, -1e6F, 1, 0})}});
  quantize_checkpoint(original, in, {.scheme = "8", .replace = true});
  EXPECT_EQ(dequantize_checkpoint(in, out, {.dtype = DType::f16}).saturated_values, 2);
  EXPECT_EQ(dequantize_checkpoint(in, out, {.dtype = DType::f32, .replace = true}).saturated_values, 0);
}

TEST_F(DequantizeCheckpointTest, WritesTheSameBytesWithAnyNumberOfThreads) {
  std::vector<std::string> files;
  for (const int threads : {1, 2, 7}) {
    const ThreadCount count(threads);
    dequantize_checkpoint(in, out, {.dtype = DType::bf16, .replace = true});
    files.push_back(read_file(out));
  }
  for (const std::string& file : files) EXPECT_EQ(file, files[0]);
}

TEST_F(DequantizeCheckpointTest, RefusesOtherDtypes) {
  for (const DType dtype : {DType::f64, DType::i8, DType::f8_e4m3}) {
    EXPECT_BNQ_ERROR(dequantize_checkpoint(in, out, {.dtype = dtype}), ErrorKind::unsupported, name(dtype));
  }
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(DequantizeCheckpointTest, RefusesAFileThatHoldsNothingQuantized) {
  EXPECT_BNQ_ERROR(dequantize_checkpoint(original, out), ErrorKind::bad_content, original.string());
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(DequantizeCheckpointTest, KeepsItsInputAndWhatIsThere) {
  const std::string before = read_file(in);
  std::filesystem::create_symlink(in, dir / "soft");
  std::filesystem::create_hard_link(in, dir / "hard");
  for (const std::filesystem::path& same : {in, dir / "soft", dir / "hard"}) {
    EXPECT_BNQ_ERROR(dequantize_checkpoint(in, same, {.replace = true}), ErrorKind::invalid_argument, same.string());
  }
  EXPECT_EQ(read_file(in), before);
  write_file(out, "old");
  EXPECT_BNQ_ERROR(dequantize_checkpoint(in, out), ErrorKind::exists, out.string());
  EXPECT_BNQ_ERROR(dequantize_checkpoint(dir / "none", out, {.replace = true}), ErrorKind::io, "none");
  EXPECT_BNQ_ERROR(dequantize_checkpoint(in, dir / "no/out"), ErrorKind::io, "no/out");
  EXPECT_EQ(read_file(out), "old");
}

TEST_F(DequantizeCheckpointTest, StopsAtEachStepWithoutATrace) {
  write_file(out, "old");
  std::size_t stop = 0;
  for (bool stopped = true; stopped; ++stop) {
    std::size_t calls = 0;
    try {
      dequantize_checkpoint(
          in, out, {.replace = true, .progress = [&](std::uint64_t, std::uint64_t) { return calls++ < stop; }});
      stopped = false;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::interrupted);
      EXPECT_EQ(read_file(out), "old");
      EXPECT_EQ(dir.entries(), 3);
    }
  }
  EXPECT_EQ(stop, model.size() + 2);  // once before, once behind each tensor, and the round that was not stopped
  EXPECT_NE(read_file(out), "old");
}

TEST_F(DequantizeCheckpointTest, LeavesNothingWhenACodeIsBroken) {
  patch_tensor(in, "layers.0.q.weight", 3, "\xFF");
  EXPECT_BNQ_ERROR(dequantize_checkpoint(in, out), ErrorKind::bad_content, in.string(), "'layers.0.q.weight'");
  EXPECT_EQ(dir.entries(), 2);
}

}  // namespace
}  // namespace bnq::test
