#include "support/environment.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

class VerifyTest : public TempDirTest {
 protected:
  VerifyTest() { write_tensors(original, model); }

  /// Quantizes the original and verifies it.
  Verification verified(const QuantizeOptions& options, const Gates& gates = {}) const {
    QuantizeOptions replacing = options;
    replacing.replace = true;
    quantize_checkpoint(original, quantized, replacing);
    return verify_checkpoint(original, quantized, gates);
  }

  /// Exactly this tensor is not what the original gives.
  void expect_only_wrong(const std::string& name) const {
    const Verification v = verify_checkpoint(original, quantized, {});
    EXPECT_FALSE(v.reproduced);
    EXPECT_FALSE(v.gates_met);
    for (const VerifiedTensor& tensor : v.tensors) EXPECT_EQ(tensor.reproduced, tensor.name != name) << tensor.name;
    EXPECT_NE(v.verdict.find("NOT REPRODUCED"), std::string::npos) << v.verdict;
    EXPECT_NE(v.verdict.find("'" + name + "'"), std::string::npos) << v.verdict;
  }

  TensorMap model = small_model(781);
  std::filesystem::path original = dir / "original.safetensors";
  std::filesystem::path quantized = dir / "quantized.safetensors";
};

const VerifiedTensor& find(const Verification& v, const std::string& name) {
  return *std::ranges::find(v.tensors, name, &VerifiedTensor::name);
}

TEST_F(VerifyTest, ReproducesWhatWasQuantized) {
  for (const char* scheme : {"8", "7", "4", "2", "ternary", "ternary:row", "1", "8:group(5)"}) {
    SCOPED_TRACE(scheme);
    const Verification v = verified({.scheme = scheme, .rules = {{"*bias", "8"}}, .embeddings = "8"});
    EXPECT_TRUE(v.reproduced);
    EXPECT_TRUE(v.gates_met);
    EXPECT_FALSE(v.lossless);
    EXPECT_TRUE(v.missing.empty());
    EXPECT_TRUE(v.extra.empty());
    EXPECT_EQ(v.tensors.size(), model.size());
    EXPECT_EQ(v.file_bytes_before, std::filesystem::file_size(original));
    EXPECT_EQ(v.file_bytes_after, std::filesystem::file_size(quantized));
    for (const VerifiedTensor& tensor : v.tensors) {
      EXPECT_TRUE(tensor.reproduced) << tensor.name;
      EXPECT_EQ(tensor.scheme.has_value(), tensor.report.has_value());
    }
  }
}

TEST_F(VerifyTest, MeasuresEachTensor) {
  const Verification v = verified({.scheme = "4"});
  const VerifiedTensor& q = find(v, "layers.0.q.weight");
  const Tensor& w = model.at("layers.0.q.weight");
  const Report need = report(w.view(), quantize(w.view(), *q.scheme));
  ASSERT_TRUE(q.report);
  EXPECT_EQ(q.report->sqnr_db, need.sqnr_db);
  EXPECT_EQ(q.report->cosine, need.cosine);
  EXPECT_EQ(q.report->max_abs_error, need.max_abs_error);
  EXPECT_EQ(q.report->saturated_share, need.saturated_share);
  EXPECT_EQ(q.bytes_before, w.nbytes());
  EXPECT_EQ(q.bytes_after, 8U * 8 + 8 * 4 + 16);  // eight rows of two words, eight scales, the shape
  const VerifiedTensor& copy = find(v, "norm.weight");
  EXPECT_FALSE(copy.scheme);
  EXPECT_EQ(copy.bytes_before, copy.bytes_after);
}

TEST_F(VerifyTest, CountsFloorsAndPrequantizedGranules) {
  Random random(782);
  model.emplace("zero.weight", Tensor(DType::f32, {4, 8}));
  model.emplace("ready.weight", ternary(random, DType::f32, {4, 8}));
  write_tensors(original, model);
  const Verification v = verified({.scheme = "ternary"});
  EXPECT_EQ(find(v, "zero.weight").report->floored_granules, 1);
  EXPECT_EQ(find(v, "ready.weight").report->prequantized_granules, 1);
  EXPECT_TRUE(find(v, "ready.weight").report->lossless);
  EXPECT_FALSE(v.lossless);
}

