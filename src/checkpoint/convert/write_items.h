#pragma once

#include <bnq/layout.h>

#include "checkpoint/convert/conversion.h"

namespace bnq::detail {

/// An output file that takes one item a call, of any two items at once.
class ItemWriter {
 public:
  virtual void write(const Item& item, const PackedTensor& packed) = 0;
  virtual void copy(const Item& item) = 0;  ///< of an item without a scheme

 protected:
  ~ItemWriter() = default;
};

/// Every item of the conversion. What is copied goes to the disk on a thread of its own while codes get their new
/// layout; the bytes of a file do not depend on the order in which they were written. Throws what the writer throws,
/// and `interrupted`.
void write_items(Conversion& conversion, ItemWriter& out);

}  // namespace bnq::detail
