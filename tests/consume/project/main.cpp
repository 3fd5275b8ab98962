// What an outside user writes first: a tensor there and back, and a refusal.
#include <bnq/bnq.h>

#include <array>
#include <cstdio>

int main() {
  const std::array<float, 4> values{1.0F, -1.0F, 0.0F, 1.0F};
  const bnq::TensorView weight(values.data(), bnq::DType::f32, {1, 4});
  const bnq::QuantizedTensor q = bnq::quantize(weight, bnq::Scheme::parse("ternary"));
  const bnq::Tensor back = bnq::dequantize(bnq::unpack(bnq::pack(q)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (back.data<float>()[i] != values[i]) return 1;
  }
  try {
    static_cast<void>(bnq::Scheme::parse("nonsense"));
    return 2;
  } catch (const bnq::Error& error) {
    if (error.kind() != bnq::ErrorKind::invalid_argument) return 3;
  }
  std::printf("bnq %s: %s\n", BNQ_VERSION, q.scheme().to_string().c_str());
}
