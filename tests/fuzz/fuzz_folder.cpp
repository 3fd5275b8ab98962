// A folder of another program: its config.json, a byte of zero, its model.safetensors; then all that reads one.

#include "fuzz/memory_folder.h"
#include "fuzz/refused.h"

#include <bnq/checkpoint.h>
#include <bnq/tensor_file.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const bnq::test::MemoryFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::size_t zero = input.find('\0');
  folder.write("config.json", input.substr(0, zero));
  folder.write("model.safetensors", zero == std::string_view::npos ? "" : input.substr(zero + 1));
  for (const auto convention : {bnq::ScaleConvention::as_stated, bnq::ScaleConvention::inverse}) {
    bnq::test::only_refuses([&] { (void)bnq::load(folder.path(), convention); });
    bnq::test::only_refuses([&] { (void)bnq::inspect_checkpoint(folder.path(), {}, convention); });
  }
  bnq::test::only_refuses([&] { (void)bnq::plan_checkpoint(folder.path(), {}); });
  bnq::test::only_refuses([&] { (void)bnq::verify_checkpoint(folder.path(), folder.path(), {}); });
  return 0;
}
