#include "checkpoint/contents.h"
#include "checkpoint/rules.h"
#include "checkpoint/work.h"
#include "core/fail.h"
#include "io/metadata.h"

#include <algorithm>
#include <set>
#include <utility>

namespace bnq {
namespace detail {
namespace {

using safetensors::Entry;

PlannedTensor planned(const Entry& entry, const Decision& decision, const std::optional<FileForm>& form) {
  PlannedTensor tensor{.name = entry.name, .dtype = entry.dtype, .shape = entry.shape, .reason = decision.reason};
  tensor.scheme = decision.scheme;
  if (form) tensor.layout = form->layout;
  tensor.bytes_in = entry.nbytes;
  return tensor;
}

void add_tensor(Work& work, const Entry& entry, const Decision& decision) {
  std::optional<FileForm> form;
  if (decision.scheme) form = file_form(entry.name, *decision.scheme, entry.dtype, entry.shape);
  PlannedTensor tensor = planned(entry, decision, form);
  for (const Entry& part : form ? form->parts() : std::vector{entry}) {
    tensor.bytes_out += part.nbytes;
    work.entries.push_back(part);
  }
  work.plan.tensors.push_back(std::move(tensor));
  work.forms.push_back(std::move(form));
}

/// `x` and `x_scale` cannot both be kept under their names when x is quantized.
void require_free_names(const Work& work) {
  std::set<std::string_view> names;
  for (const Entry& entry : work.entries) {
    if (names.insert(entry.name).second) continue;
    fail(ErrorKind::bad_content, {.where = in_file(work.reader.path(), entry.name),
                                  .what = "its name is needed for a part of a quantized tensor",
                                  .cure = "keep the tensor that would need it"});
  }
}

/// Names are to blame only where no rule is.
std::string why_nothing(const Plan& plan) {
  std::int64_t floats = 0;
  std::int64_t kept = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!is_quantizable(tensor.dtype)) continue;
    ++floats;
    if (tensor.reason.starts_with("kept: rule ")) ++kept;
  }
  if (kept == 0) return "no tensor is a linear weight by name and shape";
  if (kept == floats) return "every float tensor is kept by a rule";
  return "what no rule keeps is no linear weight by name and shape";
}

void add_warnings(Plan& plan, const Rules& rules, bool strict) {
  for (const RuleHits& rule : rules.hits()) {
    if (rule.hits > 0) continue;
    const std::string where = "rule '" + printable(rule.rule) + "'";
    if (strict)
      fail(ErrorKind::invalid_argument, {.where = where, .what = "hits no tensor", .cure = "mend its pattern"});
    plan.warnings.push_back(where + " hits no tensor");
  }
  std::set<std::string_view> warnings;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.scheme && !tensor.scheme->warning().empty()) warnings.insert(tensor.scheme->warning());
  }
  plan.warnings.insert(plan.warnings.end(), warnings.begin(), warnings.end());
  const bool quantizes = std::ranges::any_of(plan.tensors, [](const PlannedTensor& t) { return t.scheme.has_value(); });
  if (!quantizes) plan.warnings.push_back("nothing is quantized: " + why_nothing(plan));
}

}  // namespace

Work plan_work(const std::filesystem::path& in, const QuantizeOptions& options) {
  Rules rules(options);
  Work work{.reader = safetensors::Reader(in)};
  require_not_packed(work.reader, contents_of(work.reader));
  for (const Entry& entry : work.reader.tensors()) {
    add_tensor(work, entry, rules.decide({entry.name, entry.dtype, entry.shape.size()}));
  }
  rules.require_followed();
  require_free_names(work);
  std::vector<FileForm> forms;
  for (const auto& form : work.forms) {
    if (form) forms.push_back(*form);
  }
  work.metadata = metadata_of(work.reader.metadata(), forms, &options);
  work.plan.rules = rules.hits();
  add_warnings(work.plan, rules, options.strict);
  work.plan.file_bytes_in = work.reader.file_bytes();
  work.plan.file_bytes_out = safetensors::Writer::file_bytes(work.entries, work.metadata);
  return work;
}

}  // namespace detail

Plan plan_checkpoint(const std::filesystem::path& in, const QuantizeOptions& options) {
  return detail::plan_work(in, options).plan;
}

}  // namespace bnq
