#pragma once

#include "io/gguf/value.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bnq::detail::gguf {

class Cursor;

inline constexpr std::uint64_t most_keys = 1U << 16U;
inline constexpr std::size_t longest_name = 65'535;        ///< bytes of a key; of a tensor's name as far as we read it
inline constexpr std::uint64_t most_elements = 1U << 22U;  ///< of an array that is taken out by value
inline constexpr int deepest_array = 4;                    ///< arrays within arrays

/// One key and its value; borrows from the file.
struct KeyValue {
  std::string_view key = {};
  ValueType type = ValueType::u8;
  std::span<const std::byte> raw = {};    ///< key, type and value as they stand in the file, to be copied
  std::span<const std::byte> value = {};  ///< behind the type
  std::size_t at = 0;                     ///< of raw, in the file
};

/// The metadata of a file, checked to be well-formed. Nothing in it is carried out or believed: it is copied as bytes,
/// and the few values that a reader needs are taken out by type. All that is taken out borrows from the file.
class Metadata {
 public:
  Metadata() = default;

  /// Reads `count` key-values. Throws `bad_content`, naming file, key and byte: a length or number that the file does
  /// not have, an unknown type, a bool that is neither 0 nor 1, arrays nested deeper than `deepest_array`, a key that
  /// is empty, too long, no UTF-8 or there twice.
  Metadata(const std::string& where, Cursor& cursor, std::uint64_t count);

  [[nodiscard]] const std::vector<KeyValue>& entries() const noexcept { return entries_; }  ///< in the file's order
  [[nodiscard]] const KeyValue* find(std::string_view key) const noexcept;                  ///< null when absent

  // Nothing when the key is absent. Throw `bad_content` when its value is of another type; a list also when it is
  // longer than `most_elements`.
  [[nodiscard]] std::optional<std::string_view> text(std::string_view key) const;
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key) const;  ///< of any width that fits
  [[nodiscard]] std::optional<double> number(std::string_view key) const;         ///< f32 or f64
  [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
  [[nodiscard]] std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;
  [[nodiscard]] std::optional<std::vector<double>> numbers(std::string_view key) const;

  /// Throws `bad_content` about a key that is there: *FILE: key 'K', byte N: what (got …, need …); cure*.
  [[noreturn]] void refuse(const KeyValue& entry, const std::string& what, const std::string& got = {},
                           const std::string& need = {}, const std::string& cure = {}) const;

 private:
  std::string where_;
  std::vector<KeyValue> entries_;
  std::unordered_map<std::string_view, std::size_t> index_;
};

/// "u32", "array of string"
[[nodiscard]] std::string type_of(const KeyValue& entry);

/// What is wrong with a key or a tensor's name, or nothing: "is empty".
[[nodiscard]] std::string fault_of_name(std::string_view name, std::size_t longest);

}  // namespace bnq::detail::gguf
