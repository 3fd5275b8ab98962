#include "raw_file.h"
#include "support/environment.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/quantize.h>
#include <bnq/tensor_file.h>
#include <bnq/version.h>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

using Stored = std::map<std::string, StoredTensor>;

class TensorFileTest : public TempDirTest {
 protected:
  std::filesystem::path path = dir / "tensors.safetensors";
};

void expect_same(const QuantizedTensor& got, const QuantizedTensor& need) {
  EXPECT_EQ(got.scheme(), need.scheme());
  EXPECT_EQ(got.dtype(), need.dtype());
  EXPECT_EQ(got.shape(), need.shape());
  EXPECT_TRUE(same_bytes(std::as_bytes(got.codes()), std::as_bytes(need.codes())));
  EXPECT_TRUE(same_bytes(std::as_bytes(got.scales()), std::as_bytes(need.scales())));
}

void expect_same(const Stored& got, const Stored& need) {
  EXPECT_EQ(got.size(), need.size());
  for (const auto& [name, tensor] : need) {
    SCOPED_TRACE(name);
    const auto found = got.find(name);
    ASSERT_NE(found, got.end());
    ASSERT_EQ(found->second.index(), tensor.index());
    if (const auto* const q = std::get_if<QuantizedTensor>(&tensor)) {
      expect_same(std::get<QuantizedTensor>(found->second), *q);
      continue;
    }
    const auto& plain = std::get<Tensor>(tensor);
    const auto& loaded = std::get<Tensor>(found->second);
    EXPECT_EQ(loaded.dtype(), plain.dtype());
    EXPECT_EQ(loaded.shape(), plain.shape());
    EXPECT_TRUE(same_bytes(loaded.bytes(), plain.bytes()));
  }
}

QuantizedTensor quantized(const Tensor& tensor, const char* scheme) {
  return quantize(tensor.view(), Scheme::parse(scheme));
}

/// Every scheme, granularity, float dtype and kind of shape.
Stored every_quantized_tensor() {
  Random random(721);
  Stored tensors;
  for (const Scheme& row : Scheme::all()) {
    for (const Granularity granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(3)}) {
      const Scheme scheme = row.with(granularity);
      for (const DType dtype : float_dtypes) {
        for (const Shape& shape : {Shape{}, {0}, {7}, {3, 0}, {0, 5}, {4, 8}, {5, 9}, {8, 33}, {2, 4, 6}}) {
          const std::string name = scheme.to_string() + "/" + std::string(bnq::name(dtype)) + "/" + to_string(shape);
          const Tensor values = gaussian(random, dtype, shape);
          tensors.emplace(name, quantize(values.view(), scheme));
        }
      }
    }
  }
  return tensors;
}

TEST_F(TensorFileTest, RoundTripsEverySchemeGranularityDtypeAndShape) {
  const Stored tensors = every_quantized_tensor();
  EXPECT_GE(tensors.size(), 9U * 3 * 3 * 9);
  save(path, tensors);
  expect_same(bnq::load(path), tensors);
}

TEST_F(TensorFileTest, RoundTripsPlainTensorsBeside) {
  Random random(722);
  Stored tensors;
  for (int d = 0; d <= static_cast<int>(DType::c64); ++d) {
    const auto dtype = static_cast<DType>(d);
    tensors.emplace("plain." + std::string(name(dtype)), noise(random, dtype, {3, 2}));
  }
  tensors.emplace("q", quantized(gaussian(random, DType::f32, {4, 8}), "ternary"));
  save(path, tensors);
  expect_same(bnq::load(path), tensors);
}

TEST_F(TensorFileTest, RoundTripsNothing) {
  save(path, {});
  EXPECT_TRUE(bnq::load(path).empty());
}

TEST_F(TensorFileTest, RoundTripsNamesOfAnyText) {
  Random random(723);
  Stored tensors;
  for (const char* name : {"", "a b", "β", "\"\\\n\x01", "__metadata", "q_scal", "../x"}) {
    tensors.emplace(name, quantized(gaussian(random, DType::f32, {4, 8}), "4"));
  }
  save(path, tensors);
  expect_same(bnq::load(path), tensors);
}

