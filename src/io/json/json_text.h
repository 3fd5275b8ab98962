#pragma once

#include <string>
#include <string_view>

namespace bnq::detail {

// Changes of a JSON object as text. A tree that is read and written again is another text: numbers beyond 64 bits are
// rounded, 1e-05 is spelled in another way, and what Python calls JSON is no JSON to others.

/// As long a text, in which Python's NaN, Infinity and -Infinity are empty strings: nobody's number or setting.
[[nodiscard]] std::string without_non_finite(std::string_view text);

/// `object` is a text that `parse_json` read as an object, after `without_non_finite`; `value` is JSON. The member
/// becomes the last, on a line of its own, so that `without_member` brings back the same bytes. There must be none of
/// that key.
[[nodiscard]] std::string with_member(std::string_view object, std::string_view key, std::string_view value);

/// The object without its member of that key, and all else byte for byte.
[[nodiscard]] std::string without_member(std::string_view object, std::string_view key);

}  // namespace bnq::detail
