#pragma once

#include <bnq/checkpoint.h>

#include <optional>
#include <string>
#include <vector>

namespace bnq::detail {

/// What is to be done with a tensor, and why.
struct Decision {
  std::optional<Scheme> scheme;  ///< empty: keep
  std::string reason;
};

/// A tensor as the rules see it.
struct Candidate {
  const std::string& name;
  DType dtype;
  std::size_t axes;
};

/// The schemes of `QuantizeOptions`, parsed once. The last rule that matches a tensor's name decides; without one, its
/// name and shape do.
class Rules {
 public:
  /// Throws `invalid_argument` for a scheme that is none.
  explicit Rules(const QuantizeOptions& options);

  [[nodiscard]] Decision decide(const Candidate& tensor);

  [[nodiscard]] std::vector<RuleHits> hits() const;

  /// Throws `invalid_argument` for a rule that asks to quantize nothing but integers or f64: it cannot be followed.
  void require_followed() const;

 private:
  struct Parsed {
    std::string pattern;
    std::string text;              ///< "PATTERN=SCHEME"
    std::optional<Scheme> scheme;  ///< empty: keep
    std::int64_t hits = 0;
    std::string refused;  ///< the first tensor it named that is not quantized
  };

  [[nodiscard]] Decision decide_by_name(const Candidate& tensor) const;

  std::vector<Parsed> rules_;
  Scheme scheme_;
  std::optional<Scheme> embeddings_;
  std::optional<Scheme> head_;
};

}  // namespace bnq::detail
