#pragma once

#include "io/system_call.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace bnq::detail {

/// A file written under a passing name beside its final one, which it takes when whole. Until then whatever stands at
/// the final name stays as it is; destroyed before `commit`, nothing is left. Through a symbolic link its target is
/// written.
class OutputFile {
 public:
  /// Reserves `size_bytes`, so that a full disk is known before any work. Throws `exists` unless `replace`; `io` for a
  /// missing folder, no permission, no space, or a final name that is no regular file.
  OutputFile(const std::filesystem::path& path, std::uint64_t size_bytes, bool replace);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  /// Throws `io`.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Flushes to the disk and renames. Throws `io`; `exists` when another program made the final name meanwhile.
  void commit();

 private:
  void reserve(std::uint64_t size_bytes);

  std::filesystem::path path_;
  std::filesystem::path passing_;  ///< empty once renamed
  Descriptor file_;
  bool replace_;
};

}  // namespace bnq::detail
