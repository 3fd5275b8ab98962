#include "io/folder/shard_index.h"

#include "core/fail.h"
#include "io/json/parse_json.h"

#include <nlohmann/json.hpp>

namespace bnq::detail {
namespace {

using nlohmann::json;

constexpr int deepest = 8;  // of what other programs put into "metadata"

[[noreturn]] void refuse(const std::string& where, const std::string& what, const std::string& got = {},
                         const std::string& need = {}) {
  fail(ErrorKind::bad_content, {.where = where, .what = what, .got = got, .need = need});
}

void require_plain_name(const std::string& where, const std::string& tensor, const std::string& shard) {
  constexpr std::string_view ending = ".safetensors";
  const bool plain = shard.size() > ending.size() && shard.ends_with(ending) && shard.front() != '.' &&
                     shard.find('/') == std::string::npos && shard.find('\\') == std::string::npos &&
                     shard.find('\0') == std::string::npos;
  if (plain) return;
  refuse(where + ": tensor '" + printable(tensor) + "'", "its shard is no plain file name",
         "'" + printable(shard) + "'", "a name of this folder that ends in .safetensors");
}

}  // namespace

std::map<std::string, std::string> parse_shard_index(const std::string& where, std::string_view text) {
  const json document = parse_json<json>(where, text, {.depth = deepest});
  const auto at = document.is_object() ? document.find("weight_map") : document.end();
  if (at == document.end() || !at->is_object()) refuse(where, "has no 'weight_map' of names to files");
  std::map<std::string, std::string> map;
  for (const auto& [tensor, shard] : at->items()) {
    if (!shard.is_string()) {
      refuse(where + ": tensor '" + printable(tensor) + "'", "its shard is no text", shard.type_name(), "a file name");
    }
    require_plain_name(where, tensor, shard.get<std::string>());
    map.emplace(tensor, shard.get<std::string>());
  }
  if (map.empty()) refuse(where, "its 'weight_map' is empty");
  return map;
}

std::string make_shard_index(const std::map<std::string, std::string>& weight_map, std::uint64_t total_bytes) {
  const json document = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace bnq::detail
