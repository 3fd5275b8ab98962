// A packed tensor's bytes, read where they lie: the same results as from regrouped codes, one copy in memory.

#include "support/environment.h"
#include "support/expect_error.h"
#include "support/guarded_buffer.h"
#include "support/packed.h"
#include "support/random.h"
#include "support/tensors.h"

#include <bnq/cpu.h>
#include <bnq/linear.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace bnq::test {
namespace {

struct Form {
  const char* layout;
  const char* scheme;
};

constexpr Form forms[] = {{"u2_hf", "ternary"}, {"i8", "8"}, {"i8", "7:group(256)"}, {"i8", "4:group(300)"}};

/// Do kernels of the active instruction set read this layout?
bool in_place() { return active_isa() == Isa::avx512vnni; }

QuantizedTensor random_weight(Random& random, const char* scheme_text, const Shape& shape) {
  const Scheme scheme = Scheme::parse(scheme_text);
  std::vector<int> codes(static_cast<std::size_t>(element_count(shape)));
  for (int& code : codes) code = static_cast<int>(random.integer(scheme.min_code(), scheme.max_code()));
  QuantizedTensor q = quantized(scheme, shape, codes);
  Tensor scales(DType::f32, scales_shape(shape, scheme.granularity()));
  for (float& scale : scales.data<float>()) scale = static_cast<float>(random.uniform(0.01, 2));
  Tensor code_tensor(DType::i8, shape);
  std::ranges::copy(q.codes(), code_tensor.data<std::int8_t>().begin());
  return {scheme, DType::f32, shape, std::move(code_tensor), std::move(scales)};
}

Tensor random_tokens(Random& random, DType dtype, const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(random.uniform(-3, 3));
  return make_tensor(dtype, shape, values);
}

Tensor forward(const Linear& linear, const Tensor& x) {
  Tensor y(x.dtype(), {x.shape()[0], linear.out_features()});
  std::vector<std::byte> scratch(linear.scratch_bytes(x.shape()[0]));
  linear.forward(x.view(), y.mutable_view(), scratch);
  return y;
}

void expect_the_same(Random& random, const Form& form, const Shape& shape, std::int64_t tokens) {
  const QuantizedTensor q = random_weight(random, form.scheme, shape);
  std::vector<float> bias(static_cast<std::size_t>(shape[0]));
  for (float& b : bias) b = static_cast<float>(random.uniform(-2, 2));
  const Linear regrouped(q, bias);
  const Linear linear(pack(q, Layout::parse(form.layout)), bias);
  const Tensor x = random_tokens(random, float_dtypes[static_cast<std::size_t>(tokens % 3)], {tokens, shape[1]});
  const Tensor want = forward(regrouped, x);
  for (const int threads : {1, 2}) {
    const ThreadCount count(threads);
    EXPECT_TRUE(same_bytes(forward(linear, x).bytes(), want.bytes()))
        << form.layout << " " << to_string(shape) << ", tokens " << tokens << ", threads " << threads;
  }
}

/// Tails of vectors, of panels and of what is laid out at a time; both sides of every number of tokens that matters.
TEST(LinearInPlace, EqualsRegroupedCodes) {
  Random random(61);
  for (const Form& form : forms) {
    for (const std::int64_t depth : {1, 3, 63, 64, 65, 255, 256, 257, 511, 700, 1301}) {
      for (const std::int64_t outputs : {4, 60, 64, 68, 132}) {
        expect_the_same(random, form, {outputs, depth}, random.integer(1, 90));
        if (form.layout == std::string("i8"))
          expect_the_same(random, form, {outputs - 3, depth}, random.integer(1, 90));
      }
    }
    for (std::int64_t tokens = 1; tokens <= 64; ++tokens) expect_the_same(random, form, {72, 321}, tokens);
    for (const std::int64_t tokens : {100, 159, 160, 161, 600, 767, 768, 769, 775}) {
      expect_the_same(random, form, {72, 321}, tokens);
    }
  }
}

TEST(LinearInPlace, KeepsTheBytesAndNotTheTensor) {
  for (const Form& form : forms) {
    const Shape shape{64, 512};
    Random random(62);
    const QuantizedTensor q = random_weight(random, form.scheme, shape);
    const PackedTensor p = pack(q, Layout::parse(form.layout));
    auto bytes = std::make_shared<std::vector<std::byte>>(p.data().begin(), p.data().end());
    const std::weak_ptr<std::vector<std::byte>> watch = bytes;
    Tensor scales(DType::f32, scales_shape(shape, q.scheme().granularity()));
    std::ranges::copy(p.scales(), scales.data<float>().begin());
    auto linear = std::make_unique<Linear>(
        PackedTensor(p.layout(), p.scheme(), p.dtype(), shape, std::span<const std::byte>(*bytes), bytes, scales));
    bytes.reset();
    EXPECT_EQ(watch.expired(), !in_place());
    const Tensor x = random_tokens(random, DType::f32, {3, 512});
    EXPECT_TRUE(same_bytes(forward(*linear, x).bytes(), forward(Linear(q), x).bytes()));
    linear.reset();
    EXPECT_TRUE(watch.expired());
  }
}

TEST(LinearInPlace, SaysWhatItHolds) {
  for (const Form& form : forms) {
    Random random(63);
    const PackedTensor p = pack(random_weight(random, form.scheme, {64, 512}), Layout::parse(form.layout));
    const Linear linear(p);
    const std::string text = linear.explain();
    EXPECT_NE(text.find("memory: " + std::to_string(linear.own_nbytes()) + " bytes of its own"), std::string::npos);
    EXPECT_EQ(text.find("where they lie (" + std::string(form.layout) + ")") != std::string::npos, in_place()) << text;
    if (!in_place()) continue;
    EXPECT_EQ(linear.nbytes() - linear.own_nbytes(), p.data().size());
    EXPECT_LE(linear.own_nbytes(), p.scales().size_bytes() + 64 * 8 * 2 * sizeof(float));
  }
}

/// Every field of every byte is looked at, in words of the layout.
TEST(LinearInPlace, RefusesForeignCodes) {
  const Scheme ternary = Scheme::parse("ternary");
  for (std::size_t at = 0; at < 67; ++at) {
    for (unsigned field = 0; field < 4; ++field) {
      std::vector<std::byte> bytes(67, std::byte{0x21});
      bytes[at] |= static_cast<std::byte>(3U << 2 * field);
      EXPECT_BNQ_ERROR(Linear(packed("u2_hf", ternary, {4, 67}, bytes)), ErrorKind::bad_content, "unpack u2_hf",
                       "got 2 at [" + std::to_string(field) + ", " + std::to_string(at) + "]", "-1 to 1");
    }
  }
  EXPECT_NO_THROW(Linear(packed("u2_hf", ternary, {4, 67}, std::vector<std::byte>(67, std::byte{0x21}))));
}

TEST(LinearInPlace, RefusesForeignInt8Codes) {
  for (const std::size_t at : {0U, 5U, 129U}) {
    std::vector<std::byte> bytes(130, std::byte{7});
    bytes[at] = std::byte{0xF7};
    EXPECT_BNQ_ERROR(Linear(packed("i8", Scheme::parse("4:row"), {2, 65}, bytes)), ErrorKind::bad_content, "unpack i8",
                     "got -9 at [" + std::to_string(at / 65) + ", " + std::to_string(at % 65) + "]", "-7 to 7");
  }
}

/// What is ternary takes a quarter of the bytes in a tile, and short groups are slow across lanes.
TEST(LinearInPlace, RegroupsInt8BytesThatATileHoldsBetter) {
  for (const char* const scheme : {"ternary", "8:group(64)"}) {
    Random random(65);
    const QuantizedTensor q = random_weight(random, scheme, {64, 128});
    const Linear linear(pack(q, Layout::parse("i8")));
    EXPECT_EQ(linear.nbytes(), linear.own_nbytes()) << scheme;
  }
}

/// The last byte of the weights is the last one that is read, the first one the first.
TEST(LinearInPlace, StaysInsideItsBytes) {
  Random random(64);
  for (const Form& form : forms) {
    for (const Shape& shape : {Shape{4, 1}, Shape{12, 65}, Shape{68, 100}, Shape{128, 300}}) {
      const QuantizedTensor q = random_weight(random, form.scheme, shape);
      const PackedTensor p = pack(q, Layout::parse(form.layout));
      for (const auto guard : {GuardedBuffer::Guard::before, GuardedBuffer::Guard::behind}) {
        GuardedBuffer bytes(p.data().size(), guard);
        bytes.assign(p.data());
        Tensor scales(DType::f32, scales_shape(shape, q.scheme().granularity()));
        std::ranges::copy(p.scales(), scales.data<float>().begin());
        const Linear linear(PackedTensor(p.layout(), p.scheme(), p.dtype(), shape, bytes.bytes(), nullptr, scales));
        for (const std::int64_t tokens : {1, 2, 3, 6, 7, 50}) {
          const Tensor x = random_tokens(random, DType::f32, {tokens, shape[1]});
          EXPECT_TRUE(same_bytes(forward(linear, x).bytes(), forward(Linear(q), x).bytes()));
        }
      }
    }
  }
}

TEST(LinearInPlace, WithoutOutputsOrDepth) {
  const Scheme ternary = Scheme::parse("ternary");
  EXPECT_EQ(forward(Linear(packed("u2_hf", ternary, {0, 5}, {})), make_tensor(DType::f32, {1, 5}, {1, 2, 3, 4, 5}))
                .elements(),
            0);
  const Linear linear(packed("u2_hf", ternary, {4, 0}, {}), std::vector<float>{1, 2, 3, 4});
  Tensor y(DType::f32, {9, 4});
  std::vector<std::byte> scratch(linear.scratch_bytes(9));
  linear.forward(TensorView(nullptr, DType::f32, {9, 0}), y.mutable_view(), scratch);
  for (std::size_t i = 0; i < 36; ++i) EXPECT_EQ(y.data<float>()[i], static_cast<float>(i % 4 + 1));
}

/// Where sums in the fields' places would overflow, the codes are regrouped.
TEST(LinearInPlace, TooDeepForTheKernelIsRegrouped) {
  const Scheme ternary = Scheme::parse("ternary");
  const std::int64_t depth = 131'072;
  const std::vector<std::byte> bytes(static_cast<std::size_t>(depth), std::byte{0xAA});
  const Linear linear(packed("u2_hf", ternary, {4, depth}, bytes));
  EXPECT_EQ(linear.nbytes(), linear.own_nbytes());
  const Tensor x = make_tensor(DType::f32, {1, depth}, std::vector<float>(static_cast<std::size_t>(depth), 1.0F));
  const Tensor y = forward(linear, x);
  for (const float value : y.data<float>()) EXPECT_EQ(value, static_cast<float>(127 * depth) * (1.0F / 127.0F));
}

}  // namespace
}  // namespace bnq::test
