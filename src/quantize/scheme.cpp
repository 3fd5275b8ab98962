#include <bnq/scheme.h>

#include "core/fail.h"
#include "quantize/scheme_row.h"

#include <algorithm>
#include <array>

namespace bnq {
namespace {

using detail::Needs;
using detail::SchemeRow;

constexpr Granularity by_row{Granularity::Kind::row, 0};
constexpr Granularity by_tensor{Granularity::Kind::tensor, 0};
constexpr Granularity by_group{Granularity::Kind::group, 64};

/// int<bits>-absmax. Q = 2^(bits - 1) - 1.
constexpr SchemeRow absmax(std::string_view rule, std::array<std::string_view, 2> short_names, int bits,
                           Granularity granularity, std::string_view about, std::string_view warning = "") {
  const int q = (1 << (bits - 1)) - 1;
  return {.rule = rule,
          .short_names = short_names,
          .about = about,
          .warning = warning,
          .min_code = -q,
          .max_code = q,
          .has_zero = true,
          .code_bits = bits,
          .granularity = granularity,
          .needs = Needs::absmax,
          .fit = detail::fit_absmax,
          .encode = detail::encode_absmax};
}

/// int<bits>-given: codes and scales that another program made, by a rule of its own. Nothing is quantized to it.
constexpr SchemeRow given(std::string_view rule, int bits, Granularity granularity) {
  return {.rule = rule,
          .short_names = {"", ""},
          .about = "made by another program: any integer of these bits, any scale",
          .warning = "",
          .min_code = -(1 << (bits - 1)),
          .max_code = (1 << (bits - 1)) - 1,
          .has_zero = true,
          .code_bits = bits,
          .granularity = granularity,
          .needs = Needs::absmax,
          .fit = nullptr,
          .encode = nullptr};
}

// Every scheme there is. A new one is a row here and a file with its two functions.
constexpr std::array<SchemeRow, 17> rows{{
    absmax("int8-absmax", {"8", "int8"}, 8, by_row, "8-bit integers, near lossless without calibration"),
    absmax("int7-absmax", {"7", "int7"}, 7, by_row, "7-bit integers"),
    absmax("int6-absmax", {"6", "int6"}, 6, by_row, "6-bit integers"),
    absmax("int5-absmax", {"5", "int5"}, 5, by_row, "5-bit integers"),
    absmax("int4-absmax", {"4", "int4"}, 4, by_group, "4-bit integers"),
    absmax("int3-absmax", {"3", "int3"}, 3, by_group, "3-bit integers"),
    absmax("int2-absmax", {"2", "int2"}, 2, by_group, "2-bit integers: -1, 0, +1 by absmax",
           "int2-absmax is worse than ternary-absmean in the same bits: most weights become 0; use ternary"),
    {.rule = "ternary-absmean",
     .short_names = {"1.58", "ternary"},
     .about = "-1, 0, +1 by absmean (BitNet b1.58): for models trained that way",
     .warning = "",
     .min_code = -1,
     .max_code = 1,
     .has_zero = true,
     .code_bits = 2,
     .granularity = by_tensor,
     .needs = Needs::magnitudes,
     .fit = detail::fit_absmean,
     .encode = detail::encode_absmean},
    {.rule = "binary-absmean",
     .short_names = {"1", "binary"},
     .about = "-1, +1 around the mean (BitNet v1): for models trained that way",
     .warning = "",
     .min_code = -1,
     .max_code = 1,
     .has_zero = false,
     .code_bits = 1,
     .granularity = by_tensor,
     .needs = Needs::magnitudes_and_sum,
     .fit = detail::fit_binary,
     .encode = detail::encode_binary},
    {.rule = "int8-token",
     .short_names = {"", ""},
     .about = "activations: 8-bit integers per token (BitNet b1.58)",
     .warning = "",
     .min_code = -128,
     .max_code = 127,
     .has_zero = true,
     .code_bits = 8,
     .granularity = by_row,
     .needs = Needs::absmax,
     .fit = detail::fit_token,
     .encode = detail::encode_token},
    given("int8-given", 8, by_row),
    given("int7-given", 7, by_row),
    given("int6-given", 6, by_row),
    given("int5-given", 5, by_row),
    given("int4-given", 4, by_group),
    given("int3-given", 3, by_group),
    given("int2-given", 2, by_group),
}};

constexpr const SchemeRow& activation_row = rows[9];
static_assert(activation_row.rule == "int8-token");

bool is_called(const SchemeRow& row, std::string_view name) {
  return row.rule == name || (!name.empty() && std::ranges::find(row.short_names, name) != row.short_names.end());
}

std::string allowed_names() {
  std::string precisions;
  std::string rules;
  for (const SchemeRow& row : rows) {
    if (row.fit == nullptr) continue;
    if (!row.short_names[0].empty()) precisions += (precisions.empty() ? "" : ", ") + std::string(row.short_names[0]);
    rules += (rules.empty() ? "" : ", ") + std::string(row.rule);
  }
  return "a precision (" + precisions + "), ternary, binary, or one of " + rules +
         ", each with :tensor, :row or :group(n) behind it if you like";
}

}  // namespace

Scheme Scheme::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto row = std::ranges::find_if(rows, [&](const SchemeRow& r) { return is_called(r, name); });
  if (row == rows.end()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "scheme",
                                               .what = "unknown",
                                               .got = "'" + detail::printable(std::string(text)) + "'",
                                               .need = allowed_names()});
  }
  if (colon == std::string_view::npos) return {&*row, row->granularity};
  return {&*row, Granularity::parse(text.substr(colon + 1))};
}

Scheme Scheme::activations() { return {&activation_row, activation_row.granularity}; }

std::vector<Scheme> Scheme::all() {
  std::vector<Scheme> schemes;
  for (const SchemeRow& row : rows) {
    if (row.fit != nullptr) schemes.push_back(Scheme(&row, row.granularity));
  }
  return schemes;
}

std::string Scheme::to_string() const { return std::string(row_->rule) + ":" + granularity_.to_string(); }
std::string_view Scheme::rule() const { return row_->rule; }
std::string_view Scheme::about() const { return row_->about; }
std::string_view Scheme::warning() const { return row_->warning; }
Scheme Scheme::with(Granularity granularity) const { return {row_, granularity}; }

bool Scheme::is_given() const { return row_->fit == nullptr; }
int Scheme::min_code() const { return row_->min_code; }
int Scheme::max_code() const { return row_->max_code; }
bool Scheme::has_zero() const { return row_->has_zero; }
int Scheme::code_bits() const { return row_->code_bits; }

bool Scheme::holds(int code) const {
  return code >= row_->min_code && code <= row_->max_code && (code != 0 || row_->has_zero);
}

}  // namespace bnq
