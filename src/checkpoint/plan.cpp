#include "checkpoint/clients/client_form.h"
#include "checkpoint/contents.h"
#include "checkpoint/foreign/online_bitnet.h"
#include "checkpoint/rules/rules.h"
#include "checkpoint/rules/saved_plan.h"
#include "checkpoint/target/plan_target.h"
#include "checkpoint/work.h"
#include "core/fail.h"
#include "io/output_file.h"
#include "io/system_call.h"

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
  for (const Entry& part : form ? form->parts() : std::vector{entry}) tensor.bytes_out += part.nbytes;
  work.plan.tensors.push_back(std::move(tensor));
  work.forms.push_back(std::move(form));
}

/// A layer that its client's form cannot hold stays float.
void keep_refused(Work& work, Decision& decision, const Entry& entry) {
  if (!decision.scheme) return;
  const std::string refusal = client_refusal(*decision.scheme, entry.shape);
  if (refusal.empty()) return;
  if (work.options.strict) {
    fail(ErrorKind::invalid_argument, {.where = "tensor '" + printable(entry.name) + "'",
                                       .what = "would stay float: " + refusal,
                                       .cure = "choose another scheme for it, or keep it by a rule"});
  }
  decision = {std::nullopt, "kept: " + refusal};
  work.plan.warnings.push_back("'" + printable(entry.name) + "' stays float: " + refusal);
}

std::vector<ModelTensor> model_tensors(const Plan& plan) {
  std::vector<ModelTensor> tensors;
  for (const PlannedTensor& t : plan.tensors) tensors.push_back({t.name, t.shape, t.scheme, t.dtype});
  return tensors;
}

/// Which client loads the folder, and what config.json says for it; returns why plain transformers does not. Where a
/// target is named, that is its matter.
std::string choose_client(Work& work, const ModelConfig& config, const FolderArchitecture& architecture) {
  const ClientForm client = client_form(config, architecture, model_tensors(work.plan));
  work.plan.client = client.name;
  if (!client.why_bnq_only.empty() && work.options.target.empty()) {
    const std::string what = "only bnq will read this folder, not transformers: " + client.why_bnq_only;
    if (work.options.strict) fail(ErrorKind::invalid_argument, {.where = text_of(work.source.path()), .what = what});
    work.plan.warnings.push_back(what);
  }
  if (!client.name.empty() && architecture.get()->has_whole_names) {
    work.plan.warnings.push_back(
        "bnq's tests do not load a " + printable(config.architecture) +
        ": its own code said which layers are linear; load the folder once before you rely on it");
  }
  for (std::optional<FileForm>& form : work.forms) {
    if (form) form->has_inverse_scale = client.inverse_scales;
  }
  const std::string& text = work.source.folder()->config;
  if (!text.empty()) {
    work.config = client.quantization_config.empty() ? text : with_quantization(text, client.quantization_config);
  }
  return client.why_bnq_only;
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

/// What a reader of the totals could overlook.
void warn_of_fused(Plan& plan) {
  std::uint64_t experts = 0;
  std::uint64_t bytes = 0;
  std::uint64_t shared_scales = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.reason == "kept: " + std::string(fused_experts)) {
      ++experts;
      bytes += tensor.bytes_in;
    }
    if (tensor.scheme && tensor.reason == fused_weight && tensor.scheme->granularity() == Granularity::tensor()) {
      ++shared_scales;
    }
  }
  const auto tensors = [](std::uint64_t n) { return std::to_string(n) + (n == 1 ? " tensor" : " tensors"); };
  if (experts > 0) {
    plan.warnings.push_back(tensors(experts) + " of fused experts (" + std::to_string(bytes) +
                            " bytes) stay float: experts are quantized from one matrix each");
  }
  if (shared_scales > 0) {
    plan.warnings.push_back(tensors(shared_scales) +
                            " with several layers fused get one scale for all of them; a scheme by row does not");
  }
}

