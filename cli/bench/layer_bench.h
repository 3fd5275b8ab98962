#pragma once

#include <bnq/linear.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bnq::cli {

/// [outputs, depth] of a layer.
struct LayerShape {
  std::int64_t outputs;
  std::int64_t depth;
};

/// Layers of one shape and scheme, as many as no cache holds, so that going round reads the weights from memory.
class LayerRing {
 public:
  /// Throws bnq::Error, std::bad_alloc.
  LayerRing(const LayerShape& shape, const std::string& scheme);

  /// Seconds that one call with float32 tokens takes, activations quantized inside: the median of several samples.
  /// One token goes round the ring; more tokens stay with one layer. Nothing when a call would take too long.
  [[nodiscard]] std::optional<double> seconds(std::int64_t tokens);

  [[nodiscard]] double products(std::int64_t tokens) const noexcept {
    return static_cast<double>(tokens) * static_cast<double>(shape_.outputs) * static_cast<double>(shape_.depth);
  }
  [[nodiscard]] double weight_bytes() const noexcept {
    return weight_bytes_;
  }  ///< of the codes, as the kernel has them
  [[nodiscard]] std::string explain() const { return layers_.front().explain(); }

 private:
  void call(const Linear& layer, std::int64_t tokens);
  double sample(std::int64_t tokens, std::int64_t calls);

  LayerShape shape_;
  double weight_bytes_;
  std::vector<Linear> layers_;
  std::size_t next_ = 0;
  std::vector<float> x_;
  std::vector<float> y_;
  std::vector<std::byte> scratch_;
};

}  // namespace bnq::cli
