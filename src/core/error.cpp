#include "core/fail.h"
#include "core/utf8.h"

#include <cstdio>

namespace bnq {

Error::Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

namespace detail {
namespace {

constexpr std::size_t longest_printed = 200;  // bytes; a hostile name may be megabytes

std::string got_and_need(const Message& m) {
  if (m.got.empty() && m.need.empty()) return {};
  if (m.need.empty()) return " (got " + m.got + ")";
  if (m.got.empty()) return " (need " + m.need + ")";
  return " (got " + m.got + ", need " + m.need + ")";
}

/// C0 and C1 control characters, DEL, and the marks that reverse the direction of text on a terminal.
bool is_control(const std::string& text, std::size_t at, std::size_t length) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (length == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
  if (length == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;
  if (length != 3 || byte(0) != 0xE2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) ||
         (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9);
}

}  // namespace

std::string text_of(const Message& m) {
  std::string text = m.where + ": " + m.what + got_and_need(m);
  if (!m.cure.empty()) text += "; " + m.cure;
  return text;
}

void fail(ErrorKind kind, const Message& message) { throw Error(kind, text_of(message)); }

std::string printable(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (out.size() >= longest_printed) return out + "…";
    const std::size_t length = utf8_length(text, at);
    if (length > 0 && !is_control(text, at, length)) {
      out.append(text, at, length);
      at += length;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
    out += escaped;
    ++at;
  }
  return out;
}

}  // namespace detail
}  // namespace bnq
