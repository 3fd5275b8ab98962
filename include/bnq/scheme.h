#pragma once

#include <bnq/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bnq {

namespace detail {
struct SchemeRow;
}

/// Which elements share a scale: all of them, one row, or `group_size` neighbours along the depth.
/// A last group shorter than `group_size` is a granule of its own.
struct BNQ_EXPORT Granularity {
  enum class Kind : std::uint8_t { tensor, row, group };

  Kind kind = Kind::tensor;
  std::int64_t group_size = 0;  ///< elements; 0 unless kind is group

  [[nodiscard]] static Granularity tensor() { return {Kind::tensor, 0}; }
  [[nodiscard]] static Granularity row() { return {Kind::row, 0}; }
  /// Throws `invalid_argument` unless `size` is in [1, 2^31).
  [[nodiscard]] static Granularity group(std::int64_t size);

  /// "tensor", "row" or "group(64)". Throws `invalid_argument` for anything else.
  [[nodiscard]] static Granularity parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Granularity&, const Granularity&) = default;
};

/// Mathematics: levels, scale rule, granularity. No bytes, no instructions.
///
/// A scheme has one text name, `rule:granularity`, used in code, files, messages and on the command line:
/// `int8-absmax:row`, `ternary-absmean:tensor`, `int4-absmax:group(64)`. docs/schemes.rst has each formula.
class BNQ_EXPORT Scheme {
 public:
  /// Reads a full name, or a short one with the default granularity: "8" … "2", "1.58", "ternary", "1", "binary",
  /// "int4", each also with ":tensor", ":row" or ":group(n)" behind it. "int8-given" … "int2-given" name what other
  /// programs made: any integer of so many bits.
  /// Throws `invalid_argument` with the list of what is allowed.
  [[nodiscard]] static Scheme parse(std::string_view text);

  /// Activations: int8 per token (last axis), as in BitNet b1.58. "int8-token:row".
  [[nodiscard]] static Scheme activations();

  /// Every scheme to quantize to, with its default granularity, in the order of the table.
  [[nodiscard]] static std::vector<Scheme> all();

  [[nodiscard]] std::string to_string() const;     ///< "int8-absmax:row"
  [[nodiscard]] std::string_view rule() const;     ///< "int8-absmax"
  [[nodiscard]] std::string_view about() const;    ///< one line for people
  [[nodiscard]] std::string_view warning() const;  ///< empty, or why this scheme is a poor choice
  [[nodiscard]] const Granularity& granularity() const noexcept { return granularity_; }
  [[nodiscard]] Scheme with(Granularity granularity) const;

  [[nodiscard]] bool is_given() const;       ///< of codes that another program made: nothing is quantized to it
  [[nodiscard]] int min_code() const;        ///< smallest code the scheme produces
  [[nodiscard]] int max_code() const;        ///< largest code the scheme produces
  [[nodiscard]] bool has_zero() const;       ///< false for binary: its codes are -1 and +1 only
  [[nodiscard]] int code_bits() const;       ///< whole bits that hold one code: 8 … 2, 1 for binary
  [[nodiscard]] bool holds(int code) const;  ///< is this one of the scheme's codes?

  friend bool operator==(const Scheme&, const Scheme&) = default;

  /// The table row behind this scheme; for the library's own use.
  [[nodiscard]] const detail::SchemeRow& row() const noexcept { return *row_; }

 private:
  Scheme(const detail::SchemeRow* row, Granularity granularity) : row_(row), granularity_(granularity) {}

  const detail::SchemeRow* row_;
  Granularity granularity_;
};

}  // namespace bnq