TEST_F(TensorFileTest, KeepsSubnormalAndZeroScales) {
  Stored tensors;
  tensors.emplace("tiny", quantized(make_tensor(DType::f32, {1, 2}, {1e-40F, -1e-40F}), "binary"));
  tensors.emplace("zero", quantized(make_tensor(DType::f32, {4, 1}, {0, 0, 0, 0}), "binary"));
  save(path, tensors);
  expect_same(bnq::load(path), tensors);
}

TEST_F(TensorFileTest, DependsOnNothingButTheTensors) {
  Random random(724);
  const Tensor w = gaussian(random, DType::bf16, {64, 4096});
  std::vector<std::string> files;
  for (const int threads : {1, 2, 7, 1}) {
    const ThreadCount count(threads);
    Stored tensors;
    for (const char* scheme : {"8", "3", "ternary", "1"}) tensors.emplace(scheme, quantized(w, scheme));
    tensors.emplace("plain", w);
    save(path, tensors, true);
    files.push_back(read_file(path));
    expect_same(bnq::load(path), tensors);
  }
  for (const std::string& file : files) EXPECT_EQ(file, files[0]);
}

/// The entries of each file form, as other programs see them.
TEST_F(TensorFileTest, WritesTheFormsThatAreDocumented) {
  Random random(725);
  const Tensor w = gaussian(random, DType::bf16, {8, 20});
  save(path, {{"i8", quantized(w, "8")},
              {"i32", quantized(w, "5")},
              {"u2", quantized(w, "ternary")},
              {"u1", quantized(w, "1")},
              {"rows", quantized(w, "ternary:row")},
              {"odd", quantized(gaussian(random, DType::f16, {3, 5}), "ternary")},
              {"scalar", quantized(make_tensor(DType::f32, {}, {3}), "4")}});
  std::map<std::string, std::string> got;
  const safetensors::Reader reader(path);
  for (const safetensors::Entry& entry : reader.tensors()) {
    got[entry.name] = std::string(name(entry.dtype)) + " " + to_string(entry.shape);
  }
  // 20 codes of 5 bits are 100 bits, four words of int32; of 2 bits two words.
  const std::map<std::string, std::string> need{
      {"i8", "i8 [8, 20]"},          {"i8_scale", "f32 [8, 1]"},   {"i32_packed", "i32 [8, 4]"},
      {"i32_scale", "f32 [8, 1]"},   {"i32_shape", "i64 [2]"},     {"u2", "u8 [2, 20]"},
      {"u2_scale", "f32 [1]"},       {"u1", "u8 [8, 3]"},          {"u1_scale", "f32 [1]"},
      {"rows_packed", "i32 [8, 2]"}, {"rows_scale", "f32 [8, 1]"}, {"rows_shape", "i64 [2]"},
      {"odd_packed", "i32 [3, 1]"},  {"odd_scale", "f32 [1]"},     {"odd_shape", "i64 [2]"},
      {"scalar", "i8 []"},           {"scalar_scale", "f32 [1]"}};
  EXPECT_EQ(got, need);
  EXPECT_EQ(reader.metadata().at("format"), "pt");
}

TEST_F(TensorFileTest, SaysInItsMetadataWhatItHolds) {
  Random random(726);
  save(path, {{"a.weight", quantized(gaussian(random, DType::bf16, {8, 20}), "ternary")}, {"b", make_tensor({1})}});
  const safetensors::Reader reader(path);
  const auto document = nlohmann::json::parse(reader.metadata().at("bnq"));
  EXPECT_EQ(document.at("version"), BNQ_VERSION);
  EXPECT_EQ(document.at("tensors").size(), 1U);
  const auto& entry = document.at("tensors").at("a.weight");
  EXPECT_EQ(entry.at("scheme"), "ternary-absmean:tensor");
  EXPECT_EQ(entry.at("layout"), "u2_hf");
  EXPECT_EQ(entry.at("dtype"), "bf16");
  EXPECT_EQ(entry.at("shape"), nlohmann::json({8, 20}));
}

