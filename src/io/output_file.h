#pragma once

#include "io/system_call.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace bnq::detail {

/// A file without a name that takes its final one when whole. Until then whatever stands there stays as it is;
/// destroyed before `commit`, also with the whole process, nothing is left. Where a file system has no files without a
/// name, it has a passing one beside the final one, which a killed process leaves behind. Through a symbolic link its
/// target is written.
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

  /// Flushes to the disk and gives the name. Throws `io`; `exists` when another program made the final name meanwhile.
  void commit();

 private:
  void reserve(std::uint64_t size_bytes);
  [[nodiscard]] int give_name();  ///< returns 0 or an errno

  std::filesystem::path path_;
  std::filesystem::path passing_;  ///< empty while the file has no name, or its final one
  Descriptor file_;
  bool replace_;
};

/// A whole output file in one go. Throws as OutputFile does.
void write_whole(const std::filesystem::path& path, std::string_view text, bool replace);

}  // namespace bnq::detail
