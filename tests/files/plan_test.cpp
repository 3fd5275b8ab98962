#include "raw_file.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

class PlanTest : public TempDirTest {
 protected:
  /// Plans a file of these tensors, all zero.
  Plan plan(const std::map<std::string, std::pair<DType, Shape>>& tensors, const QuantizeOptions& options = {}) const {
    TensorMap zeros;
    for (const auto& [name, form] : tensors) zeros.emplace(name, Tensor(form.first, form.second));
    write_tensors(path, zeros);
    return plan_checkpoint(path, options);
  }

  /// What is planned for one f32 tensor [4, 8] of this name: its scheme, or why it is kept.
  std::string planned(const std::string& name, const QuantizeOptions& options = {}) const {
    return planned(name, {DType::f32, {4, 8}}, options);
  }
  std::string planned(const std::string& name, const std::pair<DType, Shape>& form,
                      const QuantizeOptions& options = {}) const {
    const PlannedTensor tensor = plan({{name, form}}, options).tensors.at(0);
    EXPECT_EQ(tensor.scheme.has_value(), tensor.layout.has_value());
    EXPECT_EQ(tensor.scheme.has_value(), !tensor.reason.starts_with("kept: ")) << tensor.reason;
    return tensor.scheme ? tensor.scheme->to_string() : tensor.reason;
  }

  std::filesystem::path path = dir / "model.safetensors";
};

constexpr const char* int8 = "int8-absmax:row";

TEST_F(PlanTest, QuantizesLinearWeights) {
  for (const DType dtype : float_dtypes) EXPECT_EQ(planned("layers.0.q_proj.weight", {dtype, {4, 8}}), int8);
  EXPECT_EQ(planned("a.weight"), int8);
  EXPECT_EQ(planned(".weight"), int8);
  EXPECT_EQ(planned("unembe.weight"), int8);
  EXPECT_EQ(planned("wt.e.weight"), int8);
  EXPECT_EQ(planned("lmhead.weight"), int8);
  EXPECT_EQ(planned("no.rm.weight"), int8);
  EXPECT_EQ(planned("a.weight", {DType::f32, {1, 1}}), int8);
  EXPECT_EQ(planned("a.weight", {DType::f32, {0, 8}}), int8);
  EXPECT_EQ(plan({{"a.weight", {DType::f32, {4, 8}}}}).tensors[0].reason, "linear weight");
}

TEST_F(PlanTest, KeepsWhatIsNoMatrixOfFloats) {
  for (const char* name : {"weight", "a.bias", "a.weights", "a.weight.0", "a.weight_g", "a_weight", "a.Wei", ""}) {
    EXPECT_NE(planned(name).find("kept: "), std::string::npos) << name;
  }
  for (const Shape& shape : {Shape{}, {8}, {2, 2, 8}, {1, 1, 1, 1}}) {
    EXPECT_NE(planned("a.weight", {DType::f32, shape}).find("kept: "), std::string::npos) << to_string(shape);
  }
  for (int d = 0; d <= static_cast<int>(DType::c64); ++d) {
    const auto dtype = static_cast<DType>(d);
    if (is_quantizable(dtype)) continue;
    const std::string reason = planned("a.weight", {dtype, {4, 8}});
    EXPECT_NE(reason.find("kept: "), std::string::npos) << name(dtype);
    EXPECT_NE(reason.find(name(dtype)), std::string::npos) << reason;
  }
}

TEST_F(PlanTest, KeepsWhatItsNameSays) {
  const std::vector<std::pair<const char*, const char*>> names{
      {"model.embed_tokens.weight", "embedding"},
      {"embeddings.word_embeddings.weight", "embedding"},
      {"embeddings.position_embeddings.weight", "embedding"},
      {"transformer.wte.weight", "embedding"},
      {"transformer.wpe.weight", "embedding"},
      {"shared.weight", "embedding"},
      {"lm_head.weight", "head"},
      {"model.lm_head.dense.weight", "head"},
      {"model.norm.weight", "norm"},
      {"encoder.LayerNorm.weight", "norm"},
      {"layers.0.input_layernorm.weight", "norm"},
      {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "bias"}};
  for (const auto& [name, why] : names) {
    const std::string reason = planned(name);
    EXPECT_NE(reason.find("kept: "), std::string::npos) << name << ": " << reason;
    EXPECT_NE(reason.find(why), std::string::npos) << name << ": " << reason;
  }
}

