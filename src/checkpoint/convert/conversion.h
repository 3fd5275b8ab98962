#pragma once

#include <bnq/checkpoint.h>
#include <bnq/quantized_tensor.h>

#include "checkpoint/contents.h"
#include "io/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bnq::detail {

/// One tensor on its way into the output.
struct Item {
  std::string name;  ///< in the source
  DType dtype;       ///< of a low-bit tensor: of the floats that it came from
  Shape shape;
  std::optional<Scheme> scheme = {};  ///< of what becomes codes in the new layout; empty: copied
  const FileForm* form = nullptr;     ///< of a tensor that is low-bit already; null: floats, or copied
  std::uint64_t nbytes = 0;           ///< in the source
};

/// A checkpoint whose low-bit tensors get another layout.
class Conversion {
 public:
  /// Reads headers, and the values of matrices of floats, for those that are ternary. Throws as `convert_checkpoint`
  /// does.
  Conversion(const std::filesystem::path& in, const ConvertOptions& options);
  Conversion(const Conversion&) = delete;
  Conversion& operator=(const Conversion&) = delete;

  [[nodiscard]] const Source& source() const noexcept { return source_; }
  [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }  ///< by name

  /// Codes and scales of an item with a scheme.
  [[nodiscard]] QuantizedTensor codes_of(const Item& item) const;

  /// The same in the new layout; keeps count of how far scales are rounded. Throws `unsupported`, with `strict` also
  /// when one is.
  [[nodiscard]] PackedTensor pack(const Item& item, const QuantizedTensor& q);

  /// Gives back the memory of its pages.
  void release(const Item& item) const;

  ConvertResult result;

 private:
  void add_quantized();
  void add_plain(const safetensors::Entry& entry);
  void require_low_bit() const;
  void require_place(const Item& item) const;

  const ConvertOptions& options_;
  Source source_;
  Contents contents_;
  std::vector<Item> items_;
};

}  // namespace bnq::detail
