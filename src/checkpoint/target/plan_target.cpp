#include "checkpoint/target/plan_target.h"

#include "checkpoint/convert/gguf/name_items.h"
#include "checkpoint/target/common_layout.h"
#include "core/fail.h"
#include "io/system_call.h"
#include "target/target_row.h"

#include <algorithm>

namespace bnq::detail {
namespace {

std::string tensor_text(const std::string& name) { return "tensor '" + printable(name) + "'"; }

std::string refusal_of(const Target& target, const PlannedTensor& tensor) {
  if (!tensor.scheme) return {};
  return target.refusal(*tensor.scheme, tensor.shape);
}

/// The first that is refused, how many others are, and the options that settle it.
void require_tensors(const Plan& plan, const Target& target) {
  const auto is_refused = [&](const PlannedTensor& tensor) { return !refusal_of(target, tensor).empty(); };
  const auto first = std::ranges::find_if(plan.tensors, is_refused);
  if (first == plan.tensors.end()) return;
  const auto others = std::count_if(first + 1, plan.tensors.end(), is_refused);
  std::string cannot = std::string(target.name()) + " cannot run it";
  if (others > 0) cannot += ", nor " + std::to_string(others) + (others == 1 ? " other" : " others");
  const bool never = !target.refusal(*first->scheme).empty();
  fail(ErrorKind::unsupported,
       {.where = tensor_text(first->name),
        .what = cannot + ": " + refusal_of(target, *first),
        .got = first->scheme->to_string() + " " + to_string(first->shape),
        .need = never ? "a scheme such as " + schemes_instead(target, *first->scheme) : "",
        .cure = "choose another --scheme, or keep it: --keep '" + printable(first->name) + "'"});
}

ModelPart part_of(const FolderArchitecture& architecture, const std::string& tensor) {
  if (architecture.get() == nullptr) return ModelPart::other;
  switch (role_of(*architecture.get(), tensor)) {
    case Role::linear:
      return ModelPart::linear;
    case Role::head:
      return ModelPart::head;
    case Role::embedding:
      return ModelPart::embedding;
    case Role::other:
      break;
  }
  return ModelPart::other;
}

void require_model(const Plan& plan, const Target& target, const FolderArchitecture& architecture) {
  if (target.row().model_refusal == nullptr) return;
  std::vector<TargetTensor> tensors;
  for (const PlannedTensor& t : plan.tensors) tensors.push_back({t.name, part_of(architecture, t.name), t.scheme});
  const std::optional<ModelRefusal> refused = target.row().model_refusal(tensors);
  if (!refused) return;
  fail(ErrorKind::unsupported, {.where = tensor_text(refused->tensor),
                                .what = std::string(target.name()) + " cannot load it: " + refused->why,
                                .cure = refused->cure});
}

void require_folder(const Work& work, const Target& target) {
  if (work.source.folder() && !work.source.folder()->config.empty()) return;
  fail(ErrorKind::unsupported, {.where = text_of(work.source.path()),
                                .what = std::string(target.name()) + " loads whole models, and this input does not say "
                                                                     "what its model is",
                                .need = "a model folder with its config.json"});
}

void require_client(const Work& work, const Target& target, const std::string& why_bnq_only) {
  if (why_bnq_only.empty()) return;
  fail(ErrorKind::unsupported, {.where = text_of(work.source.path()),
                                .what = std::string(target.name()) + " would not load this folder: " + why_bnq_only,
                                .cure = "another --target, or none, writes what bnq itself reads"});
}

/// What `convert_checkpoint` will find.
void require_gguf(Work& work, const Target& target) {
  require_gguf_model(work.source);
  CommonLayout common(target);
  for (const PlannedTensor& tensor : work.plan.tensors) {
    if (tensor.scheme) common.add(tensor_text(tensor.name), *tensor.scheme, tensor.shape);
  }
  if (std::ranges::none_of(work.plan.tensors, [](const PlannedTensor& tensor) { return tensor.scheme.has_value(); })) {
    fail(ErrorKind::unsupported, {.where = text_of(work.source.path()),
                                  .what = "no tensor would be low-bit, and a GGUF file is made of those that are",
                                  .need = "one tensor that is quantized",
                                  .cure = "keep fewer, or choose others by --rule"});
  }
  work.plan.target_layout = common.layout();
}

void add_notes(Plan& plan, const Target& target) {
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!tensor.scheme) continue;
    for (std::string& difference : target.differences(*tensor.scheme)) {
      if (std::ranges::find(plan.notes, difference) == plan.notes.end()) plan.notes.push_back(std::move(difference));
    }
  }
}

}  // namespace

void require_target(Work& work, const Target& target, const FolderArchitecture& architecture,
                    const std::string& why_bnq_only) {
  require_tensors(work.plan, target);
  if (target.reads() != Target::Reads::operands) require_folder(work, target);
  if (target.reads() == Target::Reads::folder) require_client(work, target, why_bnq_only);
  if (target.reads() == Target::Reads::gguf) require_gguf(work, target);
  require_model(work.plan, target, architecture);
  work.plan.target = std::string(target.name());
  add_notes(work.plan, target);
}

}  // namespace bnq::detail
