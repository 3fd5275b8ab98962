#include "io/json/json_text.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace bnq::detail {
namespace {

/// Behind the string that begins at `at`.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

/// Where a member of the outermost object stands.
struct Member {
  std::string key;
  std::size_t begin;  ///< of the key
  std::size_t end;    ///< the comma or brace behind the value
};

std::vector<Member> members_of(std::string_view text) {
  std::vector<Member> members;
  int depth = 0;
  bool in_value = false;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      const std::size_t end = end_of_string(text, at);
      if (depth == 1 && !in_value) {
        members.push_back({nlohmann::json::parse(text.substr(at, end - at)).get<std::string>(), at, end});
        in_value = true;
      }
      at = end;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    const bool closes = c == '}' || c == ']';
    if (depth == 1 && in_value && (c == ',' || closes)) {
      members.back().end = at;
      in_value = false;
    }
    if (closes) --depth;
    ++at;
  }
  return members;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Only a string is a key: a word in its place stays, and makes the text no JSON.
bool is_before_colon(std::string_view rest) {
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  return rest.starts_with(':');
}

}  // namespace

std::string without_non_finite(std::string_view text) {
  constexpr std::array<std::string_view, 3> words{"-Infinity", "Infinity", "NaN"};
  std::string changed(text);
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    std::size_t step = 1;
    for (const std::string_view word : words) {
      if (!text.substr(at).starts_with(word) || is_before_colon(text.substr(at + word.size()))) continue;
      changed.replace(at, word.size(), "\"\"" + std::string(word.size() - 2, ' '));
      step = word.size();
      break;
    }
    at += step;
  }
  return changed;
}

std::string with_member(std::string_view object, std::string_view key, std::string_view value) {
  std::size_t end = object.rfind('}');
  while (is_space(object[end - 1])) --end;
  std::string changed(object.substr(0, end));
  if (changed.back() != '{') changed += ',';
  changed += "\n  \"" + std::string(key) + "\": " + std::string(value);
  return changed + std::string(object.substr(end));
}

std::string without_member(std::string_view object, std::string_view key) {
  const std::vector<Member> members = members_of(object);
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].key != key) continue;
    const bool is_last = i + 1 == members.size();
    std::size_t begin = members[i].begin;
    std::size_t end = is_last ? members[i].end : members[i + 1].begin;
    if (is_last) {
      begin = i > 0 ? members[i - 1].end : object.find('{') + 1;
      while (is_space(object[end - 1])) --end;
    }
    return std::string(object.substr(0, begin)) + std::string(object.substr(end));
  }
  return std::string(object);
}

}  // namespace bnq::detail
