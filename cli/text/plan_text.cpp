#include "plan_text.h"

#include "table.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace bnq::cli {
namespace {

using enum Table::Align;

std::string scheme_text(const PlannedTensor& tensor) { return tensor.scheme ? tensor.scheme->to_string() : "keep"; }

std::string layout_text(const PlannedTensor& tensor) { return tensor.layout ? std::string(tensor.layout->name()) : ""; }

/// Why, without the "kept: " that the scheme column says already.
std::string reason_text(const PlannedTensor& tensor) {
  constexpr std::string_view kept = "kept: ";
  return printable(tensor.reason.starts_with(kept) ? tensor.reason.substr(kept.size()) : tensor.reason);
}

/// Tensors that are treated alike.
struct Total {
  std::string scheme, layout, reason;  // the reason of kept tensors only
  std::uint64_t tensors = 0, bytes_in = 0, bytes_out = 0;
};

std::vector<Total> totals_of(const Plan& plan) {
  std::vector<Total> totals;
  for (const PlannedTensor& tensor : plan.tensors) {
    const std::string scheme = scheme_text(tensor);
    const std::string layout = layout_text(tensor);
    const std::string reason = tensor.scheme ? "" : reason_text(tensor);
    auto total = std::ranges::find_if(
        totals, [&](const Total& t) { return t.scheme == scheme && t.layout == layout && t.reason == reason; });
    if (total == totals.end()) total = totals.insert(totals.end(), {scheme, layout, reason});
    total->tensors += 1;
    total->bytes_in += tensor.bytes_in;
    total->bytes_out += tensor.bytes_out;
  }
  const auto order = [](const Total& t) { return std::pair(t.scheme != "keep", t.bytes_in); };
  std::ranges::stable_sort(totals, std::ranges::greater{}, order);  // what is quantized first, much before little
  return totals;
}

}  // namespace

std::string plan_table(const Plan& plan) {
  Table table({{"dtype", left},
               {"shape", left},
               {"bytes in", right},
               {"bytes out", right},
               {"scheme", left},
               {"layout", left},
               {"reason", left},
               {"name", left}});
  for (const PlannedTensor& tensor : plan.tensors) {
    table.add({std::string(name(tensor.dtype)), to_string(tensor.shape), grouped(tensor.bytes_in),
               grouped(tensor.bytes_out), scheme_text(tensor), layout_text(tensor), reason_text(tensor),
               name_text(tensor.name)});
  }
  return table.text();
}

std::string plan_totals(const Plan& plan, const Facts& more) {
  Table table({{"tensors", right},
               {"bytes in", right},
               {"bytes out", right},
               {"scheme", left},
               {"layout", left},
               {"reason", left}});
  for (const Total& total : totals_of(plan)) {
    table.add({grouped(total.tensors), grouped(total.bytes_in), grouped(total.bytes_out), total.scheme, total.layout,
               total.reason});
  }
  Facts lines;
  for (const RuleHits& rule : plan.rules) {
    lines.emplace_back("rule",
                       "'" + printable(rule.rule) + "' hits " + count(static_cast<std::uint64_t>(rule.hits), "tensor"));
  }
  lines.emplace_back(plan.files.empty() ? "file" : "folder", change(plan.file_bytes_in, plan.file_bytes_out));
  if (!plan.files.empty()) {
    const auto shards = std::ranges::count(plan.files, "shard", &PlannedFile::what);
    lines.emplace_back("files", count(static_cast<std::uint64_t>(shards), "shard") + " of weights, " +
                                    std::to_string(static_cast<std::int64_t>(plan.files.size()) - shards) + " others");
    const bool quantizes =
        std::ranges::any_of(plan.tensors, [](const PlannedTensor& t) { return t.scheme.has_value(); });
    if (quantizes) {
      lines.emplace_back("loads in", plan.client.empty() ? "bnq only" : "transformers, as " + plan.client);
    }
  }
  lines.insert(lines.end(), more.begin(), more.end());
  return table.text() + "\n" + facts(lines);
}

}  // namespace bnq::cli
