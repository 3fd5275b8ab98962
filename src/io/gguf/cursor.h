#pragma once

#include "core/fail.h"
#include "io/gguf/value.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace bnq::detail::gguf {

/// Of all before the tensors. The largest known vocabularies make 20 MB.
inline constexpr std::size_t most_header_bytes = 100'000'000;

/// Goes over the header of a file once, never past its end, and knows what it is in, so that errors say where.
class Cursor {
 public:
  Cursor(std::string where, std::span<const std::byte> file)
      : where_(std::move(where)),
        file_(file.first(std::min(file.size(), most_header_bytes))),
        cut_(file_.size() < file.size()) {}

  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  [[nodiscard]] std::size_t left() const noexcept { return file_.size() - at_; }
  [[nodiscard]] std::span<const std::byte> since(std::size_t begin) const { return file_.subspan(begin, at_ - begin); }

  /// From here on errors are about the number-th `noun` of the file ("key", "tensor") …
  void enter(const char* noun, std::uint64_t number) {
    noun_ = noun;
    number_ = number;
    name_ = {};
  }

  /// … whose name is known from here on.
  void enter_name(std::string_view name) { name_ = name; }

  /// From here on errors are about the header.
  void leave() { noun_ = nullptr; }

  /// The next `count` bytes of `what`. Throws `bad_content` when the header ends before.
  std::span<const std::byte> take(std::uint64_t count, const char* what) {
    if (count > left()) refuse_end(count, what);
    const auto bytes = file_.subspan(at_, static_cast<std::size_t>(count));
    at_ += bytes.size();
    return bytes;
  }

  template <typename T>
  T read(const char* what) {
    return load<T>(take(sizeof(T), what));
  }

  /// A length and that many bytes. Throws `bad_content` when the header has fewer.
  std::string_view read_string(const char* what) {
    const auto length = read<std::uint64_t>(what);
    if (length > left()) {
      at_ -= string_head_bytes;
      refuse(std::string("its ") + what + " is longer than what is left", std::to_string(length) + " bytes",
             std::to_string(left() - string_head_bytes) + " or fewer");
    }
    return as_text(take(length, what));
  }

  /// Throws `bad_content`, which names the next byte.
  [[noreturn]] void refuse(const std::string& what, const std::string& got = {}, const std::string& need = {},
                           const std::string& cure = {}) const {
    fail(ErrorKind::bad_content, {.where = here(), .what = what, .got = got, .need = need, .cure = cure});
  }

  /// Goes back to a byte, to refuse what stands there.
  Cursor& back_to(std::size_t at) {
    at_ = at;
    return *this;
  }

 private:
  [[noreturn]] void refuse_end(std::uint64_t count, const char* what) const {
    if (cut_) refuse("the header is longer than bnq reads", {}, std::to_string(most_header_bytes) + " bytes or fewer");
    refuse(std::string("the file ends in its ") + what, std::to_string(left()) + " bytes",
           std::to_string(count) + " or more", "it is damaged or was cut; fetch it again");
  }

  [[nodiscard]] std::string here() const {
    std::string text = where_ + ": ";
    if (noun_ == nullptr) {
      text += "header";
    } else if (name_.empty()) {
      text += std::string(noun_) + " " + std::to_string(number_);
    } else {
      text += std::string(noun_) + " '" + printable(std::string(name_.substr(0, longest_shown))) + "'";
    }
    return text + ", byte " + std::to_string(at_);
  }

  static constexpr std::size_t longest_shown = 1000;  // bytes; printable cuts it further

  std::string where_;
  std::span<const std::byte> file_;
  bool cut_;
  std::size_t at_ = 0;
  const char* noun_ = nullptr;
  std::uint64_t number_ = 0;
  std::string_view name_;
};

}  // namespace bnq::detail::gguf
