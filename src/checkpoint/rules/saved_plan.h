#pragma once

#include <bnq/scheme.h>

#include "checkpoint/rules/rules.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace bnq::detail {

/// A plan that an earlier run wrote (to_json): it decides for every tensor, by name.
class SavedPlan {
 public:
  /// Throws `io`, or `bad_content` when the file is no plan of this bnq.
  explicit SavedPlan(const std::filesystem::path& path);

  /// Throws `bad_content` for a tensor that the plan does not have, or has with another shape or dtype.
  [[nodiscard]] Decision decide(const std::string& name, DType dtype, const Shape& shape);

  /// Throws `bad_content` when the plan has a tensor that was not decided on.
  void require_followed() const;

 private:
  struct Entry {
    std::string dtype;
    Shape shape;
    std::optional<Scheme> scheme;
    bool met = false;
  };

  std::string where_;
  std::map<std::string, Entry> entries_;
};

}  // namespace bnq::detail