TEST_F(PlanTest, QuantizesEmbeddingsAndHeadWhenAsked) {
  const QuantizeOptions embeddings{.embeddings = "4"};
  const QuantizeOptions head{.head = "ternary"};
  for (const char* name : {"embed.weight", "embeddings.position_embeddings.weight", "wte.weight", "wpe.weight",
                           "embeddings.token_type_embeddings.weight", "shared.weight"}) {
    EXPECT_EQ(planned(name, embeddings), "int4-absmax:group(64)") << name;
    EXPECT_NE(planned(name, head).find("kept: "), std::string::npos) << name;
  }
  EXPECT_EQ(planned("lm_head.weight", head), "ternary-absmean:tensor");
  EXPECT_NE(planned("lm_head.weight", embeddings).find("kept: "), std::string::npos);
  EXPECT_EQ(planned("a.weight", embeddings), int8);
  // Asked for or not: a norm is no embedding, and a table has two axes.
  EXPECT_NE(planned("embeddings.LayerNorm.weight", embeddings).find("kept: "), std::string::npos);
  EXPECT_NE(planned("embed.weight", {DType::f32, {8}}, embeddings).find("kept: "), std::string::npos);
  EXPECT_NE(planned("embed.weight", {DType::i8, {4, 8}}, embeddings).find("kept: "), std::string::npos);
  EXPECT_NE(planned("embed.position_ids", embeddings).find("kept: "), std::string::npos);
  EXPECT_NE(planned("embed.weight", QuantizeOptions{.embeddings = "keep"}).find("kept: "), std::string::npos);
}

TEST_F(PlanTest, UsesTheSchemeThatWasAskedFor) {
  EXPECT_EQ(planned("a.weight", QuantizeOptions{.scheme = "int3-absmax:group(16)"}), "int3-absmax:group(16)");
  EXPECT_EQ(planned("a.weight", QuantizeOptions{.scheme = "1"}), "binary-absmean:tensor");
  for (const char* scheme : {"", "9", "int8:rows", "keep", "float8", "8 "}) {
    EXPECT_BNQ_ERROR(planned("a.weight", QuantizeOptions{.scheme = scheme}), ErrorKind::invalid_argument) << scheme;
    if (std::string_view(scheme).empty() || std::string_view(scheme) == "keep") continue;
    EXPECT_BNQ_ERROR(planned("b", {.embeddings = scheme}), ErrorKind::invalid_argument, "need");
    EXPECT_BNQ_ERROR(planned("b", {.head = scheme}), ErrorKind::invalid_argument, "need");
    EXPECT_BNQ_ERROR(planned("b", {.rules = {{"*", scheme}}}), ErrorKind::invalid_argument, "need");
  }
}

TEST_F(PlanTest, TheLastRuleThatMatchesWins) {
  EXPECT_EQ(planned("a.weight", {.rules = {{"*", "4"}, {"a*", "ternary"}, {"b*", "1"}}}), "ternary-absmean:tensor");
  EXPECT_EQ(planned("a.weight", {.rules = {{"a*", "ternary"}, {"*", "4"}}}), "int4-absmax:group(64)");
  EXPECT_EQ(planned("a.weight", {.rules = {{"*", "4"}, {"a*", "keep"}}}), "kept: rule 'a*=keep'");
  EXPECT_EQ(planned("a.weight", {.rules = {{"*", "keep"}, {"a*", "4"}}}), "int4-absmax:group(64)");
  EXPECT_EQ(plan({{"a.weight", {DType::f32, {4, 8}}}}, {.rules = {{"a*", "4"}}}).tensors[0].reason, "rule 'a*=4'");
}

TEST_F(PlanTest, RulesGoBeforeNames) {
  const QuantizeOptions all{.rules = {{"*", "8"}}, .embeddings = "4", .head = "4"};
  for (const char* name : {"embed.weight", "lm_head.weight", "norm.weight", "a.bias", "weight", "x"}) {
    EXPECT_EQ(planned(name, all), int8) << name;
  }
  for (const Shape& shape : {Shape{}, {8}, {2, 2, 8}}) EXPECT_EQ(planned("x", {DType::bf16, shape}, all), int8);
  EXPECT_EQ(planned("embed.weight", {.rules = {{"embed*", "keep"}}, .embeddings = "4"}), "kept: rule 'embed*=keep'");
}

