#pragma once

#include "io/system_call.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

/// A folder that takes its final name when whole. Until then it is `.NAME.partial` beside it, and whatever stands at
/// the final name stays as it is. Destroyed before `commit`, nothing is left, unless the work may be resumed.
class OutputFolder {
 public:
  struct Options {
    std::uint64_t size_bytes = 0;
    bool replace = false;
    bool resume = false;                  ///< go on with what an earlier run left, and leave it again
    std::vector<std::string> files = {};  ///< all that the folder will hold, by their names below it
  };

  /// Throws `exists` unless `replace`, and even then unless what is there is a folder that bnq wrote (a file's metadata
  /// says so) and that holds nothing but weights and files that will be there again, or an empty one; also when an
  /// earlier run left a partial folder and neither `resume` nor `replace` says what to do; `io` for a missing parent,
  /// no permission, fewer than `size_bytes` free, or when another process is writing this output.
  OutputFolder(const std::filesystem::path& path, const Options& options);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where a file of the folder is to be made; its subfolder is.
  [[nodiscard]] std::filesystem::path place(const std::string& name) const;

  void write(const std::string& name, std::string_view bytes) const;

  /// Is the safetensors file `name` there, whole, and made by the same `work` (a digest of all that it depends on)? Its
  /// tensors are read for that. A file that is not is removed.
  [[nodiscard]] bool has_finished(const std::string& name, const std::string& work) const;

  /// Notes that it is; `digest` is its Writer's.
  void note_finished(const std::string& name, const std::string& work, const std::string& digest) const;

  /// `from` is read through links.
  void copy(const std::filesystem::path& from, const std::string& name) const;

  /// Flushes to the disk and gives the name. Throws `io`; `exists` when another program made the final name meanwhile.
  void commit();

 private:
  void remove_notes() const;

  std::filesystem::path path_;
  std::filesystem::path partial_;  ///< empty once the folder has its name
  Options options_;
  Descriptor lock_;  ///< held while this process works in the partial folder
};

}  // namespace bnq::detail
