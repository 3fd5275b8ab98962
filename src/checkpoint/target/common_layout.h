#pragma once

#include <bnq/target.h>

#include <optional>
#include <string>
#include <vector>

namespace bnq::detail {

/// The one layout of a file's low-bit tensors, of those that a target reads.
class CommonLayout {
 public:
  explicit CommonLayout(Target target) : target_(target) {}

  /// Throws `unsupported` with `where` (file and tensor) in front when the target does not take the tensor, or in no
  /// layout that holds those before it too.
  void add(const std::string& where, const Scheme& scheme, const Shape& shape);

  /// The best that holds all; nothing before the first.
  [[nodiscard]] std::optional<Layout> layout() const;

 private:
  Target target_;
  std::optional<std::vector<Layout>> holding_;
};

}  // namespace bnq::detail
