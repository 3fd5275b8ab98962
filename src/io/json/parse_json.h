#pragma once

#include "core/fail.h"
#include "io/json/json_reason.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

/// What a document of another's making may ask of us.
struct JsonLimits {
  int depth;
  std::size_t keys = std::numeric_limits<std::size_t>::max();  ///< in all its objects
};

/// Looks at a document while it is read: a tree alone would hide a key that stands twice.
class JsonLook {
 public:
  JsonLook(std::string where, const JsonLimits& limits) : where_(std::move(where)), limits_(limits) {}

  template <typename Json>
  bool operator()(int depth, typename Json::parse_event_t event, const Json& value) {
    using Event = typename Json::parse_event_t;
    if (depth > limits_.depth) refuse("is nested too deep");
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) see_key(value.template get<std::string>());
    return true;
  }

 private:
  void see_key(const std::string& key) {
    if (++count_ > limits_.keys) refuse("has more than " + std::to_string(limits_.keys) + " keys");
    if (!keys_.back().insert(key).second) refuse("'" + printable(key) + "' stands twice");
  }

  [[noreturn]] void refuse(std::string what) const {
    fail(ErrorKind::bad_content, {.where = where_, .what = std::move(what)});
  }

  std::string where_;
  JsonLimits limits_;
  std::size_t count_ = 0;
  std::vector<std::set<std::string>> keys_;  ///< of the objects that are open
};

/// The document. Throws `bad_content` with `where` in front: not JSON (and at which byte), nested too deep, too many
/// keys, or a key that stands twice in one object, of which every reader takes another.
template <typename Json>
[[nodiscard]] Json parse_json(const std::string& where, std::string_view text, const JsonLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) {  // the library skips it, Python's stops there
    fail(ErrorKind::bad_content, {.where = where + ", byte 0", .what = "is not JSON", .got = "a byte order mark"});
  }
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {  // the library would stop there
    fail(ErrorKind::bad_content,
         {.where = where + ", byte " + std::to_string(zero), .what = "is not JSON", .got = "a byte of zero"});
  }
  JsonLook look(where, limits);
  try {
    return Json::parse(text, [&](int depth, typename Json::parse_event_t event, Json& value) {
      return look.operator()<Json>(depth, event, value);
    });
  } catch (const typename Json::parse_error& error) {
    const std::size_t byte = error.byte - (error.byte > 0 ? 1 : 0);
    fail(ErrorKind::bad_content,
         {.where = where + ", byte " + std::to_string(byte), .what = "is not JSON", .got = json_reason(error.what())});
  } catch (const typename Json::exception& error) {
    fail(ErrorKind::bad_content, {.where = where, .what = "is not JSON", .got = json_reason(error.what())});
  }
}

}  // namespace bnq::detail
