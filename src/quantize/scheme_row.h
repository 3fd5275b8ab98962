#pragma once

#include "kernels/read_block.h"
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

inline constexpr std::int64_t block_elems = 1024;  ///< that become codes at a time, at most

/// What turns a block of a granule into codes.
struct Encoder {
  const SchemeRow& row;
  Fit fit;
};

/// A block as float32, for rules that no kernel has.
class Floats {
 public:
  explicit Floats(const Block& block) : count_(static_cast<std::size_t>(block.count)) { block.widen(values_.data()); }
  [[nodiscard]] const float* begin() const { return values_.data(); }
  [[nodiscard]] const float* end() const { return values_.data() + count_; }

 private:
  std::array<float, block_elems> values_;
  std::size_t count_;
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
  Granularity granularity;                                      ///< unless another is asked for
  Needs needs;                                                  ///< what the fit reads
  Fit (*fit)(const SchemeRow& row, const Statistics& granule);  ///< null, as encode: nothing is quantized to it
  void (*encode)(const Encoder& encoder, const Block& block, std::int8_t* codes);
};

/// clamp(rint(w / factor)) or clamp(rint(w * factor)) within the levels of the row.
void encode_divided(const Encoder& encoder, float factor, const Block& block, std::int8_t* codes);
void encode_multiplied(const Encoder& encoder, float factor, const Block& block, std::int8_t* codes);

// The scale rules, one file each.
Fit fit_absmax(const SchemeRow& row, const Statistics& granule);
void encode_absmax(const Encoder& encoder, const Block& block, std::int8_t* codes);
Fit fit_absmean(const SchemeRow& row, const Statistics& granule);
void encode_absmean(const Encoder& encoder, const Block& block, std::int8_t* codes);
Fit fit_binary(const SchemeRow& row, const Statistics& granule);
void encode_binary(const Encoder& encoder, const Block& block, std::int8_t* codes);
Fit fit_token(const SchemeRow& row, const Statistics& granule);
void encode_token(const Encoder& encoder, const Block& block, std::int8_t* codes);

}  // namespace bnq::detail
