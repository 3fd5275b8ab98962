#pragma once

#include "kernels/kernel.h"
#include "quantize/statistics.h"

#include <bnq/scheme.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace bnq::detail {

/// A granule's scale, and what else its codes are computed from.
struct Fit {
  float scale = 0;       ///< multiplies a code; finite, >= 0
  float multiplier = 0;  ///< rules that multiply instead of dividing: codes are rint(w * multiplier)
  float center = 0;      ///< binary: the threshold
  bool floored = false;  ///< the rule's floor was used
  bool prequantized = false;
};

struct SchemeRow;

/// What turns a granule's values into codes.
struct Encoder {
  const RowKernels& kernels;
  const SchemeRow& row;
  Fit fit;
};

/// One scheme: its names, its levels, and two small functions. The table stands in scheme.cpp.
struct SchemeRow {
  std::string_view rule;                        ///< "int8-absmax", the name before the colon
  std::array<std::string_view, 2> short_names;  ///< "8", "int8"; empty when there is none
  std::string_view about;
  std::string_view warning;
  int min_code;
  int max_code;
  bool has_zero;
  int code_bits;
  Granularity granularity;  ///< unless another is asked for
  Needs needs;              ///< what the fit reads
  Fit (*fit)(const SchemeRow& row, const Statistics& granule);
  void (*encode)(const Encoder& encoder, std::span<const float> values, std::int8_t* codes);
};

/// clamp(rint(w / factor)) or clamp(rint(w * factor)) within the levels of the row.
void encode_divided(const Encoder& encoder, float factor, std::span<const float> values, std::int8_t* codes);
void encode_multiplied(const Encoder& encoder, float factor, std::span<const float> values, std::int8_t* codes);

// The scale rules, one file each.
Fit fit_absmax(const SchemeRow& row, const Statistics& granule);
void encode_absmax(const Encoder& encoder, std::span<const float> values, std::int8_t* codes);
Fit fit_absmean(const SchemeRow& row, const Statistics& granule);
void encode_absmean(const Encoder& encoder, std::span<const float> values, std::int8_t* codes);
Fit fit_binary(const SchemeRow& row, const Statistics& granule);
void encode_binary(const Encoder& encoder, std::span<const float> values, std::int8_t* codes);
Fit fit_token(const SchemeRow& row, const Statistics& granule);
void encode_token(const Encoder& encoder, std::span<const float> values, std::int8_t* codes);

}  // namespace bnq::detail
