#pragma once

#include "io/gguf/header.h"
#include "io/gguf/metadata_builder.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bnq::detail::gguf {

/// Writes a GGUF file, version 3: beside its final place, named when whole. Without `finish` nothing is left. The bytes
/// depend on the metadata and the tensors alone, in the order given; ggml's loader wants tensors and rows in one order.
class Writer {
 public:
  enum class Replace { no, yes };

  /// Tensors to come: name, type and shape of each (offset and nbytes are set here). Space is reserved at once.
  /// Throws `exists`, `io` (no such folder, no permission, no space), or `invalid_argument` as `make_header` does.
  Writer(std::filesystem::path path, const MetadataBuilder& metadata, std::vector<Entry> entries, Replace replace);
  ~Writer();
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) = delete;

  /// Size of the file that they make, without writing it.
  [[nodiscard]] static std::uint64_t file_bytes(const MetadataBuilder& metadata, std::vector<Entry> entries);

  /// The bytes of one declared tensor, in any order, once each. Throws `invalid_argument`, `io`.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Flushes to the disk and gives the file its name. Throws `invalid_argument` when a tensor is missing; `io`,
  /// `exists`.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bnq::detail::gguf