TEST_F(PlanTest, PatternsAreThoseOfTheShell) {
  const auto matches = [&](const std::string& pattern, const std::string& name) {
    return planned(name, {.rules = {{pattern, "1"}}}) == "binary-absmean:tensor";
  };
  EXPECT_TRUE(matches("a.weight", "a.weight"));
  EXPECT_TRUE(matches("*", "a.b.weight"));
  EXPECT_TRUE(matches("*", "a/b.weight"));
  EXPECT_TRUE(matches("*", ".hidden.weight"));
  EXPECT_TRUE(matches("layers.*.q.weight", "layers.10.q.weight"));
  EXPECT_TRUE(matches("layers.?.q.weight", "layers.3.q.weight"));
  EXPECT_TRUE(matches("layers.[0-3].q.weight", "layers.3.q.weight"));
  EXPECT_TRUE(matches("layers.[!0-3].q.weight", "layers.4.q.weight"));
  EXPECT_TRUE(matches("a\\*.weight", "a*.weight"));
  EXPECT_TRUE(matches("β.*", "β.weight"));
  EXPECT_FALSE(matches("layers.?.q.weight", "layers.10.q.weight"));
  EXPECT_FALSE(matches("layers.[0-3].q.weight", "layers.4.q.weight"));
  EXPECT_FALSE(matches("layers.[!0-3].q.weight", "layers.3.q.weight"));
  EXPECT_FALSE(matches("a", "a.weight"));
  EXPECT_FALSE(matches("weight", "a.weight"));
  EXPECT_FALSE(matches("A.weight", "a.weight"));
  EXPECT_FALSE(matches("a.weight", "axweight"));
  EXPECT_FALSE(matches("a\\*.weight", "ab.weight"));
  EXPECT_TRUE(matches("\\[", "["));
  EXPECT_TRUE(matches("[]]", "]"));
  EXPECT_TRUE(matches("[!]]", "a"));
  EXPECT_TRUE(matches("[[]", "["));
  EXPECT_FALSE(matches("{a,b}.weight", "a.weight"));  // no braces
  for (const char* open : {"[", "[]", "[!", "[!]", "[^]", "a[0-3.q", "[a][b", "\\\\[a"}) {
    EXPECT_BNQ_ERROR(matches(open, "a.weight"), ErrorKind::invalid_argument, "rule '" + std::string(open) + "=1'",
                     "never closed");
  }
}

TEST_F(PlanTest, CountsTheHitsOfEachRule) {
  const Plan p = plan({{"a.weight", {DType::f32, {4, 8}}}, {"b.weight", {DType::f32, {4, 8}}}},
                      {.rules = {{"*", "4"}, {"a*", "keep"}, {"c*", "8"}}});
  ASSERT_EQ(p.rules.size(), 3U);
  EXPECT_EQ(p.rules[0].rule, "*=4");
  EXPECT_EQ(p.rules[0].hits, 2);
  EXPECT_EQ(p.rules[1].hits, 1);
  EXPECT_EQ(p.rules[2].hits, 0);
  ASSERT_EQ(p.warnings.size(), 1U);
  EXPECT_NE(p.warnings[0].find("c*=8"), std::string::npos);
}

TEST_F(PlanTest, KnowsExpertsAndTheirRouters) {
  const Plan p = plan({{"layers.0.mlp.experts.gate_up_proj", {DType::bf16, {2, 8, 12}}},
                       {"layers.0.mlp.experts.1.w2.weight", {DType::bf16, {8, 12}}},
                       {"layers.0.mlp.gate.weight", {DType::bf16, {2, 12}}},
                       {"layers.0.mlp.gate_proj.weight", {DType::bf16, {8, 12}}},
                       {"layers.0.mlp.router.layer.weight", {DType::bf16, {2, 12}}},
                       {"layers.0.mlp.shared_expert_gate.weight", {DType::bf16, {1, 12}}}});
  for (const PlannedTensor& tensor : p.tensors) {
    const bool is_linear = tensor.name.ends_with("w2.weight") || tensor.name.ends_with("gate_proj.weight");
    EXPECT_EQ(tensor.scheme.has_value(), is_linear) << tensor.name << ": " << tensor.reason;
  }
  ASSERT_EQ(p.warnings.size(), 1U);
  EXPECT_NE(p.warnings[0].find("1 tensor of fused experts (384 bytes) stay float"), std::string::npos);
}

