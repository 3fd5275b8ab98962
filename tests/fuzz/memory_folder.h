#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace bnq::test {

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

}  // namespace bnq::test
