#include <bnq/scheme.h>

#include "core/fail.h"

#include <charconv>

namespace bnq {
namespace {

constexpr std::int64_t largest_group = (std::int64_t{1} << 31) - 1;

[[noreturn]] void fail_granularity(std::string_view text) {
  detail::fail(ErrorKind::invalid_argument, {.where = "granularity",
                                             .what = "unknown",
                                             .got = "'" + detail::printable(std::string(text)) + "'",
                                             .need = "tensor, row or group(n), n from 1 to 2^31 - 1"});
}

}  // namespace

Granularity Granularity::group(std::int64_t size) {
  if (size < 1 || size > largest_group) fail_granularity("group(" + std::to_string(size) + ")");
  return {Kind::group, size};
}

Granularity Granularity::parse(std::string_view text) {
  if (text == "tensor") return tensor();
  if (text == "row") return row();
  constexpr std::string_view open = "group(";
  if (!text.starts_with(open) || !text.ends_with(')')) fail_granularity(text);
  const std::string_view digits = text.substr(open.size(), text.size() - open.size() - 1);
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (error != std::errc() || end != digits.data() + digits.size() || size < 1 || size > largest_group) {
    fail_granularity(text);
  }
  return group(size);
}

std::string Granularity::to_string() const {
  if (kind == Kind::tensor) return "tensor";
  if (kind == Kind::row) return "row";
  return "group(" + std::to_string(group_size) + ")";
}

}  // namespace bnq
