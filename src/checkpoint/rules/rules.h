#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/clients/architecture.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

// Reasons that a plan's warnings look for.
inline constexpr std::string_view fused_experts = "fused experts, 3-d";
inline constexpr std::string_view fused_weight = "linear weight, several layers fused in it";

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
/// architecture does, or its name and shape.
class Rules {
 public:
  /// Throws `invalid_argument` for a scheme that is none.
  explicit Rules(const QuantizeOptions& options);

  /// Without a known architecture (null) names and shapes say what is a linear weight.
  [[nodiscard]] Decision decide(const Candidate& tensor, const Architecture* architecture);

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
  [[nodiscard]] Decision decide_by_architecture(const Candidate& tensor, const Architecture& architecture) const;

  std::vector<Parsed> rules_;
  Scheme scheme_;
  std::optional<Scheme> embeddings_;
  std::optional<Scheme> head_;
};

}  // namespace bnq::detail
