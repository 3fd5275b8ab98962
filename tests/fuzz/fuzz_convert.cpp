// A model folder on its way into a GGUF file: its config.json, tokenizer.json, tokenizer_config.json and
// model.safetensors, a byte of zero between them. What was written is read again.

#include "fuzz/memory_folder.h"
#include "fuzz/refused.h"

#include <bnq/checkpoint.h>
#include <bnq/tensor_file.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

/// Up to the next byte of zero, which goes too.
std::string_view cut(std::string_view& input) {
  const std::size_t zero = input.find('\0');
  const std::string_view part = input.substr(0, zero);
  input.remove_prefix(zero == std::string_view::npos ? input.size() : zero + 1);
  return part;
}

/// A refusal of what bnq wrote is a finding.
void read_again(const std::filesystem::path& file) {
  try {
    (void)bnq::load(file);
  } catch (const bnq::Error&) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const bnq::test::MemoryFolder folder;
  static const bnq::test::MemoryFolder output;
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  for (const char* const name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    folder.write(name, cut(input));
  }
  folder.write("model.safetensors", input);
  for (const char* const layout : {"q8_0", "q2_0"}) {
    bnq::ConvertOptions options{.to = bnq::Layout::parse(layout)};
    options.replace = true;
    bnq::test::only_refuses([&] {
      const std::filesystem::path file = output.path() / "model.gguf";
      (void)bnq::convert_checkpoint(folder.path(), file, options);
      read_again(file);
    });
  }
  return 0;
}
