// A model.safetensors.index.json.

#include "fuzz/refused.h"
#include "io/folder/shard_index.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  bnq::test::only_refuses([&] {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const auto map = bnq::detail::parse_shard_index("index", text);
    for (const auto& [tensor, shard] : map) {
      if (shard.find('/') != std::string::npos || shard.starts_with('.')) std::abort();
    }
    if (bnq::detail::parse_shard_index("again", bnq::detail::make_shard_index(map, 0)) != map) std::abort();
  });
  return 0;
}
