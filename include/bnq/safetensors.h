#pragma once

#include <bnq/dtype.h>
#include <bnq/export.h>
#include <bnq/tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::safetensors {

using Metadata = std::map<std::string, std::string>;

/// One tensor of a file. `offset` counts bytes from the start of the data section.
struct Entry {
  std::string name = {};
  DType dtype = DType::u8;
  Shape shape = {};
  std::uint64_t offset = 0;
  std::uint64_t nbytes = 0;
};

/// A safetensors file, mapped read-only. Everything the header says is checked before it is believed; views borrow
/// from the mapping and `owner()` keeps it alive.
class BNQ_EXPORT Reader {
 public:
  /// Throws `io` when the file cannot be opened or mapped; `bad_content` naming the file, the tensor and the byte
  /// when the header is broken, lies, repeats a key, or leaves a gap, an overlap or trailing bytes.
  explicit Reader(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  [[nodiscard]] const std::vector<Entry>& tensors() const noexcept;       ///< in the order of their bytes
  [[nodiscard]] const Entry* find(std::string_view name) const noexcept;  ///< null when absent
  [[nodiscard]] const Metadata& metadata() const noexcept;
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;
  [[nodiscard]] std::span<const std::byte> head() const noexcept;  ///< the header and its length, all before the data
  [[nodiscard]] std::span<const std::byte> bytes(const Entry& entry) const;
  [[nodiscard]] TensorView view(const Entry& entry) const;
  [[nodiscard]] std::shared_ptr<const void> owner() const noexcept;

  /// Gives the memory of a tensor's pages back: what was read of a mapping counts as the process' memory until then.
  /// They are read again when touched.
  void release(const Entry& entry) const noexcept;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// Writes a safetensors file: beside its final place, renamed when whole. Without `finish` nothing is left.
/// The bytes depend on the entries and the metadata alone.
class BNQ_EXPORT Writer {
 public:
  enum class Replace { no, yes };

  /// Tensors to come: name, dtype and shape of each (offset and nbytes are set here). Space is reserved at once.
  /// Throws `exists`, `io` (no such folder, no permission, no space) or `invalid_argument` (a repeated name).
  Writer(std::filesystem::path path, std::vector<Entry> entries, const Metadata& metadata, Replace replace);
  ~Writer();
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) = delete;

  /// Size of the file that such entries and metadata make, without writing it.
  [[nodiscard]] static std::uint64_t file_bytes(std::vector<Entry> entries, const Metadata& metadata);

  /// Metadata in place of the constructor's, for what is known only when tensors are. Throws `invalid_argument` unless
  /// it makes a header of the same length.
  void set_metadata(const Metadata& metadata);

  /// The bytes of one declared tensor, in any order, once each.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Flushes to the disk and gives the file its name. Throws `invalid_argument` when a tensor is missing.
  void finish();

  /// 32 hex digits that tell the finished file from another: XXH3 over its head and its tensors.
  [[nodiscard]] const std::string& digest() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bnq::safetensors