/// Whole numbers over 64: every float dtype holds them exactly, on every machine.
Tensor steps(DType dtype, const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = (static_cast<float>(i * 37 % 101) - 50) / 64;
  return make_tensor(dtype, shape, values);
}

std::string hex(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += digits[static_cast<unsigned char>(byte) >> 4U];
    text += digits[static_cast<unsigned char>(byte) & 15U];
  }
  return text;
}

// Bytes on disk depend on no CPU and no compiler, and a later bnq has to read them. The data was computed a second time
// by a program of a few lines of numpy that shares nothing with bnq.
TEST_F(TensorFileTest, WritesTheGoldenFile) {
  save(path, {{"i8", quantized(steps(DType::f32, {2, 5}), "8")},
              {"i32", quantized(steps(DType::bf16, {2, 9}), "4:group(6)")},
              {"u2", quantized(steps(DType::f16, {4, 3}), "ternary")},
              {"u1", quantized(steps(DType::f32, {3, 10}), "1")},
              {"plain", steps(DType::f16, {3})}});
  const std::string metadata =
      R"({\"form\":1,\"tensors\":{)"
      R"(\"i32\":{\"dtype\":\"bf16\",\"layout\":\"i32_ct\",\"scheme\":\"int4-absmax:group(6)\",\"shape\":[2,9]},)"
      R"(\"i8\":{\"dtype\":\"f32\",\"layout\":\"i8\",\"scheme\":\"int8-absmax:row\",\"shape\":[2,5]},)"
      R"(\"u1\":{\"dtype\":\"f32\",\"layout\":\"u1\",\"scheme\":\"binary-absmean:tensor\",\"shape\":[3,10]},)"
      R"(\"u2\":{\"dtype\":\"f16\",\"layout\":\"u2_hf\",\"scheme\":\"ternary-absmean:tensor\",\"shape\":[4,3]}},)"
      R"(\"version\":\")" BNQ_VERSION R"(\"})";
  const std::string entries = R"("i32_shape":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
                              R"("i32_scale":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},)"
                              R"("i8_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[32,40]},)"
                              R"("u1_scale":{"dtype":"F32","shape":[1],"data_offsets":[40,44]},)"
                              R"("u2_scale":{"dtype":"F32","shape":[1],"data_offsets":[44,48]},)"
                              R"("i32_packed":{"dtype":"I32","shape":[2,2],"data_offsets":[48,64]},)"
                              R"("plain":{"dtype":"F16","shape":[3],"data_offsets":[64,70]},)"
                              R"("i8":{"dtype":"I8","shape":[2,5],"data_offsets":[70,80]},)"
                              R"("u1":{"dtype":"U8","shape":[3,2],"data_offsets":[80,86]},)"
                              R"("u2":{"dtype":"U8","shape":[1,3],"data_offsets":[86,89]}})";
  std::string header = R"({"__metadata__":{"bnq":")" + metadata + R"(","format":"pt"},)" + entries;
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string file = read_file(path);
  const std::size_t data = 8 + header.size();
  EXPECT_EQ(file.substr(0, data), with_length(header.size(), header));
  EXPECT_EQ(hex(file.substr(std::min(data, file.size()))),
            "020000000000000009000000000000004992e43d9224c93d6edbd63d9224a93d2693c93bc662b13b"
            "9a99c93e5555db3e612bd8930f000000b5712cf80300000040ba80b2003681df3d9af862a9147fc6"
            "a4016903d20200952a");
}

