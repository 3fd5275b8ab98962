#include "support/expect_error.h"
#include "support/random.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace bnq::test {
namespace {

std::vector<Scheme> schemes() {
  std::vector<Scheme> all;
  for (const Scheme& scheme : Scheme::all()) {
    if (scheme == Scheme::activations()) continue;
    for (const char* const text : {"tensor", "row", "group(16)", "group(32)", "group(64)", "group(96)", "group(256)"}) {
      all.push_back(scheme.with(Granularity::parse(text)));
    }
  }
  return all;
}

const std::vector<Shape> shapes{{8, 256}, {6, 256}, {8, 64}, {8, 96}, {8, 128}, {8, 100}, {2, 2, 256}, {256}};

std::string layout_text(const char* target, const char* scheme, const Shape& shape) {
  const auto layout = Target::parse(target).layout(Scheme::parse(scheme), shape);
  return layout ? std::string(layout->name()) : "-";
}

TEST(Target, NamesEachOnce) {
  std::vector<std::string> names;
  for (const Target& target : Target::all()) {
    names.emplace_back(target.name());
    EXPECT_EQ(Target::parse(target.name()), target);
    EXPECT_FALSE(target.about().empty());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"transformers", "vllm", "llama.cpp", "bitnet.cpp", "onnxruntime"}));
}

TEST(Target, RefusesWhatIsNoShape) {
  const Scheme scheme = Scheme::parse("8");
  for (const Shape& shape : {Shape{-1, 64}, Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}}) {
    for (const Target& target : Target::all()) {
      EXPECT_BNQ_ERROR((void)target.refusal(scheme, shape), ErrorKind::invalid_argument, "shape [");
    }
  }
}

TEST(Target, UnknownNamesAreRefusedWithTheList) {
  for (const char* const text : {"", "vLLM", "llama.cpp ", "gguf", "\x1b[31m"}) {
    EXPECT_BNQ_ERROR(Target::parse(text), ErrorKind::invalid_argument, "target: unknown",
                     "transformers, vllm, llama.cpp, bitnet.cpp, onnxruntime");
  }
}

struct Pick {
  const char* scheme;
  Shape shape;
  const char* transformers;
  const char* vllm;
  const char* llama_cpp;
  const char* bitnet_cpp;
  const char* onnxruntime;
};

TEST(Target, PicksALayoutOrNone) {
  const std::vector<Pick> picks{
      {"8", {6, 256}, "i8", "i8", "q8_0", "-", "-"},
      {"8", {6, 100}, "i8", "i8", "-", "-", "-"},
      {"8:tensor", {6, 256}, "-", "-", "q8_0", "-", "-"},
      {"8:group(32)", {6, 256}, "-", "-", "q8_0", "-", "u8_ort"},
      {"6", {6, 256}, "i32_ct", "-", "q8_0", "-", "-"},
      {"4", {6, 256}, "i32_ct", "i32_ct", "q4_0", "-", "u4_ort"},
      {"4", {6, 96}, "-", "-", "q4_0", "-", "u4_ort"},  // a last group that is shorter: only ONNX Runtime fills it up,
      {"4", {6, 80}, "-", "-", "-", "-", "u4_ort"},     // and blocks of 32 are whole in 96
      {"4:row", {6, 256}, "i32_ct", "i32_ct", "q4_0", "-", "-"},
      {"4:group(16)", {6, 256}, "i32_ct", "-", "-", "-", "u4_ort"},
      {"4:group(256)", {6, 256}, "i32_ct", "-", "q4_0", "-", "u4_ort"},
      {"3", {6, 256}, "i32_ct", "-", "q4_0", "-", "u4_ort"},
      {"2", {8, 256}, "i32_ct", "-", "q2_0", "-", "u2_ort"},
      {"ternary", {8, 256}, "u2_hf", "-", "tq2_0", "i2_s", "-"},
      {"ternary", {6, 256}, "-", "-", "tq2_0", "i2_s", "-"},
      {"ternary", {8, 192}, "u2_hf", "-", "q2_0", "-", "-"},
      {"ternary", {8, 96}, "u2_hf", "-", "-", "-", "-"},
      {"ternary:row", {8, 256}, "-", "-", "tq2_0", "-", "-"},
      {"ternary:group(64)", {8, 256}, "-", "-", "q2_0", "-", "u2_ort"},
      {"binary", {8, 256}, "-", "-", "tq2_0", "i2_s", "-"},
      {"ternary", {2, 4, 256}, "-", "-", "-", "-", "-"},
      {"8", {256}, "-", "-", "-", "-", "-"},
  };
  for (const Pick& pick : picks) {
    SCOPED_TRACE(std::string(pick.scheme) + " " + to_string(pick.shape));
    EXPECT_EQ(layout_text("transformers", pick.scheme, pick.shape), pick.transformers);
    EXPECT_EQ(layout_text("vllm", pick.scheme, pick.shape), pick.vllm);
    EXPECT_EQ(layout_text("llama.cpp", pick.scheme, pick.shape), pick.llama_cpp);
    EXPECT_EQ(layout_text("bitnet.cpp", pick.scheme, pick.shape), pick.bitnet_cpp);
    EXPECT_EQ(layout_text("onnxruntime", pick.scheme, pick.shape), pick.onnxruntime);
  }
}