TEST_F(PlanTest, WarnsOfOneScaleForSeveralLayers) {
  const std::map<std::string, std::pair<DType, Shape>> fused{{"attn.qkv_proj.weight", {DType::f32, {12, 8}}},
                                                             {"mlp.up_proj.weight", {DType::f32, {12, 8}}}};
  ASSERT_EQ(plan(fused, {.scheme = "ternary"}).warnings.size(), 1U);
  EXPECT_NE(plan(fused, {.scheme = "ternary"}).warnings[0].find("1 tensor with several layers fused"),
            std::string::npos);
  EXPECT_TRUE(plan(fused, {.scheme = "ternary:row"}).warnings.empty());
  EXPECT_TRUE(plan(fused, {.scheme = "8"}).warnings.empty());
}

TEST_F(PlanTest, RefusesSchemesThatNameWhatOthersMade) {
  EXPECT_BNQ_ERROR(planned("a.weight", {.scheme = "int4-given"}), ErrorKind::invalid_argument,
                   "names what another program made");
}

TEST_F(PlanTest, ARuleWithoutAHitIsAnErrorWhenStrict) {
  const QuantizeOptions options{.rules = {{"*", "4"}, {"typo*", "8"}}, .strict = true};
  EXPECT_BNQ_ERROR(planned("a.weight", options), ErrorKind::invalid_argument, "typo*=8");
  EXPECT_EQ(planned("a.weight", QuantizeOptions{.rules = {{"a*", "4"}}, .strict = true}), "int4-absmax:group(64)");
}

TEST_F(PlanTest, RefusesHalfRules) {
  EXPECT_BNQ_ERROR(planned("a.weight", {.rules = {{"", "4"}}}), ErrorKind::invalid_argument, "rule");
  EXPECT_BNQ_ERROR(planned("a.weight", {.rules = {{"*", ""}}}), ErrorKind::invalid_argument, "rule");
}

TEST_F(PlanTest, SaysWhichTextIsNoScheme) {
  EXPECT_BNQ_ERROR(planned("a", {.embeddings = "9"}), ErrorKind::invalid_argument, "embeddings: ", "keep");
  EXPECT_BNQ_ERROR(planned("a", {.head = "9"}), ErrorKind::invalid_argument, "head: ", "keep");
  EXPECT_BNQ_ERROR(planned("a", {.rules = {{"b*", "9"}}}), ErrorKind::invalid_argument, "rule 'b*=9': ", "keep");
}

TEST_F(PlanTest, RefusesTheSchemeOfActivations) {
  const std::string scheme = Scheme::activations().to_string();
  EXPECT_BNQ_ERROR(planned("a", {.scheme = scheme}), ErrorKind::invalid_argument, "is for activations");
  EXPECT_BNQ_ERROR(planned("a", {.head = scheme}), ErrorKind::invalid_argument, "head", "is for activations");
  EXPECT_BNQ_ERROR(planned("a", {.rules = {{"a", "int8-token"}}}), ErrorKind::invalid_argument, "rule 'a=int8-token'",
                   "is for activations");
}

TEST_F(PlanTest, SaysWhyNothingIsQuantized) {
  const auto why = [&](const QuantizeOptions& options) {
    return plan({{"a.weight", {DType::f32, {4, 8}}}, {"b", {DType::f32, {4}}}, {"ids", {DType::i64, {4}}}}, options)
        .warnings.at(0);
  };
  EXPECT_EQ(why({.rules = {{"*", "keep"}}}), "nothing is quantized: every float tensor is kept by a rule");
  EXPECT_EQ(why({.rules = {{"a*", "keep"}}}),
            "nothing is quantized: what no rule keeps is no linear weight by name and shape");
  EXPECT_EQ(plan({{"b", {DType::f32, {4}}}}).warnings.at(0),
            "nothing is quantized: no tensor is a linear weight by name and shape");
}

