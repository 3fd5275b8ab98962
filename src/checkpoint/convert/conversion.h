#pragma once

#include <bnq/checkpoint.h>
#include <bnq/quantized_tensor.h>

#include "checkpoint/contents.h"
#include "checkpoint/convert/gguf/row_order.h"
#include "io/source.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bnq::detail {

/// One tensor on its way into the output.
struct Item {
  std::string name;         ///< in the source
  std::string out = {};     ///< in the output
  DType dtype = DType::u8;  ///< of a low-bit tensor: of the floats that it came from
  Shape shape = {};
  std::optional<Scheme> scheme = {};  ///< of what becomes codes in the new layout; empty: copied
  const FileForm* form = nullptr;     ///< of a tensor that is low-bit already; null: floats, or copied
  std::uint64_t nbytes = 0;           ///< in the source
  std::int64_t heads = 0;             ///< whose rows get another order; 0: none
  RowOrder order = RowOrder::halves_to_pairs;
};

/// A checkpoint whose low-bit tensors get another layout.
class Conversion {
 public:
  /// Reads headers, the values of matrices of floats, for those that are ternary, and scales of a GGUF file. Throws as
  /// `convert_checkpoint` does.
  Conversion(const std::filesystem::path& in, const ConvertOptions& options);
  Conversion(const Conversion&) = delete;
  Conversion& operator=(const Conversion&) = delete;

  [[nodiscard]] const Source& source() const noexcept { return source_; }
  [[nodiscard]] const ConvertOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Layout& to() const { return *result.layout; }

  /// Throws `unsupported` naming the first item that the layout cannot hold.
  void require_places() const;

  /// Codes and scales of an item with a scheme.
  [[nodiscard]] QuantizedTensor codes_of(const Item& item) const;

  /// The same in the new layout; keeps count of how far scales are rounded. Throws `unsupported`, with `strict` also
  /// when one is.
  [[nodiscard]] PackedTensor pack(const Item& item);

  /// The values of an item without a scheme, borrowed from the source, or from `buffer` where rows get another order.
  [[nodiscard]] std::span<const std::byte> bytes_of(const Item& item, Tensor& buffer) const;

  /// Gives back the memory of its pages.
  void release(const Item& item) const;

  std::vector<Item> items;  ///< by name
  ConvertResult result;

 private:
  void add_quantized();
  void add_plain(const safetensors::Entry& entry);
  void require_low_bit() const;
  void choose_layout(const Target& target);

  const ConvertOptions& options_;
  Source source_;
  Contents contents_;
};

}  // namespace bnq::detail