void add_warnings(Plan& plan, const Rules& rules, bool strict) {
  for (const RuleHits& rule : rules.hits()) {
    if (rule.hits > 0) continue;
    const std::string where = "rule '" + printable(rule.rule) + "'";
    if (strict)
      fail(ErrorKind::invalid_argument, {.where = where, .what = "hits no tensor", .cure = "mend it, or leave it out"});
    plan.warnings.push_back(where + " hits no tensor");
  }
  std::set<std::string_view> warnings;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.scheme && !tensor.scheme->warning().empty()) warnings.insert(tensor.scheme->warning());
  }
  plan.warnings.insert(plan.warnings.end(), warnings.begin(), warnings.end());
  warn_of_fused(plan);
  const bool quantizes = std::ranges::any_of(plan.tensors, [](const PlannedTensor& t) { return t.scheme.has_value(); });
  if (quantizes) return;
  const std::string what = "nothing is quantized: " + why_nothing(plan);
  if (strict) fail(ErrorKind::invalid_argument, {.where = "quantize", .what = what});
  plan.warnings.push_back(what);
}

}  // namespace

Work plan_work(const std::filesystem::path& in, const QuantizeOptions& options) {
  Rules rules(options);  // what the user got wrong is said before a file is opened
  const auto target = options.target.empty() ? std::nullopt : std::optional(Target::parse(options.target));
  std::optional<SavedPlan> saved;
  if (!options.plan.empty()) saved.emplace(options.plan);
  Work work{.source = Source(in), .options = options};
  if (work.source.gguf() != nullptr) {
    fail(ErrorKind::unsupported, {.where = text_of(in),
                                  .what = "quantizing reads safetensors files and folders, and this is a GGUF file",
                                  .cure = "`bnq dequantize` or `bnq convert` makes a safetensors file of it"});
  }
  work.model = config_of(work.source);
  const ModelConfig& config = work.model;
  require_not_packed(work.source, config);
  const FolderArchitecture folder_architecture(config.architecture, options.modules);
  const Architecture* const architecture = folder_architecture.get();
  for (const Entry& entry : work.source.tensors()) {
    Decision decision = saved ? saved->decide(entry.name, entry.dtype, entry.shape)
                              : rules.decide({entry.name, entry.dtype, entry.shape.size()}, architecture);
    if (!target && architecture != nullptr && role_of(*architecture, entry.name) != Role::other) {
      keep_refused(work, decision, entry);
    }
    add_tensor(work, entry, decision);
  }
  rules.require_followed();
  if (saved) saved->require_followed();
  require_same_model(in, config, architecture, work.plan);
  std::string why_bnq_only;
  if (work.source.folder()) why_bnq_only = choose_client(work, config, folder_architecture);
  if (target) require_target(work, *target, folder_architecture, why_bnq_only);
  work.plan.rules = rules.hits();
  add_warnings(work.plan, rules, options.strict);
  place_output(work);
  if (!options.plan_out.empty()) require_beside(options.plan_out, in, "the plan");
  if (!options.plan_out.empty()) write_whole(options.plan_out, to_json(work.plan) + "\n", options.replace);
  return work;
}

}  // namespace detail

std::string unlisted_architecture(const std::filesystem::path& folder) {
  const std::string name = detail::config_of(detail::Source(folder)).architecture;
  return detail::find_architecture(name) == nullptr ? name : "";
}

ClientForm client_form(const std::string& config, const std::vector<ModelTensor>& tensors,
                       const std::optional<ModelModules>& modules) {
  const detail::ModelConfig parsed = detail::parse_model_config("config", config);
  return detail::client_form(parsed, detail::FolderArchitecture(parsed.architecture, modules), tensors);
}

Plan plan_checkpoint(const std::filesystem::path& in, const QuantizeOptions& options) {
  return detail::plan_work(in, options).plan;
}

}  // namespace bnq
