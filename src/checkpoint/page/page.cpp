#include <bnq/checkpoint.h>
#include <bnq/version.h>

#include "checkpoint/contents.h"
#include "checkpoint/page/svg.h"
#include "io/output_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

namespace bnq {
namespace {

using detail::escaped;

constexpr std::size_t most_histograms = 4;

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>bnq verify</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em; color: #1b1f24; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; } code, td.n { font-family: ui-monospace, monospace; }
p.verdict { font-size: 1.15em; padding: .7em 1em; border-left: 5px solid #3b6ea5; background: #f2f6fb; }
p.verdict.bad { border-color: #b3261e; background: #fdf1f0; }
svg { width: 100%; height: auto; font-size: 12px; } svg text { fill: #444; } svg line { stroke: #ddd; }
.before-size { fill: #8d99a6; } .after-size { fill: #3b6ea5; } .less { fill: #58a06b; } .more { fill: #b3261e; }
.bar { fill: #3b6ea5; } .worst { fill: #d98324; } .missed { fill: #b3261e; } .after { fill: #9cc0e6; }
.before { fill: none; stroke: #1b1f24; stroke-width: 1.2; }
table { border-collapse: collapse; width: 100%; font-size: 13px; } td, th { padding: 2px 8px; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #999; } td.n, th.n { text-align: left; overflow-wrap: anywhere; white-space: normal; }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dfe4ea; } svg text { fill: #b8c0c8; }
p.verdict { background: #1d2630; } p.verdict.bad { background: #33201f; } .before { stroke: #dfe4ea; }
svg line { stroke: #333; } }
</style></head><body>
)";

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  (void)std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string decibel(double sqnr_db) { return sqnr_db > 1e9 ? "lossless" : formatted("%.2f", sqnr_db); }

std::string row_of(const VerifiedTensor& tensor, bool is_foreign) {
  const Report& r = *tensor.report;
  std::string notes = tensor.gate_missed ? "gate missed" : "";
  if (!tensor.reproduced && !is_foreign) notes += std::string(notes.empty() ? "" : ", ") + "not what bnq computes";
  return "<tr><td class=\"n\">" + escaped(tensor.name) + "</td><td class=\"n\">" + tensor.scheme->to_string() +
         "</td><td>" + decibel(r.sqnr_db) + "</td><td>" + formatted("%.6f", r.cosine) + "</td><td>" +
         formatted("%.3g", r.max_abs_error) + "</td><td>" + formatted("%.1f %%", 100 * r.zero_share) + "</td><td>" +
         formatted("%.2f", r.bits_per_weight) + "</td><td class=\"n\">" + notes + "</td></tr>\n";
}

std::string table_of(const Verification& verification) {
  std::string text =
      "<h2>Every quantized tensor</h2>\n<table><tr><th class=\"n\">name</th><th class=\"n\">scheme</th><th>SQNR dB</th>"
      "<th>cosine</th><th>max error</th><th>zeros</th><th>bits/weight</th><th class=\"n\">notes</th></tr>\n";
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (tensor.report) text += row_of(tensor, verification.is_foreign);
  }
  return text + "</table>\n";
}

std::string list_of(const std::string& title, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string text = "<h2>" + title + "</h2>\n<ul>\n";
  for (const std::string& name : names) text += "<li><code>" + escaped(name) + "</code></li>\n";
  return text + "</ul>\n";
}

/// Those with the least SQNR that lost something.
std::vector<const VerifiedTensor*> worst_of(const Verification& verification) {
  std::vector<const VerifiedTensor*> worst;
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (tensor.report && !tensor.report->lossless) worst.push_back(&tensor);
  }
  std::ranges::stable_sort(worst, {}, [](const VerifiedTensor* tensor) { return tensor->report->sqnr_db; });
  worst.resize(std::min(worst.size(), most_histograms));
  return worst;
}

std::string histograms_of(const detail::Source& original, const detail::Source& quantized,
                          const Verification& verification) {
  const detail::Contents contents = detail::contents_of(quantized, verification.convention);
  std::string text;
  for (const VerifiedTensor* tensor : worst_of(verification)) {
    const detail::FileForm* const form = contents.find_quantized(tensor->name);
    const safetensors::Entry* const entry = original.find(tensor->name);
    if (form == nullptr || entry == nullptr) continue;  // another file than was verified
    const QuantizedTensor q = detail::read_quantized(quantized, *form);
    const auto histogram = detail::histogram_of(original.view(*entry), q);
    text += "<h3><code>" + escaped(tensor->name) + "</code>, " + decibel(tensor->report->sqnr_db) + " dB</h3>\n" +
            detail::histogram_picture(histogram);
  }
  if (text.empty()) return {};
  return "<h2>Values of the tensors that lost most</h2>\n<p>Bars: after quantizing. Line: before. Each is drawn to its "
         "own largest count.</p>\n" +
         text;
}

std::string page_of(const std::string& original, const std::string& quantized, const Verification& v,
                    const std::string& histograms) {
  const bool is_bad = !v.gates_met || v.verdict.starts_with("LARGE LOSS");
  return std::string(head) + "<h1>" + escaped(quantized) + "</h1>\n<p class=\"verdict" + (is_bad ? " bad" : "") +
         "\">" + detail::as_html(v.verdict) + "</p>\n<p>Made from <code>" + escaped(original) +
         "</code>, checked by bnq " + BNQ_VERSION +
         (v.reproduced ? ": every tensor is what bnq computes from it." : ".") + "</p>\n<h2>Size</h2>\n" +
         detail::size_waterfall(v) +
         "<h2>SQNR of each quantized tensor, dB</h2>\n<p>Signal to quantization noise; 6 dB are a bit. In the order of "
         "the file; the worst is orange, a missed gate red, lossless ends at the top.</p>\n" +
         detail::sqnr_bars(v) + histograms + table_of(v) + list_of("Missing", v.missing) + list_of("Extra", v.extra) +
         "</body></html>\n";
}

}  // namespace

void save_html_report(const std::filesystem::path& path, const std::filesystem::path& original,
                      const std::filesystem::path& quantized, const Verification& verification, bool replace) {
  const std::string histograms = histograms_of(detail::Source(original), detail::Source(quantized), verification);
  detail::require_beside(path, original, "the page");
  detail::require_beside(path, quantized, "the page");
  detail::write_whole(path, page_of(original.string(), quantized.string(), verification, histograms), replace);
}

}  // namespace bnq
