#include "support/expect_error.h"
#include "support/oracle_bridge.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace bnq::test {
namespace {

TEST(BitNetQuantizer, SpellsOutWhatItDoes) {
  EXPECT_EQ(BitNetQuantizer().to_string(), "BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row)");
  EXPECT_EQ(BitNetQuantizer(8).scheme(), Scheme::parse("8"));
  EXPECT_EQ(BitNetQuantizer(4).scheme(), Scheme::parse("int4-absmax:group(64)"));
  EXPECT_EQ(BitNetQuantizer(1.58).scheme(), Scheme::parse("ternary"));
  EXPECT_EQ(BitNetQuantizer(1).scheme(), Scheme::parse("binary"));
  EXPECT_EQ(BitNetQuantizer(1.58, Granularity::row()).to_string(),
            "BitNetQuantizer(weights=ternary-absmean:row, activations=int8-token:row)");
  EXPECT_EQ(BitNetQuantizer(Scheme::parse("3:row")).scheme(), Scheme::parse("3:row"));
}

TEST(BitNetQuantizer, RefusesOtherPrecisions) {
  for (const double bad : {0.0, 9.0, 16.0, 1.5, 1.6, -8.0, 7.5, 1e30, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_BNQ_ERROR(BitNetQuantizer(bad), ErrorKind::invalid_argument, "scheme: unknown", "1.58", "ternary");
  }
}

TEST(BitNetQuantizer, IsTheFrontDoor) {
  const Tensor w = make_tensor(DType::bf16, {2, 3}, {0.5F, -0.25F, 1.0F, 0.0F, 2.0F, -2.0F});
  const BitNetQuantizer quantizer(8);
  const QuantizedTensor q = quantizer.quantize_weights(w.view());
  EXPECT_TRUE(same_values(q, quantize(w.view(), Scheme::parse("8"))));
  EXPECT_TRUE(same_values(quantizer.quantize_activations(w.view()), quantize(w.view(), Scheme::activations())));
  EXPECT_TRUE(same_bytes(quantizer.dequantize(q).bytes(), dequantize(q).bytes()));
}

TEST(BitNetQuantizer, MakesOnlyWhatItsTargetTakes) {
  const BitNetQuantizer quantizer(1.58, {}, Target::parse("llama.cpp"));
  EXPECT_EQ(quantizer.to_string(),
            "BitNetQuantizer(weights=ternary-absmean:tensor, activations=int8-token:row, target=llama.cpp)");
  EXPECT_EQ(quantizer.target(), Target::parse("llama.cpp"));
  EXPECT_EQ(BitNetQuantizer().target(), std::nullopt);
  const Tensor deep(DType::f32, {2, 256});
  const Tensor odd(DType::f32, {2, 100});
  const QuantizedTensor q = quantizer.quantize_weights(deep.view());
  EXPECT_EQ(quantizer.pack(q).layout(), Layout::parse("tq2_0"));
  EXPECT_EQ(BitNetQuantizer(1.58).pack(q).layout(), pack(q).layout());
  EXPECT_BNQ_ERROR(quantizer.quantize_weights(odd.view()), ErrorKind::unsupported, "quantize_weights: llama.cpp",
                   "multiples of 64");
  EXPECT_BNQ_ERROR(quantizer.pack(quantize(odd.view(), quantizer.scheme())), ErrorKind::unsupported, "pack: llama.cpp");
  EXPECT_BNQ_ERROR(BitNetQuantizer(8, {}, Target::parse("bitnet.cpp")), ErrorKind::unsupported,
                   "bitnet.cpp cannot run");
  EXPECT_BNQ_ERROR(BitNetQuantizer(Scheme::parse("ternary:row"), Target::parse("bitnet.cpp")), ErrorKind::unsupported,
                   "has one scale");
}

TEST(Version, IsThatOfTheProject) {
  const std::string parts = std::to_string(BNQ_VERSION_MAJOR) + "." + std::to_string(BNQ_VERSION_MINOR) + "." +
                            std::to_string(BNQ_VERSION_PATCH);
  EXPECT_EQ(parts, BNQ_VERSION);
}

}  // namespace
}  // namespace bnq::test
