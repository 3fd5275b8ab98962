#include "raw_file.h"
#include "support/environment.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class QuantizeCheckpointTest : public TempDirTest {
 protected:
  QuantizeCheckpointTest() { write_tensors(in, model, {{"format", "pt"}, {"author", "β \"x\""}}); }

  TensorMap model = small_model(751);
  std::filesystem::path in = dir / "in.safetensors";
  std::filesystem::path out = dir / "out.safetensors";
};

void expect_same(const StoredTensor& got, const QuantizedTensor& need) {
  ASSERT_TRUE(std::holds_alternative<QuantizedTensor>(got));
  const auto& q = std::get<QuantizedTensor>(got);
  EXPECT_EQ(q.scheme(), need.scheme());
  EXPECT_EQ(q.dtype(), need.dtype());
  EXPECT_EQ(q.shape(), need.shape());
  EXPECT_TRUE(same_bytes(std::as_bytes(q.codes()), std::as_bytes(need.codes())));
  EXPECT_TRUE(same_bytes(std::as_bytes(q.scales()), std::as_bytes(need.scales())));
}

TEST_F(QuantizeCheckpointTest, DoesWhatThePlanSays) {
  for (const char* scheme : {"8", "5", "4:group(5)", "ternary", "ternary:row", "1"}) {
    SCOPED_TRACE(scheme);
    const QuantizeOptions options{.scheme = scheme, .rules = {{"*.v.weight", "3"}}, .embeddings = "8", .replace = true};
    const Plan plan = quantize_checkpoint(in, out, options);
    const auto stored = bnq::load(out);
    EXPECT_EQ(stored.size(), model.size());
    EXPECT_EQ(plan.tensors.size(), model.size());
    std::size_t quantized = 0;
    for (const PlannedTensor& tensor : plan.tensors) {
      SCOPED_TRACE(tensor.name);
      const Tensor& original = model.at(tensor.name);
      if (tensor.scheme) {
        ++quantized;
        expect_same(stored.at(tensor.name), quantize(original.view(), *tensor.scheme));
      } else {
        EXPECT_EQ(stored_bytes(out, tensor.name), stored_bytes(in, tensor.name));
      }
    }
    EXPECT_EQ(quantized, 6U);  // two layers of q and v, and two embedding tables
  }
}

TEST_F(QuantizeCheckpointTest, ReturnsThePlanAndItsExactSize) {
  for (const char* scheme : {"8", "7", "3", "2", "ternary", "1", "8:group(3)"}) {
    for (const char* all : {"keep", "8", "ternary", "1"}) {
      const QuantizeOptions options{
          .scheme = scheme, .rules = {{"*", all}, {"*.v.*", "4"}}, .head = "5", .replace = true};
      const Plan before = plan_checkpoint(in, options);
      const Plan after = quantize_checkpoint(in, out, options);
      EXPECT_EQ(to_json(before), to_json(after));
      EXPECT_EQ(before.file_bytes_out, std::filesystem::file_size(out)) << scheme << " " << all;
    }
  }
}

TEST_F(QuantizeCheckpointTest, WritesTheSameBytesWithAnyNumberOfThreads) {
  Random random(752);
  model.emplace("large.weight", gaussian(random, DType::f16, {96, 2048}));
  write_tensors(in, model);
  for (const char* scheme : {"8", "4", "ternary", "1"}) {
    std::vector<std::string> files;
    for (const int threads : {1, 2, 7, 7}) {
      const ThreadCount count(threads);
      quantize_checkpoint(in, out, {.scheme = scheme, .replace = true});
      files.push_back(read_file(out));
    }
    for (const std::string& file : files) EXPECT_EQ(file, files[0]) << scheme;
  }
}

TEST_F(QuantizeCheckpointTest, KeepsTheInputAndItsMetadata) {
  const std::string before = read_file(in);
  quantize_checkpoint(in, out, {.scheme = "ternary", .rules = {{"a", "8"}, {"b*", "keep"}}, .head = "8"});
  EXPECT_EQ(read_file(in), before);
  const safetensors::Metadata metadata = safetensors::Reader(out).metadata();
  EXPECT_EQ(metadata.size(), 3U);
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("author"), "β \"x\"");
  const auto document = nlohmann::json::parse(metadata.at("bnq"));
  EXPECT_EQ(document.at("tensors").size(), 5U);
  EXPECT_EQ(document.at("options").at("scheme"), "ternary");
  EXPECT_EQ(document.at("options").at("head"), "8");
  EXPECT_EQ(document.at("options").at("embeddings"), "");
  EXPECT_EQ(document.at("options").at("rules").size(), 2U);
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(QuantizeCheckpointTest, AddsTheFormatThatReadersAskFor) {
  write_tensors(in, model, {});
  quantize_checkpoint(in, out, {});
  EXPECT_EQ(safetensors::Reader(out).metadata().at("format"), "pt");
}

