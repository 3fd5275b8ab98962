#pragma once

#include "core/fail.h"

#include <unistd.h>

#include <cerrno>
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

}  // namespace bnq::detail