TEST_F(PlanTest, RefusesRulesThatCannotBeFollowed) {
  for (const DType dtype : {DType::f64, DType::i64, DType::i8, DType::boolean, DType::f8_e4m3}) {
    EXPECT_BNQ_ERROR(planned("ids", {dtype, {4, 8}}, {.rules = {{"ids", "8"}}}), ErrorKind::invalid_argument, "ids=8",
                     "'ids'", "f32, f16 or bf16");
    EXPECT_BNQ_ERROR(planned("ids", {dtype, {4, 8}}, {.rules = {{"i*", "8"}}}), ErrorKind::invalid_argument, "i*=8");
    EXPECT_NE(planned("ids", {dtype, {4, 8}}, {.rules = {{"ids", "keep"}}}).find("kept: "), std::string::npos);
  }
  // A wide pattern that hits floats passes over the others.
  const Plan p = plan({{"a.ids", {DType::i64, {4}}}, {"a.weight", {DType::f32, {4, 8}}}}, {.rules = {{"a*", "4"}}});
  EXPECT_EQ(p.rules[0].hits, 1);
  EXPECT_FALSE(p.tensors[0].scheme);
  EXPECT_TRUE(p.tensors[1].scheme);
}

TEST_F(PlanTest, ChoosesTheSmallestLayout) {
  const auto layout = [&](const char* scheme, const Shape& shape) {
    return std::string(plan({{"x", {DType::f32, shape}}}, {.rules = {{"*", scheme}}}).tensors[0].layout->name());
  };
  EXPECT_EQ(layout("8", {4, 8}), "i8");
  EXPECT_EQ(layout("7", {4, 8}), "i32_ct");
  EXPECT_EQ(layout("2", {4, 8}), "i32_ct");
  EXPECT_EQ(layout("ternary", {4, 8}), "u2_hf");
  EXPECT_EQ(layout("ternary", {6, 8}), "i32_ct");
  EXPECT_EQ(layout("ternary:row", {4, 8}), "i32_ct");
  EXPECT_EQ(layout("ternary", {8}), "i32_ct");
  EXPECT_EQ(layout("ternary", {}), "i8");
  EXPECT_EQ(layout("1", {4, 8}), "u1");
  EXPECT_EQ(layout("1", {}), "i8");
}

TEST_F(PlanTest, CountsBytes) {
  const Plan p = plan({{"a.weight", {DType::bf16, {8, 20}}}, {"b", {DType::f32, {3}}}}, {.scheme = "5"});
  // Eight rows of 100 bits in four int32 words, eight scales, two int64 of shape.
  EXPECT_EQ(p.tensors[0].name, "b");
  EXPECT_EQ(p.tensors[0].bytes_in, 12U);
  EXPECT_EQ(p.tensors[0].bytes_out, 12U);
  EXPECT_EQ(p.tensors[1].bytes_in, 320U);
  EXPECT_EQ(p.tensors[1].bytes_out, 8U * 16 + 8 * 4 + 16);
  EXPECT_EQ(p.file_bytes_in, std::filesystem::file_size(path));
}

TEST_F(PlanTest, ListsTensorsInTheOrderOfTheirBytes) {
  write_file(path, raw_file("{" + raw_entry("a", "U8", "[1]", "[2,3]") + "," + raw_entry("b", "U8", "[1]", "[0,1]") +
                                "," + raw_entry("c", "U8", "[1]", "[1,2]") + "}",
                            3));
  std::string names;
  for (const PlannedTensor& tensor : plan_checkpoint(path, {}).tensors) names += tensor.name;
  EXPECT_EQ(names, "bca");
}

TEST_F(PlanTest, WarnsOfPoorChoices) {
  const std::map<std::string, std::pair<DType, Shape>> two{{"a.weight", {DType::f32, {4, 8}}},
                                                           {"b.weight", {DType::f32, {4, 8}}}};
  const Plan p = plan(two, {.scheme = "2"});
  ASSERT_EQ(p.warnings.size(), 1U);  // once, not for each tensor
  EXPECT_NE(p.warnings[0].find("int2-absmax is worse than ternary"), std::string::npos);
  EXPECT_TRUE(plan(two).warnings.empty());
  const Plan nothing = plan({{"a.bias", {DType::f32, {8}}}});
  ASSERT_EQ(nothing.warnings.size(), 1U);
  EXPECT_NE(nothing.warnings[0].find("nothing is quantized"), std::string::npos);
}

