// A folder of another program: its config.json, a byte of zero, its model.safetensors; then all that reads one.

#include "fuzz/refused.h"

#include <bnq/checkpoint.h>
#include <bnq/tensor_file.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

/// One folder, written anew for each input.
class MemoryFolder {
 public:
  MemoryFolder() {
    std::string text = "/dev/shm/bnq-fuzz-XXXXXX";
    if (::mkdtemp(text.data()) == nullptr) std::abort();
    path_ = text;
  }
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  void write(const char* name, std::string_view bytes) const {
    std::ofstream file(path_ / name, std::ios::binary);
    if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()))) std::abort();
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const MemoryFolder folder;
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
