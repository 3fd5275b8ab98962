#include <bnq/target.h>

#include "core/fail.h"
#include "target/target_row.h"

#include <algorithm>
#include <array>

namespace bnq {
namespace {

using detail::TargetLayout;

// Every target there is.
constexpr std::array<const detail::TargetRow*, 5> rows{&detail::target_transformers, &detail::target_vllm,
                                                       &detail::target_llama_cpp, &detail::target_bitnet_cpp,
                                                       &detail::target_onnxruntime};

std::string names() {
  std::string text;
  for (const detail::TargetRow* row : rows) text += (text.empty() ? "" : ", ") + std::string(row->name);
  return text;
}

/// A matrix that no target refuses for its extents: whole groups, and multiples of all that anybody asks for.
Shape roomy_shape(const Granularity& granularity) {
  constexpr std::int64_t extent = 1024;
  return {extent, extent * std::max<std::int64_t>(1, granularity.group_size)};
}

bool is_as_wide(const TargetLayout& layout, const Scheme& scheme) {
  return scheme.code_bits() >= layout.least_bits && scheme.code_bits() <= layout.most_bits;
}

/// What the layouts say that could hold such codes; where there is none so wide, what all say.
std::string layouts_refusal(std::span<const TargetLayout> layouts, const Scheme& scheme, const Shape& shape) {
  const bool one_is = std::ranges::any_of(layouts, [&](const TargetLayout& l) { return is_as_wide(l, scheme); });
  std::string text;
  for (const TargetLayout& candidate : layouts) {
    if (one_is && !is_as_wide(candidate, scheme)) continue;
    const std::string why = Layout::parse(candidate.name).refusal(scheme, shape);
    if (why.empty()) continue;
    text += (text.empty() ? "layout " : "; ") + std::string(candidate.name) + " " + why;
  }
  return text;
}

}  // namespace

namespace detail {

std::string axes_refusal(const Shape& shape) {
  if (shape.size() == 2) return {};
  return "it takes matrices only, the tensor has " + std::to_string(shape.size()) +
         (shape.size() == 1 ? " axis" : " axes");
}

std::string schemes_instead(const Target& target, const Scheme& scheme) {
  std::string text;
  for (const Scheme& taken : target.schemes()) {
    if (taken.rule() == scheme.rule()) return taken.to_string();
    text += (text.empty() ? "" : ", ") + taken.to_string();
  }
  return text;
}

}  // namespace detail

Target Target::parse(std::string_view name) {
  const auto row = std::ranges::find_if(rows, [&](const detail::TargetRow* r) { return r->name == name; });
  if (row != rows.end()) return Target(*row);
  detail::fail(ErrorKind::invalid_argument, {.where = "target",
                                             .what = "unknown",
                                             .got = "'" + detail::printable(std::string(name)) + "'",
                                             .need = "one of " + names()});
}

std::vector<Target> Target::all() {
  std::vector<Target> targets;
  for (const detail::TargetRow* row : rows) targets.push_back(Target(row));
  return targets;
}

std::string_view Target::name() const { return row_->name; }
std::string_view Target::about() const { return row_->about; }
Target::Reads Target::reads() const { return row_->reads; }

std::vector<Scheme> Target::schemes() const {
  constexpr std::int64_t group = 64;
  std::vector<Scheme> taken;
  for (const Scheme& scheme : Scheme::all()) {
    if (scheme == Scheme::activations()) continue;
    for (const Granularity& granularity :
         {scheme.granularity(), Granularity::tensor(), Granularity::row(), Granularity::group(group)}) {
      if (!refusal(scheme.with(granularity)).empty()) continue;
      taken.push_back(scheme.with(granularity));
      break;
    }
  }
  return taken;
}

std::string Target::refusal(const Scheme& scheme) const { return refusal(scheme, roomy_shape(scheme.granularity())); }

std::string Target::refusal(const Scheme& scheme, const Shape& shape) const {
  (void)element_count(shape);  // throws for what is no shape
  std::string why = row_->refusal(scheme, shape);
  if (!why.empty() || !layouts(scheme, shape).empty()) return why;
  return layouts_refusal(row_->layouts, scheme, shape);
}

void Target::require(const std::string& where, const Scheme& scheme) const {
  const std::string why = refusal(scheme);
  if (why.empty()) return;
  detail::fail(ErrorKind::unsupported, {.where = where,
                                        .what = std::string(name()) + " cannot run it: " + why,
                                        .got = scheme.to_string(),
                                        .need = "a scheme such as " + detail::schemes_instead(*this, scheme)});
}

void Target::require(const std::string& where, const Scheme& scheme, const Shape& shape) const {
  const std::string why = refusal(scheme, shape);
  if (why.empty()) return;
  require(where, scheme);  // what no shape would mend is said of all
  detail::fail(ErrorKind::unsupported, {.where = where,
                                        .what = std::string(name()) + " cannot hold it: " + why,
                                        .got = scheme.to_string() + " " + to_string(shape),
                                        .cure = "keep it in floats, or choose another scheme for it"});
}

std::vector<Layout> Target::layouts(const Scheme& scheme, const Shape& shape) const {
  std::vector<Layout> holding;
  if (!row_->refusal(scheme, shape).empty()) return holding;
  for (const TargetLayout& candidate : row_->layouts) {
    const Layout layout = Layout::parse(candidate.name);
    if (is_as_wide(candidate, scheme) && layout.refusal(scheme, shape).empty()) holding.push_back(layout);
  }
  return holding;
}

std::optional<Layout> Target::layout(const Scheme& scheme, const Shape& shape) const {
  const std::vector<Layout> holding = layouts(scheme, shape);
  return holding.empty() ? std::nullopt : std::optional(holding.front());
}

std::vector<std::string> Target::differences(const Scheme& scheme) const { return row_->differences(scheme); }

}  // namespace bnq