TEST_F(PlanTest, RefusesWhatIsPackedAlready) {
  const auto refuses = [&](const std::map<std::string, std::pair<DType, Shape>>& tensors, const char* name) {
    EXPECT_BNQ_ERROR(plan(tensors), ErrorKind::bad_content, path.string(), name, "already", "original");
  };
  refuses({{"a.weight", {DType::i8, {4, 8}}}, {"a.weight_scale", {DType::f32, {4, 1}}}}, "'a.weight'");
  refuses({{"a.weight", {DType::u8, {1, 8}}}, {"a.weight_scale", {DType::bf16, {1}}}}, "'a.weight'");
  refuses({{"a.weight_packed", {DType::i32, {4, 1}}}, {"a.weight_scale", {DType::f16, {4, 1}}}}, "'a.weight_packed'");
  EXPECT_NO_THROW(plan({{"mask", {DType::i8, {4, 8}}}, {"a.weight_scale", {DType::f32, {4, 1}}}}));
  EXPECT_NO_THROW(plan({{"a.weight", {DType::u8, {4, 8}}}}));
}

TEST_F(PlanTest, RefusesANameThatAPartNeeds) {
  const std::map<std::string, std::pair<DType, Shape>> clash{{"a.weight", {DType::f32, {4, 8}}},
                                                             {"a.weight_scale", {DType::f32, {4, 1}}}};
  EXPECT_BNQ_ERROR(plan(clash), ErrorKind::bad_content, path.string(), "'a.weight_scale'", "keep");
  EXPECT_NO_THROW(plan(clash, {.rules = {{"a.weight", "keep"}}}));
}

TEST_F(PlanTest, ReportsWhatTheReaderReports) {
  EXPECT_BNQ_ERROR(plan_checkpoint(path, {}), ErrorKind::io, path.string());
  write_file(path, raw_file("{]"));
  EXPECT_BNQ_ERROR(plan_checkpoint(path, {}), ErrorKind::bad_content, path.string());
  std::filesystem::create_directory(dir / "empty");
  EXPECT_BNQ_ERROR(plan_checkpoint(dir / "empty", {}), ErrorKind::bad_content, "holds no weights");
}

TEST_F(PlanTest, WritesNothing) {
  plan({{"a.weight", {DType::f32, {4, 8}}}});
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(PlanTest, IsOneJsonDocument) {
  const Plan p = plan({{"a.weight", {DType::bf16, {8, 20}}}, {"\x1b\"β", {DType::f64, {}}}},
                      {.scheme = "5", .rules = {{"no\xFF", "4"}}});
  const auto document = nlohmann::json::parse(to_json(p));
  EXPECT_EQ(document.at("schema"), "bnq.plan/1");
  EXPECT_EQ(document.at("file_bytes_in"), p.file_bytes_in);
  EXPECT_EQ(document.at("file_bytes_out"), p.file_bytes_out);
  EXPECT_EQ(document.at("warnings").size(), 1U);
  EXPECT_EQ(document.at("rules").at(0).at("hits"), 0);
  ASSERT_EQ(document.at("tensors").size(), 2U);
  const auto& kept = document.at("tensors").at(0);
  EXPECT_EQ(kept.at("name"), "\x1b\"β");
  EXPECT_TRUE(kept.at("scheme").is_null());
  EXPECT_TRUE(kept.at("layout").is_null());
  const auto& linear = document.at("tensors").at(1);
  EXPECT_EQ(linear.at("dtype"), "bf16");
  EXPECT_EQ(linear.at("shape"), nlohmann::json({8, 20}));
  EXPECT_EQ(linear.at("scheme"), "int5-absmax:row");
  EXPECT_EQ(linear.at("layout"), "i32_ct");
  EXPECT_EQ(linear.at("reason"), "linear weight");
  EXPECT_EQ(linear.at("bytes_in"), 320);
  EXPECT_EQ(linear.at("bytes_out"), p.tensors[1].bytes_out);
}

}  // namespace
}  // namespace bnq::test
