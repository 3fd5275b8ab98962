#include "core/fail.h"

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

/// Length of the well-formed UTF-8 sequence at `at`, or 0.
std::size_t utf8_length(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return tail(at + 1) ? 2 : 0;
  if (lead >= 0xE0 && lead < 0xF0) {
    const bool overlong = lead == 0xE0 && byte(at + 1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(at + 1) >= 0xA0;
    return tail(at + 1) && tail(at + 2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead < 0xF5) {
    const bool overlong = lead == 0xF0 && byte(at + 1) < 0x90;
    const bool too_large = lead == 0xF4 && byte(at + 1) >= 0x90;
    return tail(at + 1) && tail(at + 2) && tail(at + 3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
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
