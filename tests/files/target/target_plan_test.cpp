#include "files/tensor_sets.h"
#include "support/expect_error.h"

#include <bnq/checkpoint.h>
#include <bnq/target.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bnq::test {
namespace {

constexpr const char* config = R"({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": false})";
constexpr const char* name = "model.layers.0.mlp.up_proj.weight";

std::vector<Scheme> schemes() {
  std::vector<Scheme> all;
  for (const Scheme& scheme : Scheme::all()) {
    if (scheme == Scheme::activations()) continue;
    for (const char* const text : {"tensor", "row", "group(32)", "group(64)", "group(48)"}) {
      all.push_back(scheme.with(Granularity::parse(text)));
    }
  }
  return all;
}

class TargetPlanTest : public TempDirTest {
 protected:
  std::filesystem::path folder(const Shape& shape) {
    Random random(31);
    const std::filesystem::path path = dir / to_string(shape);
    std::filesystem::create_directory(path);
    write_file(path / "config.json", config);
    write_tensors(path / "model.safetensors", {{name, gaussian(random, DType::f32, shape)}});
    return path;
  }
};

/// What the target takes is what a folder gets a client's form for, and the layout is that of the plan.
TEST_F(TargetPlanTest, FolderTargetsAgreeWithTheFormsThatClientsLoad) {
  for (const Shape& shape : {Shape{8, 64}, Shape{6, 64}, Shape{8, 100}, Shape{8, 96}}) {
    const std::filesystem::path in = folder(shape);
    for (const Scheme& scheme : schemes()) {
      SCOPED_TRACE(scheme.to_string() + " " + to_string(shape));
      const ClientForm form = client_form(config, {{name, shape, scheme, DType::f32}}, {});
      for (const char* const which : {"transformers", "vllm"}) {
        const Target target = Target::parse(which);
        const QuantizeOptions options{.scheme = scheme.to_string(), .target = which};
        const bool is_taken = target.refusal(scheme, shape).empty();
        if (!is_taken) {
          EXPECT_BNQ_ERROR(plan_checkpoint(in, options), ErrorKind::unsupported, name, which, "--keep");
          continue;
        }
        EXPECT_EQ(form.why_bnq_only, "");
        const Plan plan = plan_checkpoint(in, options);
        EXPECT_EQ(plan.tensors.front().layout, target.layout(scheme, shape));
        EXPECT_EQ(plan.client, form.name);
        EXPECT_EQ(plan.target, which);
        EXPECT_FALSE(plan.notes.empty());
      }
      EXPECT_EQ(form.why_bnq_only.empty(), Target::parse("transformers").refusal(scheme, shape).empty());
      if (Target::parse("vllm").refusal(scheme, shape).empty()) {
        EXPECT_EQ(form.name.find("compressed-tensors"), 0U);
      }
    }
  }
}

TEST_F(TargetPlanTest, WhatTheUserGotWrongIsSaidBeforeAFileIsOpened) {
  EXPECT_BNQ_ERROR(plan_checkpoint(dir / "missing", {.target = "ollama"}), ErrorKind::invalid_argument,
                   "target: unknown (got 'ollama'");
  EXPECT_BNQ_ERROR(convert_checkpoint(dir / "missing", dir / "out", {}), ErrorKind::invalid_argument, "neither");
  EXPECT_BNQ_ERROR(convert_checkpoint(dir / "missing", dir / "out",
                                      {.to = Layout::parse("i8"), .target = Target::parse("llama.cpp")}),
                   ErrorKind::invalid_argument, "both given");
  EXPECT_BNQ_ERROR(convert_checkpoint(dir / "missing", dir / "out", {.target = Target::parse("vllm")}),
                   ErrorKind::unsupported, "loads a model folder");
}

TEST_F(TargetPlanTest, SaysNothingWithoutATarget) {
  const Plan plan = plan_checkpoint(folder({8, 64}), {});
  EXPECT_EQ(plan.target, "");
  EXPECT_EQ(plan.target_layout, std::nullopt);
  EXPECT_TRUE(plan.notes.empty());
}

TEST_F(TargetPlanTest, VllmCallsLayersOfBertOtherwise) {
  Random random(32);
  const std::filesystem::path bert = dir / "bert";
  std::filesystem::create_directory(bert);
  write_file(bert / "config.json", R"({"architectures": ["BertModel"]})");
  write_tensors(bert / "model.safetensors",
                {{"encoder.layer.0.attention.self.query.weight", gaussian(random, DType::f32, {8, 64})}});
  EXPECT_BNQ_ERROR(plan_checkpoint(bert, {.target = "vllm"}), ErrorKind::unsupported, "attention.self.query",
                   "calls this layer otherwise", "another --target");
  EXPECT_EQ(plan_checkpoint(bert, {.target = "transformers"}).target, "transformers");
}

/// Nothing of what is written depends on the target.
TEST_F(TargetPlanTest, BytesAreThoseWithoutATarget) {
  const std::filesystem::path in = folder({8, 64});
  const auto written = [&](const char* target) {
    const std::filesystem::path out = dir / (std::string("out ") + target);
    quantize_checkpoint(in, out, {.scheme = "4", .target = target});
    return read_file(out / "model.safetensors") + read_file(out / "config.json");
  };
  const std::string plain = written("");
  EXPECT_EQ(written("vllm"), plain);
  EXPECT_EQ(written("transformers"), plain);
}

}  // namespace
}  // namespace bnq::test
