#include "checkpoint/rules/saved_plan.h"

#include "core/fail.h"
#include "io/file_map.h"
#include "io/json/parse_json.h"
#include "io/system_call.h"

#include <nlohmann/json.hpp>

namespace bnq::detail {
namespace {

using nlohmann::json;

constexpr std::size_t most_bytes = 500'000'000;
constexpr int deepest = 4;  // {tensors: [{shape: [n]}]}
constexpr const char* schema = "bnq.plan/1";

[[noreturn]] void refuse(const std::string& where, const std::string& what, const std::string& got = {},
                         const std::string& need = {}, const std::string& cure = {}) {
  fail(ErrorKind::bad_content, {.where = where, .what = what, .got = got, .need = need, .cure = cure});
}

json parsed(const std::string& where, const FileMap& map) {
  if (map.bytes().size() > most_bytes) refuse(where, "is too large for a plan");
  const std::string_view text(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size());
  json document = parse_json<json>(where, text, {.depth = deepest});
  if (!document.is_object() || document.value("schema", "") != schema) {
    refuse(where, "is no plan", "another document", std::string("schema ") + schema, "write one with --plan-out");
  }
  return document;
}

/// The library would take 2.9 for 2.
Shape shape_of(const json& extents) {
  Shape shape;
  for (const json& extent : extents) {
    if (!extent.is_number_integer()) throw Error(ErrorKind::bad_content, "an extent is no integer: " + extent.dump());
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

}  // namespace

SavedPlan::SavedPlan(const std::filesystem::path& path) : where_(text_of(path)) {
  const FileMap map(path);
  try {
    const json document = parsed(where_, map);
    for (const json& tensor : document.at("tensors")) {
      const json& scheme = tensor.at("scheme");
      Entry entry{tensor.at("dtype").get<std::string>(), shape_of(tensor.at("shape")), {}};
      if (!scheme.is_null()) entry.scheme = Scheme::parse(scheme.get<std::string>());
      const auto name = tensor.at("name").get<std::string>();
      if (!entries_.emplace(name, entry).second) refuse(where_, "'" + printable(name) + "' stands twice");
    }
  } catch (const json::exception& error) {
    refuse(where_, "is no plan", json_reason(error.what()));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bad_content) throw;
    throw Error(ErrorKind::bad_content, where_ + ": " + error.what());
  }
}

Decision SavedPlan::decide(const std::string& tensor, DType dtype, const Shape& shape) {
  const auto at = entries_.find(tensor);
  const std::string here = where_ + ": tensor '" + printable(tensor) + "'";
  if (at == entries_.end()) refuse(here, "is not in the plan", "", "a plan of this input");
  Entry& entry = at->second;
  if (entry.dtype != name(dtype) || entry.shape != shape) {
    refuse(here, "is another one in the plan", printable(entry.dtype) + " " + to_string(entry.shape),
           std::string(name(dtype)) + " " + to_string(shape));
  }
  if (entry.scheme && !is_quantizable(dtype)) refuse(here, "is not f32, f16 or bf16, and the plan quantizes it");
  entry.met = true;
  return {entry.scheme, entry.scheme ? "plan" : "kept: plan"};
}

void SavedPlan::require_followed() const {
  for (const auto& [name, entry] : entries_) {
    if (!entry.met) refuse(where_ + ": tensor '" + printable(name) + "'", "is in the plan and not in the input");
  }
}

}  // namespace bnq::detail