TEST_F(QuantizeCheckpointTest, ReadsTensorsAtAnyAddress) {
  // Three bytes before it, and a header of odd length: no element is aligned.
  const Tensor w = model.at("layers.0.q.weight");
  const std::string bytes(reinterpret_cast<const char*>(w.bytes().data()), w.nbytes());
  const std::string entries = raw_entry("pad", "U8", "[3]", "[0,3]") + "," +
                              raw_entry("w.weight", "BF16", "[8,12]", "[3," + std::to_string(3 + w.nbytes()) + "]");
  for (const char* padding : {"", " ", "  ", "   "}) {
    std::filesystem::remove(in);
    write_file(in, raw_file("{" + entries + "}" + padding) + "abc" + bytes);
    quantize_checkpoint(in, out, {.replace = true});
    expect_same(bnq::load(out).at("w.weight"), quantize(w.view(), Scheme::parse("8")));
    EXPECT_EQ(stored_bytes(out, "pad"), "abc");
    EXPECT_TRUE(verify_checkpoint(in, out, {}).reproduced);
    EXPECT_NO_THROW(inspect_checkpoint(in));
  }
}

TEST_F(QuantizeCheckpointTest, TellsHowFarItIs) {
  std::vector<std::uint64_t> done;
  quantize_checkpoint(in, out, {.progress = [&](std::uint64_t now, std::uint64_t total) {
                        EXPECT_LE(now, total);
                        EXPECT_EQ(total, std::filesystem::file_size(in));
                        done.push_back(now);
                        return true;
                      }});
  EXPECT_GT(done.size(), model.size());
  EXPECT_TRUE(std::ranges::is_sorted(done));
}

TEST_F(QuantizeCheckpointTest, StopsAtEachStepWithoutATrace) {
  write_file(out, "old");
  for (std::size_t stop = 0;; ++stop) {
    std::size_t calls = 0;
    const QuantizeOptions options{.replace = true,
                                  .progress = [&](std::uint64_t, std::uint64_t) { return calls++ < stop; }};
    if (stop > model.size()) {  // it is asked once before the first tensor and once behind each
      quantize_checkpoint(in, out, options);
      break;
    }
    EXPECT_BNQ_ERROR(quantize_checkpoint(in, out, options), ErrorKind::interrupted);
    EXPECT_EQ(calls, stop + 1);
    EXPECT_EQ(read_file(out), "old");
    EXPECT_EQ(dir.entries(), 2);
  }
  EXPECT_NE(read_file(out), "old");
}

TEST_F(QuantizeCheckpointTest, PassesOnWhatTheCallbackThrows) {
  struct Stop {};
  const QuantizeOptions options{.progress = [](std::uint64_t, std::uint64_t) -> bool { throw Stop(); }};
  EXPECT_THROW(quantize_checkpoint(in, out, options), Stop);
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(QuantizeCheckpointTest, NamesTheTensorAndThePlaceOfANaN) {
  write_file(out, "old");
  for (const float bad : {nan, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const DType dtype : float_dtypes) {
      TensorMap broken = model;
      std::vector<float> values(40, 0.5F);
      values[21] = bad;
      values[33] = bad;
      broken.insert_or_assign("layers.1.v.weight", make_tensor(dtype, {4, 10}, values));
      write_tensors(in, broken);
      for (const char* scheme : {"8", "4", "ternary", "1"}) {
        EXPECT_BNQ_ERROR(quantize_checkpoint(in, out, {.scheme = scheme, .replace = true}), ErrorKind::bad_content,
                         in.string(), "'layers.1.v.weight'", "[2, 1]", std::isnan(bad) ? "NaN" : "infinity");
        EXPECT_EQ(read_file(out), "old");
        EXPECT_EQ(dir.entries(), 2);
      }
    }
  }
}

TEST_F(QuantizeCheckpointTest, CopiesANaNThatIsKept) {
  model.insert_or_assign("norm.weight", make_tensor({nan, 1}));
  write_tensors(in, model);
  quantize_checkpoint(in, out, {});
  EXPECT_EQ(stored_bytes(out, "norm.weight"), stored_bytes(in, "norm.weight"));
}

TEST_F(QuantizeCheckpointTest, RefusesToWriteOverItsInput) {
  const std::string before = read_file(in);
  std::filesystem::create_symlink("in.safetensors", dir / "soft");
  std::filesystem::create_hard_link(in, dir / "hard");
  std::filesystem::create_directory(dir / "sub");
  std::filesystem::create_symlink("..", dir / "sub/up");
  for (const bool replace : {false, true}) {
    for (const char* name :
         {"in.safetensors", "./in.safetensors", "sub/../in.safetensors", "sub/up/in.safetensors", "soft", "hard"}) {
      SCOPED_TRACE(name);
      EXPECT_BNQ_ERROR(quantize_checkpoint(in, dir / name, {.replace = replace}), ErrorKind::invalid_argument, name,
                       "one file");
      EXPECT_BNQ_ERROR(quantize_checkpoint(dir / name, in, {.replace = replace}), ErrorKind::invalid_argument,
                       "one file");
      EXPECT_EQ(read_file(in), before);
    }
  }
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "soft"));
  EXPECT_EQ(dir.entries(), 4);
}

