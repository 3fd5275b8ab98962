#pragma once

#include "core/fail.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace bnq::detail {

/// A path as messages print it.
inline std::string text_of(const std::filesystem::path& path) { return printable(path.string()); }

/// Throws `io` with the system's own words for `error` (an errno).
[[noreturn]] inline void fail_io(const std::filesystem::path& path, const std::string& what, int error,
                                 const std::string& cure = {}) {
  fail(ErrorKind::io,
       {.where = text_of(path), .what = what, .got = std::generic_category().message(error), .cure = cure});
}

/// An open file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    number_ = std::exchange(other.number_, -1);
    return *this;
  }

  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool open() const noexcept { return number_ >= 0; }

  /// False when the system could not write what it had promised to; errno says why.
  bool close() noexcept { return !open() || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

/// The folder that a path names something in.
inline std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

/// Refuses to replace, in one step, when the system can. Returns 0 or an errno.
inline int rename_new(const std::filesystem::path& from, const std::filesystem::path& to) {
#if defined(__linux__)
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#endif
  if (::access(to.c_str(), F_OK) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

/// A rename is on the disk when its folder is. Some file systems cannot flush a folder; the data is safe all the same.
inline void flush_folder(const std::filesystem::path& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (file.open()) (void)::fsync(file.number());
}

}  // namespace bnq::detail
