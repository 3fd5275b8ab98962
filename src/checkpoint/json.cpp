#include <bnq/checkpoint.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>
#include <string>

// Keys stand in the order of the structs of bnq/checkpoint.h and carry their names. `schema` names the form of a
// document; its number is raised when a key changes its meaning or goes.

namespace bnq {
namespace {

using json = nlohmann::ordered_json;

json text_or_null(const std::optional<Scheme>& scheme) { return scheme ? json(scheme->to_string()) : json(); }
json text_or_null(const std::optional<Layout>& layout) { return layout ? json(layout->name()) : json(); }

/// JSON has no infinity.
json number(double value) { return std::isfinite(value) ? json(value) : json(); }
json number(const std::optional<double>& value) { return value ? number(*value) : json(); }

json object_of(const RuleHits& rule) { return {{"rule", rule.rule}, {"hits", rule.hits}}; }

json object_of(const PlannedTensor& t) {
  return {{"name", t.name},
          {"dtype", name(t.dtype)},
          {"shape", t.shape},
          {"scheme", text_or_null(t.scheme)},
          {"layout", text_or_null(t.layout)},
          {"reason", t.reason},
          {"bytes_in", t.bytes_in},
          {"bytes_out", t.bytes_out}};
}

json object_of(const PlannedFile& f) { return {{"name", f.name}, {"what", f.what}, {"nbytes", f.nbytes}}; }

json object_of(const InspectedTensor& t) {
  return {{"name", t.name},
          {"dtype", name(t.dtype)},
          {"shape", t.shape},
          {"nbytes", t.nbytes},
          {"scheme", text_or_null(t.scheme)},
          {"layout", text_or_null(t.layout)},
          {"minimum", number(t.minimum)},
          {"maximum", number(t.maximum)},
          {"zero_share", number(t.zero_share)},
          {"nan_count", t.nan_count},
          {"inf_count", t.inf_count},
          {"all_zero", t.all_zero},
          {"already_ternary", t.already_ternary}};
}

json object_of(const Report& r) {
  return {{"elements", r.elements},
          {"signal", number(r.signal)},
          {"noise", number(r.noise)},
          {"sqnr_db", number(r.sqnr_db)},
          {"cosine", number(r.cosine)},
          {"max_abs_error", number(r.max_abs_error)},
          {"zero_share", r.zero_share},
          {"saturated_share", r.saturated_share},
          {"bits_per_weight", r.bits_per_weight},
          {"floored_granules", r.floored_granules},
          {"prequantized_granules", r.prequantized_granules},
          {"granules", r.granules},
          {"lossless", r.lossless}};
}

json object_of(const VerifiedTensor& t) {
  return {{"name", t.name},
          {"scheme", text_or_null(t.scheme)},
          {"report", t.report ? object_of(*t.report) : json()},
          {"reproduced", t.reproduced},
          {"gate_missed", t.gate_missed},
          {"bytes_before", t.bytes_before},
          {"bytes_after", t.bytes_after}};
}

template <typename Items>
json list_of(const Items& items) {
  json list = json::array();
  for (const auto& item : items) list.push_back(object_of(item));
  return list;
}

/// Rules come from a command line, which may hold any bytes; JSON holds UTF-8 only.
std::string text_of(const json& document) { return document.dump(2, ' ', false, json::error_handler_t::replace); }

}  // namespace

std::string to_json(const Plan& plan) {
  return text_of({{"schema", "bnq.plan/1"},
                  {"tensors", list_of(plan.tensors)},
                  {"files", list_of(plan.files)},
                  {"target", plan.target},
                  {"target_layout", text_or_null(plan.target_layout)},
                  {"notes", plan.notes},
                  {"client", plan.client},
                  {"rules", list_of(plan.rules)},
                  {"warnings", plan.warnings},
                  {"file_bytes_in", plan.file_bytes_in},
                  {"file_bytes_out", plan.file_bytes_out}});
}

std::string to_json(const ConvertResult& r) {
  return text_of({{"schema", "bnq.convert/1"},
                  {"tensors", r.tensors},
                  {"ternary_floats", r.ternary_floats},
                  {"copied", r.copied},
                  {"scale_error", number(r.scale_error)},
                  {"worst_name", r.worst_name},
                  {"layout", text_or_null(r.layout)},
                  {"notes", r.notes},
                  {"warnings", r.warnings},
                  {"file_bytes_in", r.file_bytes_in},
                  {"file_bytes_out", r.file_bytes_out}});
}

std::string to_json(const Inspection& inspection) {
  return text_of({{"schema", "bnq.inspection/1"},
                  {"tensors", list_of(inspection.tensors)},
                  {"file_bytes", inspection.file_bytes},
                  {"written_by", inspection.written_by},
                  {"unread", inspection.unread}});
}

std::string to_json(const Verification& v) {
  return text_of({{"schema", "bnq.verification/1"},
                  {"tensors", list_of(v.tensors)},
                  {"missing", v.missing},
                  {"extra", v.extra},
                  {"file_bytes_before", v.file_bytes_before},
                  {"file_bytes_after", v.file_bytes_after},
                  {"worst_sqnr_db", number(v.worst_sqnr_db)},
                  {"median_sqnr_db", number(v.median_sqnr_db)},
                  {"worst_name", v.worst_name},
                  {"lossless", v.lossless},
                  {"reproduced", v.reproduced},
                  {"gates_met", v.gates_met},
                  {"written_by", v.written_by},
                  {"is_foreign", v.is_foreign},
                  {"verdict", v.verdict}});
}

}  // namespace bnq
