#pragma once

#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bnq {

/// y = x Wᵀ + bias with low-bit weights [N, K] and activations quantized to int8 per token inside.
///
/// acc is the exact int32 sum of code * code, then, in float32 and this order (docs/schemes.rst, "Product"):
///   tensor and row scales:  y = (float(acc) * weight_scale) * activation_scale + bias
///   group scales:           y = (float(acc_0) * s_0 + float(acc_1) * s_1 + …, left to right) * activation_scale + bias
/// and one rounding to the dtype of x. Every kernel, tile and thread count gives these bits. A token that holds NaN or
/// infinity gives NaN in all its outputs; every NaN is the quiet one of its dtype, positive, payload zero.
class BNQ_EXPORT Linear {
 public:
  /// `bias` has N elements or none. Kernel and tile are chosen here, once.
  /// Throws `unsupported` unless the weight has two axes and a depth whose sums fit in int32 (the message has the
  /// limit), `invalid_argument` for a bias of another length or one that is not finite.
  explicit Linear(const QuantizedTensor& weight, std::span<const float> bias = {});

  /// Where a kernel reads the layout as it lies (docs/kernels.rst), the bytes are not copied: the Linear shares the
  /// tensor's owner, so that the tensor itself may go. They must not change while the Linear lives; if they do, results
  /// are those of some codes, and no other memory is touched.
  /// Throws also `bad_content` when the bytes hold a code that the scheme does not have.
  explicit Linear(const PackedTensor& weight, std::span<const float> bias = {});
  ~Linear();
  Linear(Linear&&) noexcept;
  Linear& operator=(Linear&&) noexcept;
  Linear(const Linear&) = delete;
  Linear& operator=(const Linear&) = delete;

  [[nodiscard]] std::int64_t in_features() const noexcept;   ///< K
  [[nodiscard]] std::int64_t out_features() const noexcept;  ///< N

  /// Bytes of weights, scales, sums and bias in the order of the kernel: what one token reads.
  [[nodiscard]] std::size_t nbytes() const noexcept;

  /// Those of them that the Linear holds itself: all, but for a packed tensor's bytes that it reads as they lie.
  [[nodiscard]] std::size_t own_nbytes() const noexcept;

  /// Bytes of scratch that `forward` needs for this many tokens.
  [[nodiscard]] std::size_t scratch_bytes(std::int64_t tokens) const;

  /// x is [..., K] (f32, f16 or bf16, any strides), y is [..., N] of the same dtype, without gaps.
  /// Const, callable from many threads at once (each with its own scratch), allocates nothing.
  /// Throws `invalid_argument` when shapes or dtypes do not fit or the scratch is too small.
  void forward(const TensorView& x, const MutableTensorView& y, std::span<std::byte> scratch) const;

  /// The kernel that runs, its instruction set and tile, what it holds in memory, the layout that weights were unpacked
  /// from, and why each better kernel was passed over.
  [[nodiscard]] std::string explain() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace bnq
