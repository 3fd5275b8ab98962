#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace bnq::detail {

/// A folder that takes its final name when whole. Until then it has a hidden one beside it, and whatever stands at the
/// final name stays as it is; destroyed before `commit`, nothing is left.
class OutputFolder {
 public:
  /// Throws `exists` unless `replace`, and even then unless what is there is a folder that bnq wrote (its config.json
  /// or a file's metadata says so) or an empty one; `io` for a missing parent, no permission, or fewer than
  /// `size_bytes` free.
  OutputFolder(const std::filesystem::path& path, std::uint64_t size_bytes, bool replace);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where a file of the folder is to be made; its subfolder is.
  [[nodiscard]] std::filesystem::path place(const std::string& name) const;

  void write(const std::string& name, std::string_view bytes) const;

  /// `from` is read through links.
  void copy(const std::filesystem::path& from, const std::string& name) const;

  /// Flushes to the disk and gives the name. Throws `io`; `exists` when another program made the final name meanwhile.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path passing_;  ///< empty once the folder has its name
  bool replace_;
};

}  // namespace bnq::detail
