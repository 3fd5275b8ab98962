#pragma once

#include "io/gguf/metadata.h"
#include "io/gguf/value.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace bnq::detail::gguf {

/// Metadata to be written, as bytes, in the order in which it is added. Throws `invalid_argument` for a key that is
/// there already, or that GGUF cannot hold, and for an alignment that is none.
class MetadataBuilder {
 public:
  explicit MetadataBuilder(std::string where = "GGUF metadata");

  /// A key of another file, byte for byte.
  void copy(const KeyValue& entry);

  /// A number or bool of exactly this type.
  template <typename T>
  void add(std::string_view key, T value) {
    begin(key, value_type_of<T>);
    store(bytes_, value);
    end(key, value_type_of<T>);
  }
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }

  /// An array of numbers, or of std::string_view.
  template <typename T>
  void add_list(std::string_view key, std::span<const T> values) {
    begin(key, ValueType::array);
    store(bytes_, value_type_of<T>);
    store<std::uint64_t>(bytes_, values.size());
    for (const T value : values) store(bytes_, value);
    end(key, ValueType::array);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return keys_.size(); }
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool holds(std::string_view key) const { return keys_.contains(key); }
  [[nodiscard]] std::uint32_t alignment() const noexcept {
    return alignment_;
  }  ///< what `general.alignment` says, or 32

 private:
  void begin(std::string_view key, ValueType type);
  void end(std::string_view key, ValueType type);  ///< behind the value

  std::string where_;
  std::string bytes_;
  std::size_t key_at_ = 0;  ///< in them, of the key that is being added
  std::set<std::string, std::less<>> keys_;
  std::uint32_t alignment_;
};

}  // namespace bnq::detail::gguf
