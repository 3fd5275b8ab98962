#pragma once

#include "core/fail.h"

#include <string>

namespace bnq::detail {

/// What the JSON library says, without its own prefix, position and advice: "unexpected end of input".
inline std::string json_reason(std::string text) {
  const auto drop_through = [&](const char* mark) {
    if (const std::size_t at = text.find(mark); at != std::string::npos) text.erase(0, at + std::string(mark).size());
  };
  drop_through("] ");  // [json.exception.parse_error.101]
  if (text.starts_with("parse error at ") || text.starts_with("parse error: ")) drop_through(": ");  // line, column
  if (text.starts_with("syntax error ")) drop_through(" - ");  // while parsing object key
  return printable(text.substr(0, text.find(';')));
}

}  // namespace bnq::detail
