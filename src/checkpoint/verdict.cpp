#include "checkpoint/verdict.h"

#include "core/fail.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace bnq::detail {
namespace {

// Signal to noise of a median tensor, in dB. int8 by row gives about 40, int4 by groups about 20, ternary of ordinary
// weights about 6 (docs/command_line.rst, "verify").
constexpr double near_lossless_db = 30;
constexpr double large_loss_db = 12;

std::string decibel(double value) {
  if (std::isinf(value)) return "lossless";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f dB", value);
  return text;
}

/// Share of the weights' energy that is error, e.g. "22 %".
std::string error_share(double sqnr_db) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g %%", 100 * std::pow(10.0, -sqnr_db / 10));
  return text;
}

/// The lower of the two middle values when their number is even: a figure that some tensor has.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool few_levels(const Verification& v) {
  return std::ranges::any_of(v.tensors, [](const VerifiedTensor& t) { return t.scheme && t.scheme->max_code() == 1; });
}

bool holds_quantized(const Verification& v) {
  return std::ranges::any_of(v.tensors, [](const VerifiedTensor& t) { return t.scheme.has_value(); });
}

/// A good median hides a few tensors that lose much.
std::string outliers(const Verification& v) {
  const auto loses = [](const VerifiedTensor& t) { return t.report && t.report->sqnr_db < large_loss_db; };
  const auto count = std::ranges::count_if(v.tensors, loses);
  if (count == 0) return {};
  char limit[16];
  std::snprintf(limit, sizeof limit, "%.0f dB", large_loss_db);
  return " BUT " + std::to_string(count) + (count == 1 ? " tensor loses" : " tensors lose") + " much more, below " +
         limit + "; one is enough to break a model.";
}

std::string quality(const Verification& v) {
  if (!v.median_sqnr_db) return "Nothing is quantized: every tensor is an equal copy.";
  if (v.lossless) return "Lossless: every tensor comes back exactly.";
  const double db = *v.median_sqnr_db;
  const std::string figures =
      "median SQNR " + decibel(db) + ", worst " + decibel(*v.worst_sqnr_db) + " (" + printable(v.worst_name) + ")";
  if (db >= near_lossless_db) return "Near lossless: " + figures + "." + outliers(v);
  const std::string share = error_share(db) + " of a weight matrix's energy is error";
  if (db >= large_loss_db) {
    return "Some loss: " + figures + "; " + share + " in the median. Test the model on your own task." + outliers(v);
  }
  return "LARGE LOSS: " + figures + "; " + share + " in the median. " +
         (few_levels(v) ? "These weights were not trained to be ternary or binary, and the model will most likely "
                          "answer nonsense. Such schemes are for models trained with them; use precision 8 here."
                        : "Expect a broken model; use more bits.");
}

/// Another program's rule gives other codes: those are compared, and what it copied has to be equal.
bool is_as_expected(const Verification& v, const VerifiedTensor& tensor) {
  return tensor.reproduced || (v.is_foreign && tensor.report);
}

std::string mismatch(const Verification& v) {
  const auto is_wrong = [&](const VerifiedTensor& t) { return !is_as_expected(v, t); };
  const auto wrong = std::ranges::count_if(v.tensors, is_wrong);
  std::string text = "NOT REPRODUCED: ";
  if (!holds_quantized(v)) text += "nothing is quantized, and not every tensor is an equal copy. ";
  const auto add = [&](auto count, const char* one, const char* many, const std::string& first) {
    text += std::to_string(count) + (count == 1 ? one : many) + ", first '" + printable(first) + "'. ";
  };
  if (wrong > 0) {
    const auto first = std::ranges::find_if(v.tensors, is_wrong);
    add(wrong, " tensor differs from what the original gives", " tensors differ from what the original gives",
        first->name);
  }
  if (!v.missing.empty()) add(v.missing.size(), " is missing", " are missing", v.missing[0]);
  if (!v.extra.empty()) add(v.extra.size(), " is extra", " are extra", v.extra[0]);
  return text + "This file was not made from this original, or was changed since.";
}

}  // namespace

void summarize(Verification& v, const Gates& gates) {
  std::vector<double> decibels;
  bool lossless = true;
  const bool complete = v.missing.empty() && v.extra.empty();
  bool expected = complete;
  v.reproduced = complete;
  v.gates_met = true;
  for (const VerifiedTensor& tensor : v.tensors) {
    v.reproduced = v.reproduced && tensor.reproduced;
    expected = expected && is_as_expected(v, tensor);
    v.gates_met = v.gates_met && !tensor.gate_missed;
    lossless = lossless && (tensor.report ? tensor.report->lossless : tensor.reproduced);
    if (!tensor.report) continue;
    decibels.push_back(tensor.report->sqnr_db);
    if (!v.worst_sqnr_db || tensor.report->sqnr_db < *v.worst_sqnr_db) {
      v.worst_sqnr_db = tensor.report->sqnr_db;
      v.worst_name = tensor.name;
    }
  }
  if (!decibels.empty()) v.median_sqnr_db = median(std::move(decibels));
  v.lossless = lossless && complete;
  const bool asked = gates.min_sqnr_db || gates.min_cosine;
  v.gates_met = v.gates_met && expected && !(asked && !holds_quantized(v));
  v.verdict = expected ? quality(v) : mismatch(v);
  if (v.is_foreign) v.verdict = "Quantized by " + printable(v.written_by) + ". " + v.verdict;
}

}  // namespace bnq::detail