TEST_F(QuantizeCheckpointTest, KeepsAnExistingOutputUnlessAsked) {
  write_file(out, "old");
  EXPECT_BNQ_ERROR(quantize_checkpoint(in, out, {}), ErrorKind::exists, out.string());
  EXPECT_EQ(read_file(out), "old");
  quantize_checkpoint(in, out, {.replace = true});
  EXPECT_TRUE(verify_checkpoint(in, out, {}).reproduced);
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(QuantizeCheckpointTest, SaysWhatTheSystemSays) {
  EXPECT_BNQ_ERROR(quantize_checkpoint(dir / "none", out, {}), ErrorKind::io, "none");
  EXPECT_BNQ_ERROR(quantize_checkpoint(in, dir / "no/out", {}), ErrorKind::io, "no/out");
  EXPECT_BNQ_ERROR(quantize_checkpoint(in, dir.path(), {.replace = true}), ErrorKind::io, dir.path().string());
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);  // never a device of the machine: root could replace it
  EXPECT_BNQ_ERROR(quantize_checkpoint(in, dir / "pipe", {.replace = true}), ErrorKind::io, "pipe");
  EXPECT_TRUE(std::filesystem::is_fifo(dir / "pipe"));
  EXPECT_BNQ_ERROR(quantize_checkpoint(in, in / "below", {}), ErrorKind::io, "below");
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(QuantizeCheckpointTest, RefusesBeforeItWrites) {
  write_file(out, "old");
  const auto refuses = [&](const QuantizeOptions& options, std::string_view fragment) {
    EXPECT_BNQ_ERROR(quantize_checkpoint(in, out, options), ErrorKind::invalid_argument, fragment);
    EXPECT_EQ(read_file(out), "old");
    EXPECT_EQ(dir.entries(), 2);
  };
  refuses({.scheme = "9", .replace = true}, "'9'");
  refuses({.rules = {{"a", "8"}}, .strict = true, .replace = true}, "a=8");
  refuses({.rules = {{"ids", "8"}}, .replace = true}, "'ids'");
  refuses({.rules = {{"precise.weight", "8"}}, .replace = true}, "f64");
  refuses({.embeddings = "ten", .replace = true}, "'ten'");
}

TEST_F(QuantizeCheckpointTest, RefusesItsOwnOutput) {
  quantize_checkpoint(in, out, {});
  const std::string before = read_file(out);
  EXPECT_BNQ_ERROR(quantize_checkpoint(out, dir / "twice", {}), ErrorKind::bad_content, out.string(), "already",
                   "original");
  EXPECT_EQ(read_file(out), before);
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(QuantizeCheckpointTest, QuantizesWhatSavedPlainTensors) {
  save(dir / "plain", {{"a.weight", model.at("layers.0.q.weight")}});
  quantize_checkpoint(dir / "plain", out, {});
  EXPECT_TRUE(std::holds_alternative<QuantizedTensor>(bnq::load(out).at("a.weight")));
}

TEST_F(QuantizeCheckpointTest, QuantizesWhatWasDequantizedToTheSameCodes) {
  // In float32 no code of an integer scheme changes; the scale may move by its last bit.
  quantize_checkpoint(in, out, {.scheme = "8"});
  dequantize_checkpoint(out, dir / "floats", {.dtype = DType::f32});
  quantize_checkpoint(dir / "floats", dir / "again", {.scheme = "8"});
  for (const char* name : {"layers.0.q.weight", "layers.1.v.weight"}) {
    EXPECT_EQ(stored_bytes(dir / "again", name), stored_bytes(out, name));
  }
}

TEST_F(QuantizeCheckpointTest, CopiesAFileWithoutTensors) {
  write_tensors(in, {});
  const Plan plan = quantize_checkpoint(in, out, {});
  EXPECT_TRUE(plan.tensors.empty());
  EXPECT_EQ(plan.file_bytes_out, std::filesystem::file_size(out));
  EXPECT_TRUE(verify_checkpoint(in, out, {}).reproduced);
}

}  // namespace
}  // namespace bnq::test
