#pragma once

#include <bnq/tensor.h>

#include "io/gguf/header.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bnq::detail::gguf {

/// A GGUF file (version 2 or 3, little-endian, whole), mapped read-only. Everything its header says is checked before
/// it is believed; views and metadata borrow from the mapping, and `owner()` keeps it alive.
class Reader {
 public:
  /// Throws `io` when the file cannot be opened or mapped; `bad_content` as `parse_header` does.
  explicit Reader(const std::filesystem::path& path, const ReadOptions& options = {});

  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  [[nodiscard]] std::uint32_t version() const noexcept;
  [[nodiscard]] std::uint32_t alignment() const noexcept;  ///< bytes
  [[nodiscard]] const Metadata& metadata() const noexcept;
  [[nodiscard]] const std::vector<Entry>& tensors() const noexcept;       ///< in the order of their bytes
  [[nodiscard]] const Entry* find(std::string_view name) const noexcept;  ///< null when absent
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;
  [[nodiscard]] std::span<const std::byte> head() const noexcept;  ///< all before the data
  [[nodiscard]] std::span<const std::byte> bytes(const Entry& entry) const;

  /// Of types whose blocks are plain elements (`Type::dtype`). Throws `unsupported` for others.
  [[nodiscard]] TensorView view(const Entry& entry) const;
  [[nodiscard]] std::shared_ptr<const void> owner() const noexcept;

  /// Gives the memory of a tensor's pages back; they are read again when touched.
  void release(const Entry& entry) const noexcept;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace bnq::detail::gguf
