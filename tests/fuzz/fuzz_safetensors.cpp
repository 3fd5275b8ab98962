// A whole safetensors file: header, bnq entry, tensors in every layout; then all that reads one.

#include "fuzz/refused.h"

#include <bnq/checkpoint.h>
#include <bnq/tensor_file.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

/// A file in memory, with a name for those who open it.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* bytes, std::size_t size) : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (file_ < 0 || ::write(file_, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  }
  ~MemoryFile() { ::close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const MemoryFile file(bytes, size);
  bnq::test::only_refuses([&] { (void)bnq::load(file.path()); });
  bnq::test::only_refuses([&] { (void)bnq::inspect_checkpoint(file.path()); });
  bnq::test::only_refuses([&] { (void)bnq::plan_checkpoint(file.path(), {}); });
  bnq::test::only_refuses([&] { (void)bnq::verify_checkpoint(file.path(), file.path(), {}); });
  return 0;
}
