#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace bnq::detail {

/// A regular file, mapped read-only. Its pages are read when touched and given back when memory is short.
class FileMap {
 public:
  /// Throws `io` when the file cannot be opened or mapped, or is no regular file.
  explicit FileMap(const std::filesystem::path& path);
  ~FileMap();
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  /// Gives whole pages of `part` back to the system; they are read again when touched.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace bnq::detail