TEST_F(VerifyTest, CallsTernaryWeightsLossless) {
  Random random(783);
  write_tensors(original, {{"a.weight", ternary(random, DType::bf16, {8, 12})},
                           {"b.weight", ternary(random, DType::f32, {6, 10}, 0.3F)},
                           {"norm.weight", make_tensor({1, 2})}});
  const Verification v = verified({.scheme = "ternary"}, {.min_sqnr_db = 1000, .min_cosine = 1});
  EXPECT_TRUE(v.lossless);
  EXPECT_TRUE(v.reproduced);
  EXPECT_TRUE(v.gates_met);
  EXPECT_EQ(v.worst_sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(v.median_sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_NE(v.verdict.find("Lossless"), std::string::npos) << v.verdict;
}

TEST_F(VerifyTest, SpeaksPlainlyOfLoss) {
  const Verification ternary_loss = verified({.scheme = "ternary"});
  EXPECT_NE(ternary_loss.verdict.find("LARGE LOSS"), std::string::npos) << ternary_loss.verdict;
  EXPECT_NE(ternary_loss.verdict.find("dB"), std::string::npos) << ternary_loss.verdict;
  EXPECT_NE(ternary_loss.verdict.find("not trained"), std::string::npos) << ternary_loss.verdict;
  EXPECT_NE(verified({.scheme = "1"}).verdict.find("LARGE LOSS"), std::string::npos);
  EXPECT_NE(verified({.scheme = "2"}).verdict.find("LARGE LOSS"), std::string::npos);
  EXPECT_NE(verified({.scheme = "4"}).verdict.find("Some loss"), std::string::npos);
  const std::string near = verified({.scheme = "8"}).verdict;
  EXPECT_NE(near.find("Near lossless"), std::string::npos) << near;
  EXPECT_EQ(near.find("LOSS"), std::string::npos) << near;
  const Verification copy = verified({.rules = {{"*", "keep"}}});
  EXPECT_NE(copy.verdict.find("Nothing is quantized"), std::string::npos) << copy.verdict;
  EXPECT_FALSE(copy.worst_sqnr_db);
  EXPECT_FALSE(copy.median_sqnr_db);
  EXPECT_TRUE(copy.lossless);
}

TEST_F(VerifyTest, NamesTheWorstAndTheMedian) {
  Random random(784);
  TensorMap weights;
  for (const char* name : {"a.weight", "b.weight", "c.weight"}) {
    weights.emplace(name, gaussian(random, DType::f32, {16, 64}));
  }
  write_tensors(original, weights);
  const Verification v = verified({.rules = {{"a*", "8"}, {"b*", "2"}, {"c*", "4"}}});
  EXPECT_EQ(v.worst_name, "b.weight");
  EXPECT_EQ(v.worst_sqnr_db, find(v, "b.weight").report->sqnr_db);
  EXPECT_EQ(v.median_sqnr_db, find(v, "c.weight").report->sqnr_db);
  EXPECT_LT(*v.worst_sqnr_db, *v.median_sqnr_db);
}

TEST_F(VerifyTest, RefusesGatesThatMeanNothing) {
  verified({});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double gate : {nan, -infinity}) {
    EXPECT_BNQ_ERROR(verify_checkpoint(original, quantized, {.min_sqnr_db = gate}), ErrorKind::invalid_argument,
                     "min_sqnr_db");
  }
  for (const double gate : {nan, infinity, -infinity, 1.5, -2.0}) {
    EXPECT_BNQ_ERROR(verify_checkpoint(original, quantized, {.min_cosine = gate}), ErrorKind::invalid_argument,
                     "min_cosine");
  }
  EXPECT_FALSE(verify_checkpoint(original, quantized, {.min_sqnr_db = infinity}).gates_met);  // asks for lossless
}

TEST_F(VerifyTest, HoldsGates) {
  const QuantizeOptions options{.scheme = "8", .rules = {{"layers.1.q.weight", "2"}}};
  const Verification free = verified(options);
  const double worst = *free.worst_sqnr_db;
  const double cosine = find(free, "layers.1.q.weight").report->cosine;
  const auto missed = [&](const Gates& gates) {
    const Verification v = verify_checkpoint(original, quantized, gates);
    std::vector<std::string> names;
    for (const VerifiedTensor& tensor : v.tensors) {
      if (tensor.gate_missed) names.push_back(tensor.name);
    }
    EXPECT_EQ(v.gates_met, names.empty());
    EXPECT_TRUE(v.reproduced);
    return names;
  };
  const std::vector<std::string> none;
  const std::vector<std::string> one{"layers.1.q.weight"};
  EXPECT_EQ(missed({}), none);
  EXPECT_EQ(missed({.min_sqnr_db = worst}), none);
  EXPECT_EQ(missed({.min_sqnr_db = std::nextafter(worst, 1000)}), one);
  EXPECT_EQ(missed({.min_sqnr_db = 25}), one);
  EXPECT_EQ(missed({.min_sqnr_db = 200}).size(), 4U);
  EXPECT_EQ(missed({.min_cosine = cosine}), none);
  EXPECT_EQ(missed({.min_cosine = std::nextafter(cosine, 2)}), one);
  EXPECT_EQ(missed({.min_sqnr_db = -100, .min_cosine = 0.999}), one);
}

TEST_F(VerifyTest, NoticesAChangedCode) {
  verified({.scheme = "8"});
  const std::string name = "layers.1.q.weight";
  const char first = stored_bytes(quantized, name)[17];
  patch_tensor(quantized, name, 17, std::string(1, first == 1 ? '\2' : '\1'));
  expect_only_wrong(name);
}

TEST_F(VerifyTest, NoticesAChangedScale) {
  verified({.scheme = "ternary"});
  const std::string name = "layers.0.v.weight";
  std::string scale = stored_bytes(quantized, name + "_scale");
  scale[0] = static_cast<char>(scale[0] ^ 1);  // the last bit of the mantissa
  patch_tensor(quantized, name + "_scale", 0, scale);
  expect_only_wrong(name);
}

TEST_F(VerifyTest, NoticesANegativeZeroScale) {
  write_tensors(original, {{"z.weight", Tensor(DType::f32, {4, 8})}});
  verified({.scheme = "1"});
  ASSERT_EQ(stored_bytes(quantized, "z.weight_scale"), std::string(4, '\0'));
  patch_tensor(quantized, "z.weight_scale", 3, "\x80");
  expect_only_wrong("z.weight");
}

TEST_F(VerifyTest, NoticesAChangedCopy) {
  verified({});
  for (const char* name : {"norm.weight", "ids", "precise.weight", "lm_head.weight"}) {
    const std::string before = read_file(quantized);
    patch_tensor(quantized, name, 2, std::string(1, static_cast<char>(stored_bytes(quantized, name)[2] ^ 1)));
    expect_only_wrong(name);
    std::filesystem::remove(quantized);
    write_file(quantized, before);
  }
  EXPECT_TRUE(verify_checkpoint(original, quantized, {}).reproduced);
}

TEST_F(VerifyTest, NoticesAnotherOriginal) {
  verified({});
  patch_tensor(original, "layers.0.q.weight", 1, "\x3F");
  expect_only_wrong("layers.0.q.weight");
}

TEST_F(VerifyTest, RefusesBrokenCodesAndOriginals) {
  verified({.scheme = "ternary"});
  const std::string whole = read_file(quantized);
  patch_tensor(quantized, "layers.0.q.weight", 3, "\xFF");
  EXPECT_BNQ_ERROR(verify_checkpoint(original, quantized, {}), ErrorKind::bad_content, quantized.string(),
                   "'layers.0.q.weight'");
  std::filesystem::remove(quantized);
  write_file(quantized, whole);
  patch_tensor(original, "layers.0.q.weight", 2, "\xC0\x7F");
  EXPECT_BNQ_ERROR(verify_checkpoint(original, quantized, {}), ErrorKind::bad_content, original.string(),
                   "'layers.0.q.weight'", "NaN");
  EXPECT_BNQ_ERROR(verify_checkpoint(dir / "none", quantized, {}), ErrorKind::io, "none");
  EXPECT_BNQ_ERROR(verify_checkpoint(original, dir / "none", {}), ErrorKind::io, "none");
}

TEST_F(VerifyTest, ListsMissingAndExtraTensors) {
  verified({});
  TensorMap other = model;
  other.erase("layers.0.q.weight");
  other.erase("norm.weight");
  other.emplace("new.weight", make_tensor(DType::f32, {2, 2}, {1, 2, 3, 4}));
  other.emplace("new.bias", make_tensor({1}));
  write_tensors(original, other);
  const Verification v = verify_checkpoint(original, quantized, {});
  EXPECT_EQ(v.missing, (std::vector<std::string>{"new.bias", "new.weight"}));
  EXPECT_EQ(v.extra, (std::vector<std::string>{"layers.0.q.weight", "norm.weight"}));
  EXPECT_FALSE(v.reproduced);
  EXPECT_FALSE(v.lossless);
  EXPECT_FALSE(v.gates_met);
  EXPECT_NE(v.verdict.find("'new.bias'"), std::string::npos) << v.verdict;
  EXPECT_NE(v.verdict.find("'layers.0.q.weight'"), std::string::npos) << v.verdict;
}

TEST_F(VerifyTest, AnotherShapeOrDtypeIsNotReproduced) {
  verified({});
  for (const Tensor& tensor : {Tensor(DType::bf16, {12, 8}), Tensor(DType::f16, {8, 12}), Tensor(DType::i64, {2})}) {
    model.insert_or_assign("layers.0.q.weight", tensor);
    write_tensors(original, model);
    expect_only_wrong("layers.0.q.weight");
    const Verification v = verify_checkpoint(original, quantized, {.min_sqnr_db = 1});
    EXPECT_FALSE(find(v, "layers.0.q.weight").report);
    EXPECT_TRUE(find(v, "layers.0.q.weight").scheme);
    EXPECT_FALSE(v.gates_met);
    EXPECT_FALSE(v.lossless);
  }
}

TEST_F(VerifyTest, RefusesAnOriginalThatIsQuantized) {
  verified({});
  EXPECT_BNQ_ERROR(verify_checkpoint(quantized, original, {}), ErrorKind::bad_content, quantized.string(), "swap");
  EXPECT_BNQ_ERROR(verify_checkpoint(quantized, quantized, {}), ErrorKind::bad_content, quantized.string(), "swap");
}

TEST_F(VerifyTest, NoGateIsMetWhereNothingIsQuantized) {
  EXPECT_TRUE(verify_checkpoint(original, original, {}).gates_met);
  for (const Gates& gates : {Gates{.min_sqnr_db = -100}, Gates{.min_cosine = -1}}) {
    const Verification v = verify_checkpoint(original, original, gates);
    EXPECT_FALSE(v.gates_met);
    EXPECT_TRUE(v.reproduced);
    EXPECT_EQ(v.verdict, "Nothing is quantized: every tensor is an equal copy.");
  }
}

TEST_F(VerifyTest, TakesEmptyTensors) {
  write_tensors(original, {{"e.weight", Tensor(DType::f32, {0, 8})}, {"f.weight", Tensor(DType::f16, {4, 0})}});
  for (const char* scheme : {"8", "4", "ternary", "1"}) {
    const Verification v = verified({.scheme = scheme});
    EXPECT_TRUE(v.reproduced) << scheme;
    EXPECT_TRUE(v.lossless) << scheme;
  }
}

TEST_F(VerifyTest, GivesTheSameWithAnyNumberOfThreads) {
  std::vector<std::string> documents;
  for (const int threads : {1, 2, 7}) {
    const ThreadCount count(threads);
    documents.push_back(to_json(verified({.scheme = "4"})));
  }
  for (const std::string& document : documents) EXPECT_EQ(document, documents[0]);
}

TEST_F(VerifyTest, CanBeStopped) {
  verified({});
  int calls = 0;
  EXPECT_BNQ_ERROR(
      verify_checkpoint(original, quantized, {}, [&](std::uint64_t, std::uint64_t) { return ++calls < 3; }),
      ErrorKind::interrupted, "stopped as asked after ");
  EXPECT_EQ(calls, 3);
}

TEST_F(VerifyTest, IsOneJsonDocument) {
  Random random(785);
  model.emplace("ready.weight", ternary(random, DType::f32, {4, 8}));
  write_tensors(original, model);
  const Verification v = verified({.scheme = "ternary"}, {.min_sqnr_db = 100});
  const auto document = nlohmann::json::parse(to_json(v));
  EXPECT_EQ(document.at("schema"), "bnq.verification/1");
  EXPECT_EQ(document.at("tensors").size(), v.tensors.size());
  EXPECT_EQ(document.at("reproduced"), true);
  EXPECT_EQ(document.at("lossless"), false);
  EXPECT_EQ(document.at("gates_met"), false);
  EXPECT_EQ(document.at("verdict"), v.verdict);
  EXPECT_EQ(document.at("worst_name"), v.worst_name);
  EXPECT_EQ(document.at("worst_sqnr_db").get<double>(), *v.worst_sqnr_db);
  for (const auto& tensor : document.at("tensors")) {
    const VerifiedTensor& need = find(v, tensor.at("name").get<std::string>());
    EXPECT_EQ(tensor.at("gate_missed"), need.gate_missed);
    EXPECT_EQ(tensor.at("report").is_null(), !need.report);
    if (!need.report) continue;
    EXPECT_EQ(tensor.at("report").at("sqnr_db").is_null(), need.name == "ready.weight");  // infinite
  }
}

}  // namespace
}  // namespace bnq::test
