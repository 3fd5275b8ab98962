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

  /// Of the rules, then of `head` and `embeddings` where they were given.
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

  /// `QuantizeOptions::head` or `embeddings`.
  struct Choice {
    std::string text;              ///< "head=8"; empty when it was not given
    std::optional<Scheme> scheme;  ///< empty: keep
    std::int64_t hits = 0;

    Decision follow(const char* what);
  };

  [[nodiscard]] static Choice parse_choice(const char* option, const std::string& text);
  [[nodiscard]] Decision decide_by_name(const Candidate& tensor);
  [[nodiscard]] Decision decide_by_architecture(const Candidate& tensor, const Architecture& architecture);

  std::vector<Parsed> rules_;
  Scheme scheme_;
  Choice embeddings_;
  Choice head_;
};

}  // namespace bnq::detail
