#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

// The values of GGUF metadata, as bytes: little-endian; a string is its length (u64) and its bytes; an array is the
// type of its elements (u32), their number (u64) and they themselves.

namespace bnq::detail::gguf {

static_assert(std::endian::native == std::endian::little, "tensors are read where they lie: little-endian");

enum class ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

struct ValueTypeRow {
  std::string_view name;
  std::size_t bytes;  ///< of one value; for strings and arrays, the fewest
};

inline constexpr std::size_t string_head_bytes = 8;
inline constexpr std::size_t array_head_bytes = 12;

/// By the number in the file.
inline constexpr std::array<ValueTypeRow, 13> value_types{{
    {"u8", 1},
    {"i8", 1},
    {"u16", 2},
    {"i16", 2},
    {"u32", 4},
    {"i32", 4},
    {"f32", 4},
    {"bool", 1},
    {"string", string_head_bytes},
    {"array", array_head_bytes},
    {"u64", 8},
    {"i64", 8},
    {"f64", 8},
}};

[[nodiscard]] constexpr const ValueTypeRow& row_of(ValueType type) {
  return value_types[static_cast<std::size_t>(type)];
}

/// The type that holds a T: value_type_of<std::uint32_t>
template <typename T>
inline constexpr ValueType value_type_of = T::not_a_value;
template <>
inline constexpr ValueType value_type_of<std::uint8_t> = ValueType::u8;
template <>
inline constexpr ValueType value_type_of<std::int8_t> = ValueType::i8;
template <>
inline constexpr ValueType value_type_of<std::uint16_t> = ValueType::u16;
template <>
inline constexpr ValueType value_type_of<std::int16_t> = ValueType::i16;
template <>
inline constexpr ValueType value_type_of<std::uint32_t> = ValueType::u32;
template <>
inline constexpr ValueType value_type_of<std::int32_t> = ValueType::i32;
template <>
inline constexpr ValueType value_type_of<float> = ValueType::f32;
template <>
inline constexpr ValueType value_type_of<bool> = ValueType::boolean;
template <>
inline constexpr ValueType value_type_of<std::string_view> = ValueType::string;
template <>
inline constexpr ValueType value_type_of<std::uint64_t> = ValueType::u64;
template <>
inline constexpr ValueType value_type_of<std::int64_t> = ValueType::i64;
template <>
inline constexpr ValueType value_type_of<double> = ValueType::f64;

/// The T that starts `bytes`, which has that many.
template <typename T>
[[nodiscard]] T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.first(sizeof(T)).data(), sizeof(T));
  return value;
}

template <typename T>
void store(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

inline void store(std::string& to, std::string_view text) {
  store<std::uint64_t>(to, text.size());
  to.append(text);
}

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace bnq::detail::gguf
