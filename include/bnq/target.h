#pragma once

#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/scheme.h>
#include <bnq/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bnq {

namespace detail {
struct TargetRow;
}

/// A program that is to run the model: what it can load and compute, and what it computes otherwise than bnq.
/// docs/targets.rst says where each fact comes from.
class BNQ_EXPORT Target {
 public:
  /// What the program loads.
  enum class Reads : std::uint8_t {
    folder,   ///< a model folder, as `quantize_checkpoint` writes it
    gguf,     ///< a GGUF file, which `convert_checkpoint` makes of that folder
    operands  ///< no file that bnq writes: operands of a graph of the user's, which `pack` makes
  };

  /// The target called `name`. Throws `invalid_argument` with the list of names.
  [[nodiscard]] static Target parse(std::string_view name);

  [[nodiscard]] static std::vector<Target> all();

  [[nodiscard]] std::string_view name() const;   ///< "llama.cpp"
  [[nodiscard]] std::string_view about() const;  ///< one line for people
  [[nodiscard]] Reads reads() const;

  /// For each rule, the scheme with its default granularity where this target takes it, else with the first of tensor,
  /// row and group(64) that it takes; a rule that it never takes is left out.
  [[nodiscard]] std::vector<Scheme> schemes() const;

  /// Empty when this target can load and compute tensors of this scheme, given a shape that suits: of several whole
  /// groups, where there are groups. Otherwise why not.
  [[nodiscard]] std::string refusal(const Scheme& scheme) const;
  /// The same of one tensor. Throws `invalid_argument` for what is no shape.
  [[nodiscard]] std::string refusal(const Scheme& scheme, const Shape& shape) const;

  /// Throws `unsupported` with `where` in front, unless there is no refusal; the message says what would do.
  void require(const std::string& where, const Scheme& scheme) const;
  void require(const std::string& where, const Scheme& scheme, const Shape& shape) const;

  /// The layouts in which it takes this tensor, best first; none when it refuses.
  [[nodiscard]] std::vector<Layout> layouts(const Scheme& scheme, const Shape& shape) const;
  /// The first of them.
  [[nodiscard]] std::optional<Layout> layout(const Scheme& scheme, const Shape& shape) const;

  /// What it does with such weights otherwise than bnq, and versions known to be wrong; sentences for people.
  [[nodiscard]] std::vector<std::string> differences(const Scheme& scheme) const;

  friend bool operator==(const Target&, const Target&) = default;

  /// The table row behind this target; for the library's own use.
  [[nodiscard]] const detail::TargetRow& row() const noexcept { return *row_; }

 private:
  explicit Target(const detail::TargetRow* row) : row_(row) {}

  const detail::TargetRow* row_;
};

}  // namespace bnq
