// A config.json, read and written.

#include "checkpoint/clients/model_config.h"
#include "fuzz/refused.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  bnq::test::only_refuses([&] {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const auto config = bnq::detail::parse_model_config("config", text);
    const auto written = bnq::detail::with_quantization(text, R"({"quant_method": "bitnet"})");
    const auto again = bnq::detail::parse_model_config("again", written);
    if (again.architecture != config.architecture || again.quant_method != "bitnet") std::abort();
    if (bnq::detail::without_quantization(written) != bnq::detail::without_quantization(text)) std::abort();
    (void)bnq::detail::parse_model_config("none", bnq::detail::without_quantization(text));
  });
  return 0;
}