/// A layout or a reason, never both; and the layout holds what it is picked for.
TEST(Target, WhatItTakesPacksAndWhatNotHasAReason) {
  Random random(2207);
  for (const Target& target : Target::all()) {
    for (const Scheme& scheme : schemes()) {
      for (const Shape& shape : shapes) {
        SCOPED_TRACE(std::string(target.name()) + " " + scheme.to_string() + " " + to_string(shape));
        const auto layout = target.layout(scheme, shape);
        EXPECT_EQ(layout.has_value(), target.refusal(scheme, shape).empty());
        if (!layout) continue;
        EXPECT_NO_THROW(target.require("here", scheme, shape));
        if (scheme.granularity().group_size < shape.back()) {
          EXPECT_EQ(target.refusal(scheme), "");
        }
        EXPECT_FALSE(target.differences(scheme).empty());
        std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
        for (float& value : values) value = static_cast<float>(random.gaussian());
        const QuantizedTensor q = quantize({values.data(), DType::f32, shape}, scheme);
        const QuantizedTensor back = unpack(pack(q, *layout));
        EXPECT_TRUE(std::ranges::equal(back.codes(), q.codes()));
      }
    }
  }
}

TEST(Target, ListsSchemesThatItTakes) {
  const auto listed = [](const char* target) {
    std::string text;
    for (const Scheme& scheme : Target::parse(target).schemes()) text += scheme.to_string() + " ";
    return text;
  };
  EXPECT_EQ(listed("vllm"), "int8-absmax:row int4-absmax:group(64) ");
  EXPECT_EQ(listed("bitnet.cpp"), "int2-absmax:tensor ternary-absmean:tensor binary-absmean:tensor ");
  EXPECT_EQ(listed("onnxruntime").substr(0, 42), "int8-absmax:group(64) int7-absmax:group(64");
  EXPECT_EQ(Target::parse("llama.cpp").schemes().size(), Scheme::all().size() - 1);
  for (const Target& target : Target::all()) {
    for (const Scheme& scheme : target.schemes()) EXPECT_EQ(target.refusal(scheme), "");
  }
}

TEST(Target, SaysWhyAndWhatWouldDo) {
  const Target llama = Target::parse("llama.cpp");
  const Scheme ternary = Scheme::parse("ternary");
  EXPECT_EQ(
      llama.refusal(ternary, {8, 100}),
      "layout tq2_0 needs a depth in multiples of 256, the tensor has 100; q2_0 needs a depth in multiples of 64, "
      "the tensor has 100");
  EXPECT_BNQ_ERROR(llama.require("here", ternary, {8, 100}), ErrorKind::unsupported, "here: llama.cpp cannot hold it",
                   "ternary-absmean:tensor [8, 100]", "keep it in floats");
  EXPECT_BNQ_ERROR(Target::parse("bitnet.cpp").require("here", Scheme::parse("8")), ErrorKind::unsupported,
                   "here: bitnet.cpp cannot run it: layout i2_s needs codes -1, 0, +1, int8-absmax has others",
                   "such as int2-absmax:tensor, ternary-absmean:tensor");
  EXPECT_BNQ_ERROR(Target::parse("vllm").require("here", ternary), ErrorKind::unsupported, "no layers for BitNet");
  EXPECT_BNQ_ERROR(Target::parse("onnxruntime").require("here", Scheme::parse("8")), ErrorKind::unsupported,
                   "u8_ort needs a scale for each group of 16, 32, 64, 128 or 256, not by row",
                   "need a scheme such as int8-absmax:group(64))");
  EXPECT_NO_THROW(llama.require("here", ternary));
  EXPECT_NO_THROW(llama.require("here", ternary, {8, 256}));
}

TEST(Target, NamesVersionsKnownToBeWrong) {
  const auto says = [](const char* target, const char* scheme, const char* what) {
    return std::ranges::any_of(Target::parse(target).differences(Scheme::parse(scheme)),
                               [&](const std::string& text) { return text.find(what) != std::string::npos; });
  };
  EXPECT_TRUE(says("transformers", "ternary", "5.0 to 5.12"));
  EXPECT_TRUE(says("transformers", "8", "127.5"));
  EXPECT_TRUE(says("llama.cpp", "ternary", "squared ReLU"));
  EXPECT_FALSE(says("llama.cpp", "8", "squared ReLU"));
  EXPECT_TRUE(says("bitnet.cpp", "ternary", "July 2026"));
}

}  // namespace
}  // namespace bnq::test