TEST_F(TensorFileTest, RefusesNamesThatItNeedsItself) {
  Random random(727);
  const Tensor w = gaussian(random, DType::f32, {4, 8});
  const auto refuses = [&](const Stored& tensors, std::string_view name) {
    EXPECT_BNQ_ERROR(save(path, tensors), ErrorKind::invalid_argument, name);
    EXPECT_EQ(dir.entries(), 0);
  };
  refuses({{"x", quantized(w, "8")}, {"x_scale", make_tensor({1})}}, "'x_scale'");
  refuses({{"x", quantized(w, "ternary")}, {"x_scale", make_tensor({1})}}, "'x_scale'");
  refuses({{"x", quantized(w, "4")}, {"x_scale", make_tensor({1})}}, "'x_scale'");
  refuses({{"x", quantized(w, "4")}, {"x_packed", make_tensor({1})}}, "'x_packed'");
  refuses({{"x", quantized(w, "4")}, {"x_shape", make_tensor({1})}}, "'x_shape'");
  refuses({{"x", quantized(w, "8")}, {"x_scale", quantized(w, "8")}}, "'x_scale'");
  refuses({{"x", quantized(w, "4")}, {"x_packed", quantized(w, "8")}}, "'x_packed'");
  refuses({{"__metadata__", make_tensor({1})}}, "__metadata__");
  refuses({{"a\xFF", make_tensor({1})}}, "a\\xff");
  refuses({{"a\xFF", quantized(w, "8")}}, "a\\xff");
}

TEST_F(TensorFileTest, TakesNamesThatOnlyLookLikeItsOwn) {
  Random random(728);
  const Stored tensors{{"x", quantized(gaussian(random, DType::f32, {4, 8}), "4")},
                       {"x_packed_scale", make_tensor({1})},
                       {"x_shapes", make_tensor({2})},
                       {"y_scale", make_tensor({3})}};
  save(path, tensors);
  expect_same(bnq::load(path), tensors);
}

TEST_F(TensorFileTest, ReplacesOnlyWhenAsked) {
  Random random(729);
  write_file(path, "old");
  const Stored tensors{{"x", quantized(gaussian(random, DType::f32, {4, 8}), "4")}};
  EXPECT_BNQ_ERROR(save(path, tensors), ErrorKind::exists, path.string());
  EXPECT_EQ(read_file(path), "old");
  EXPECT_BNQ_ERROR(save(path, {{"__metadata__", make_tensor({1})}}, true), ErrorKind::invalid_argument);
  EXPECT_EQ(read_file(path), "old");
  save(path, tensors, true);
  expect_same(bnq::load(path), tensors);
  EXPECT_EQ(dir.entries(), 1);
  EXPECT_BNQ_ERROR(save(dir / "no/f", tensors), ErrorKind::io, "no/f");
}

TEST_F(TensorFileTest, LoadsForeignFilesAsTheyAre) {
  Random random(730);
  TensorMap tensors;
  tensors.emplace("w.weight", noise(random, DType::i8, {4, 8}));
  tensors.emplace("w.weight_scale", gaussian(random, DType::f32, {4, 1}));
  tensors.emplace("v.weight_packed", noise(random, DType::i32, {4, 1}));
  write_tensors(path, tensors, {{"format", "pt"}, {"author", "β"}});
  const Stored loaded = bnq::load(path);
  ASSERT_EQ(loaded.size(), 3U);
  for (const auto& [name, tensor] : tensors) {
    ASSERT_TRUE(std::holds_alternative<Tensor>(loaded.at(name)));
    EXPECT_TRUE(same_bytes(std::get<Tensor>(loaded.at(name)).bytes(), tensor.bytes()));
  }
}

TEST_F(TensorFileTest, ReportsWhatTheReaderReports) {
  EXPECT_BNQ_ERROR(bnq::load(path), ErrorKind::io, path.string());
  write_file(path, "");
  EXPECT_BNQ_ERROR(bnq::load(path), ErrorKind::bad_content, path.string());
}

TEST_F(TensorFileTest, KeepsWhatWasLoadedWhenTheFileGoes) {
  Random random(731);
  const Stored tensors{{"q", quantized(gaussian(random, DType::f32, {4, 8}), "8")}, {"p", make_tensor({1, 2})}};
  save(path, tensors);
  const Stored loaded = bnq::load(path);
  std::filesystem::resize_file(path, 0);
  expect_same(loaded, tensors);
}

}  // namespace
}  // namespace bnq::test
