#include "io/gguf/metadata.h"

#include "core/utf8.h"
#include "io/gguf/cursor.h"

#include <algorithm>
#include <utility>

namespace bnq::detail::gguf {
namespace {

using Bytes = std::span<const std::byte>;

ValueType read_type(Cursor& cursor, const char* what) {
  const std::size_t at = cursor.at();
  const auto number = cursor.read<std::uint32_t>(what);
  if (number < value_types.size()) return static_cast<ValueType>(number);
  cursor.back_to(at).refuse(std::string("its ") + what + " is unknown", std::to_string(number), "0 (u8) to 12 (f64)");
}

void require_bools(Cursor& cursor, Bytes values) {
  const auto wrong = std::ranges::find_if(values, [](std::byte value) { return value > std::byte{1}; });
  if (wrong == values.end()) return;
  const auto back = static_cast<std::size_t>(values.end() - wrong);
  cursor.back_to(cursor.at() - back)
      .refuse("a bool is neither false nor true", std::to_string(std::to_integer<int>(*wrong)), "0 or 1");
}

void skip_value(Cursor& cursor, ValueType type, int depth);

/// Elements are walked one by one only where they have no fixed size; each takes up bytes of the file.
void skip_array(Cursor& cursor, int depth) {
  if (depth > deepest_array)
    cursor.refuse("arrays are nested too deep", {}, std::to_string(deepest_array) + " levels or fewer");
  const ValueType type = read_type(cursor, "element type");
  const std::size_t at = cursor.at();
  const auto count = cursor.read<std::uint64_t>("array length");
  const std::size_t each = row_of(type).bytes;
  if (count > cursor.left() / each) {
    const std::string most = std::to_string(cursor.left() / each);
    cursor.back_to(at).refuse("its array is longer than what is left",
                              std::to_string(count) + " x " + std::string(row_of(type).name), most + " or fewer");
  }
  if (type == ValueType::string || type == ValueType::array) {
    for (std::uint64_t i = 0; i < count; ++i) skip_value(cursor, type, depth + 1);
    return;
  }
  const Bytes values = cursor.take(count * each, "array");
  if (type == ValueType::boolean) require_bools(cursor, values);
}

void skip_value(Cursor& cursor, ValueType type, int depth) {
  if (type == ValueType::array) return skip_array(cursor, depth);
  if (type == ValueType::string) {
    (void)cursor.read_string("text");
    return;
  }
  const Bytes value = cursor.take(row_of(type).bytes, "value");
  if (type == ValueType::boolean) require_bools(cursor, value);
}

KeyValue read_entry(Cursor& cursor) {
  KeyValue entry;
  entry.at = cursor.at();
  entry.key = cursor.read_string("name");
  const std::string fault = fault_of_name(entry.key, longest_name);
  if (!fault.empty()) cursor.back_to(entry.at).refuse("its name " + fault);
  cursor.enter_name(entry.key);
  entry.type = read_type(cursor, "type");
  const std::size_t value_at = cursor.at();
  skip_value(cursor, entry.type, 1);
  entry.value = cursor.since(value_at);
  entry.raw = cursor.since(entry.at);
  return entry;
}

/// The integer that starts `bytes`; nothing for another type, or where it does not fit.
std::optional<std::int64_t> integer_at(ValueType type, Bytes bytes) {
  switch (type) {
    case ValueType::u8:
      return load<std::uint8_t>(bytes);
    case ValueType::i8:
      return load<std::int8_t>(bytes);
    case ValueType::u16:
      return load<std::uint16_t>(bytes);
    case ValueType::i16:
      return load<std::int16_t>(bytes);
    case ValueType::u32:
      return load<std::uint32_t>(bytes);
    case ValueType::i32:
      return load<std::int32_t>(bytes);
    case ValueType::i64:
      return load<std::int64_t>(bytes);
    case ValueType::u64: {
      const auto value = load<std::uint64_t>(bytes);
      return std::in_range<std::int64_t>(value) ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(ValueType type, Bytes bytes) {
  if (type == ValueType::f32) return load<float>(bytes);
  if (type == ValueType::f64) return load<double>(bytes);
  return std::nullopt;
}

struct Array {
  ValueType type = ValueType::u8;  ///< of its elements
  std::uint64_t count = 0;
  Bytes elements = {};
};

Array array_of(Bytes value) {
  return {static_cast<ValueType>(load<std::uint32_t>(value)), load<std::uint64_t>(value.subspan(4)),
          value.subspan(array_head_bytes)};
}

}  // namespace

std::string fault_of_name(std::string_view name, std::size_t longest) {
  if (name.empty()) return "is empty";
  if (name.size() > longest) {
    return "is too long (got " + std::to_string(name.size()) + " bytes, need " + std::to_string(longest) + " or fewer)";
  }
  if (name.find('\0') != std::string_view::npos) return "holds a zero byte, where some programs end it";
  return is_utf8(name) ? "" : "is not UTF-8";
}

std::string type_of(const KeyValue& entry) {
  const auto name = [](ValueType type) { return std::string(row_of(type).name); };
  return entry.type == ValueType::array ? "array of " + name(array_of(entry.value).type) : name(entry.type);
}

Metadata::Metadata(const std::string& where, Cursor& cursor, std::uint64_t count) : where_(where) {
  for (std::uint64_t i = 0; i < count; ++i) {
    cursor.enter("key", i);
    const KeyValue entry = read_entry(cursor);
    if (!index_.emplace(entry.key, entries_.size()).second) refuse(entry, "stands twice");
    entries_.push_back(entry);
  }
}

const KeyValue* Metadata::find(std::string_view key) const noexcept {
  const auto at = index_.find(key);
  return at == index_.end() ? nullptr : &entries_[at->second];
}

void Metadata::refuse(const KeyValue& entry, const std::string& what, const std::string& got, const std::string& need,
                      const std::string& cure) const {
  fail(ErrorKind::bad_content,
       {.where = where_ + ": key '" + printable(std::string(entry.key)) + "', byte " + std::to_string(entry.at),
        .what = what,
        .got = got,
        .need = need,
        .cure = cure});
}

namespace {

/// `take(entry)` of a key that is there; refused when it gives nothing.
template <typename T, typename Take>
std::optional<T> taken(const Metadata& metadata, std::string_view key, const char* need, const Take& take) {
  const KeyValue* const entry = metadata.find(key);
  if (entry == nullptr) return std::nullopt;
  std::optional<T> value = take(*entry);
  if (!value) metadata.refuse(*entry, "a value of the wrong type", type_of(*entry), need);
  return value;
}

/// The same for each element of an array. `take(type, rest)` gives the element that starts `rest`, and what it takes
/// up.
template <typename T, typename Take>
std::optional<std::vector<T>> taken_list(const Metadata& metadata, std::string_view key, const char* need,
                                         const Take& take) {
  return taken<std::vector<T>>(metadata, key, need, [&](const KeyValue& entry) -> std::optional<std::vector<T>> {
    if (entry.type != ValueType::array) return std::nullopt;
    const Array array = array_of(entry.value);
    if (array.count > most_elements) {
      metadata.refuse(entry, "too long a list", std::to_string(array.count), std::to_string(most_elements));
    }
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(array.count));
    Bytes rest = array.elements;
    for (std::uint64_t i = 0; i < array.count; ++i) {
      const std::optional<T> value = take(array.type, rest);
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
    return values;
  });
}

/// An element of fixed size, by `convert(type, bytes)`.
template <typename Convert>
auto fixed(const Convert& convert) {
  return [convert](ValueType type, Bytes& rest) {
    const auto value = convert(type, rest);
    rest = rest.subspan(row_of(type).bytes);
    return value;
  };
}

std::optional<std::string_view> string_at(ValueType type, Bytes& rest) {
  if (type != ValueType::string) return std::nullopt;
  const auto length = static_cast<std::size_t>(load<std::uint64_t>(rest));
  const std::string_view text = as_text(rest.subspan(string_head_bytes, length));
  rest = rest.subspan(string_head_bytes + length);
  return text;
}

}  // namespace

std::optional<std::string_view> Metadata::text(std::string_view key) const {
  return taken<std::string_view>(*this, key, "a string", [](const KeyValue& entry) {
    Bytes rest = entry.value;
    return string_at(entry.type, rest);
  });
}

std::optional<std::int64_t> Metadata::integer(std::string_view key) const {
  return taken<std::int64_t>(*this, key, "an integer below 2^63",
                             [](const KeyValue& entry) { return integer_at(entry.type, entry.value); });
}

std::optional<double> Metadata::number(std::string_view key) const {
  return taken<double>(*this, key, "f32 or f64",
                       [](const KeyValue& entry) { return number_at(entry.type, entry.value); });
}

std::optional<bool> Metadata::boolean(std::string_view key) const {
  return taken<bool>(*this, key, "a bool", [](const KeyValue& entry) {
    return entry.type == ValueType::boolean ? std::optional(entry.value[0] != std::byte{0}) : std::nullopt;
  });
}

std::optional<std::vector<std::string_view>> Metadata::texts(std::string_view key) const {
  return taken_list<std::string_view>(*this, key, "an array of strings", string_at);
}

std::optional<std::vector<std::int64_t>> Metadata::integers(std::string_view key) const {
  return taken_list<std::int64_t>(*this, key, "an array of integers below 2^63", fixed(integer_at));
}

std::optional<std::vector<double>> Metadata::numbers(std::string_view key) const {
  return taken_list<double>(*this, key, "an array of f32 or f64", fixed(number_at));
}

}  // namespace bnq::detail::gguf
