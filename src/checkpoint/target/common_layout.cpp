#include "checkpoint/target/common_layout.h"

#include "core/fail.h"

#include <algorithm>

namespace bnq::detail {
namespace {

std::string names_of(const std::vector<Layout>& layouts) {
  std::string text;
  for (const Layout& layout : layouts) text += (text.empty() ? "" : " or ") + std::string(layout.name());
  return text;
}

}  // namespace

void CommonLayout::add(const std::string& where, const Scheme& scheme, const Shape& shape) {
  target_.require(where, scheme, shape);
  const std::vector<Layout> here = target_.layouts(scheme, shape);
  if (!holding_) holding_ = here;
  std::vector<Layout> both;
  std::ranges::copy_if(*holding_, std::back_inserter(both),
                       [&](const Layout& layout) { return std::ranges::find(here, layout) != here.end(); });
  if (both.empty()) {
    fail(ErrorKind::unsupported,
         {.where = where,
          .what = "one layout is for all of a file, and this tensor needs another for " + std::string(target_.name()),
          .got = names_of(here) + " for " + scheme.to_string() + " " + to_string(shape),
          .need = names_of(*holding_) + ", as those before it",
          .cure = "give all schemes of one width, keep some in floats, or name a layout that holds all: --to"});
  }
  holding_ = both;
}

std::optional<Layout> CommonLayout::layout() const {
  return holding_ ? std::optional(holding_->front()) : std::nullopt;
}

}  // namespace bnq::detail
