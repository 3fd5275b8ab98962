#include "io/safetensors/header.h"

#include "core/checked.h"
#include "core/fail.h"
#include "io/json/json_reason.h"
#include "io/safetensors/dtype.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

namespace bnq::detail {
namespace {

using nlohmann::json;
using safetensors::Entry;
using safetensors::Metadata;

const std::string metadata_name = "__metadata__";

std::string in_tensor(const std::string& where, const std::string& name) {
  return where + ": tensor '" + printable(name) + "'";
}

/// An entry as the header states it, before anything is believed.
struct StatedEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;
  std::set<std::string> keys;
};

/// Reads the header event by event: a document tree would hide repeated keys and could be made huge.
class HeaderEvents : public nlohmann::json_sax<json> {
 public:
  explicit HeaderEvents(const std::string& where) : where_(where) {}

  std::vector<StatedEntry> entries;
  Metadata metadata;

  bool key(std::string& text) override {
    if (depth_ == 1) return name_key(text);
    key_ = text;
    if (in_metadata_) {
      if (!metadata.emplace(text, "").second) refuse("metadata key '" + printable(text) + "' stands twice");
      return true;
    }
    if (text != "dtype" && text != "shape" && text != "data_offsets") refuse("unknown key '" + printable(text) + "'");
    if (!entries.back().keys.insert(text).second) refuse("key '" + text + "' stands twice");
    return true;
  }

  bool string(std::string& text) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[key_] = text;
      return true;
    }
    if (depth_ != 2 || key_ != "dtype") refuse_value("text");
    entries.back().dtype = text;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (!in_array_) refuse_value("a number");
    auto& list = key_ == "shape" ? entries.back().shape : entries.back().offsets;
    list.push_back(value);
    return true;
  }

  bool start_object(std::size_t /*size*/) override {
    if (depth_ > 1 || (depth_ == 0 && seen_root_)) refuse_value("an object");
    seen_root_ = true;
    ++depth_;
    return true;
  }

  bool end_object() override {
    --depth_;
    if (depth_ == 1) in_metadata_ = false;
    return true;
  }

  bool start_array(std::size_t /*size*/) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || key_ == "dtype") refuse_value("an array");
    in_array_ = true;
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool null() override { refuse_value("null"); }
  bool boolean(bool /*value*/) override { refuse_value("true or false"); }
  bool number_integer(std::int64_t value) override { refuse_value(std::to_string(value)); }
  bool number_float(double /*value*/, const std::string& text) override { refuse_value(printable(text)); }
  bool binary(json::binary_t& /*value*/) override { refuse_value("binary"); }

  bool parse_error(std::size_t position, const std::string& /*token*/, const json::exception& error) override {
    fail(ErrorKind::bad_content,
         {.where = where_ + ": header, byte " + std::to_string(header_length_bytes + (position > 0 ? position - 1 : 0)),
          .what = "is not JSON",
          .got = json_reason(error.what())});
  }

 private:
  bool name_key(const std::string& text) {
    if (!names_.insert(text).second) refuse("'" + printable(text) + "' stands twice");
    in_metadata_ = text == metadata_name;
    if (!in_metadata_) entries.push_back({.name = text, .dtype = {}, .shape = {}, .offsets = {}, .keys = {}});
    return true;
  }

  [[nodiscard]] std::string here() const {
    if (depth_ == 0 || names_.empty()) return where_ + ": header";
    if (in_metadata_) return where_ + ": " + metadata_name;
    return entries.empty() || depth_ == 1 ? where_ + ": header" : in_tensor(where_, entries.back().name);
  }

  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorKind::bad_content, {.where = here(), .what = what});
  }

  [[noreturn]] void refuse_value(const std::string& got) const {
    if (depth_ == 0) refuse("is no JSON object (got " + got + ")");
    const std::string& key = depth_ > 1 ? key_ : in_metadata_ ? metadata_name : entries.back().name;
    fail(ErrorKind::bad_content,
         {.where = here(), .what = "wrong value for '" + printable(key) + "'", .got = got, .need = needed_value()});
  }

  [[nodiscard]] std::string needed_value() const {
    if (depth_ == 1) return in_metadata_ ? "an object of texts" : "an object with dtype, shape and data_offsets";
    if (in_metadata_) return "text";
    return key_ == "dtype" ? "a dtype's name" : "whole numbers in an array";
  }

  std::string where_;
  std::unordered_set<std::string> names_;
  std::string key_;
  int depth_ = 0;
  bool seen_root_ = false;
  bool in_metadata_ = false;
  bool in_array_ = false;
};

DType checked_dtype(const std::string& where, const StatedEntry& stated) {
  const auto dtype = parse_safetensors_dtype(stated.dtype);
  if (dtype) return *dtype;
  fail(ErrorKind::bad_content, {.where = in_tensor(where, stated.name),
                                .what = "a dtype that bnq does not know",
                                .got = "'" + printable(stated.dtype) + "'",
                                .need = "one of " + safetensors_names()});
}

Shape checked_shape(const std::string& where, const StatedEntry& stated) {
  Shape shape;
  for (const std::uint64_t extent : stated.shape) {
    if (!std::in_range<std::int64_t>(extent)) {
      fail(ErrorKind::bad_content, {.where = in_tensor(where, stated.name),
                                    .what = "an extent is too large",
                                    .got = std::to_string(extent),
                                    .need = "fewer than 2^63"});
    }
    shape.push_back(static_cast<std::int64_t>(extent));
  }
  return shape;
}

/// Bytes of shape x dtype; nothing when they do not fit in 64 bits, also where a later extent is 0.
std::optional<std::uint64_t> size_of(const StatedEntry& stated, DType dtype) {
  std::uint64_t bytes = size_bytes(dtype);
  for (const std::uint64_t extent : stated.shape) {
    const auto product = checked_mul(bytes, extent);
    if (!product) return std::nullopt;
    bytes = *product;
  }
  return bytes;
}

Entry checked_entry(const std::string& where, const StatedEntry& stated, std::uint64_t data_bytes) {
  const std::string here = in_tensor(where, stated.name);
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (stated.keys.contains(key)) continue;
    fail(ErrorKind::bad_content, {.where = here, .what = "has no '" + std::string(key) + "'"});
  }
  const DType dtype = checked_dtype(where, stated);
  Shape shape = checked_shape(where, stated);
  const auto bytes = size_of(stated, dtype);
  if (!bytes) fail(ErrorKind::bad_content, {.where = here, .what = "its shape " + to_string(shape) + " overflows"});
  if (stated.offsets.size() != 2) {
    fail(ErrorKind::bad_content, {.where = here,
                                  .what = "wrong number of data_offsets",
                                  .got = std::to_string(stated.offsets.size()),
                                  .need = "2"});
  }
  const std::uint64_t begin = stated.offsets[0];
  const std::uint64_t end = stated.offsets[1];
  const std::string range = "bytes " + std::to_string(begin) + " to " + std::to_string(end);
  if (begin > end || end > data_bytes) {
    fail(ErrorKind::bad_content, {.where = here,
                                  .what = begin > end ? "ends before it begins" : "lies outside the file",
                                  .got = range + " of the data",
                                  .need = "within " + std::to_string(data_bytes) + " bytes",
                                  .cure = "the file is damaged or was cut; fetch it again"});
  }
  if (end - begin != *bytes) {
    fail(ErrorKind::bad_content,
         {.where = here,
          .what = "its range does not fit its shape",
          .got = range + " of the data",
          .need = std::to_string(*bytes) + " bytes for " + stated.dtype + " " + to_string(shape)});
  }
  return {stated.name, dtype, std::move(shape), begin, *bytes};
}

/// The tensors have to cover the data from its first byte to its last, once: nothing hides between them.
void require_tiling(const std::string& where, const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.offset != at) {
      fail(ErrorKind::bad_content,
           {.where = in_tensor(where, entry.name),
            .what = entry.offset < at ? "overlaps the tensor before it" : "leaves a gap before it",
            .got = "byte " + std::to_string(entry.offset) + " of the data",
            .need = "byte " + std::to_string(at)});
    }
    at += entry.nbytes;
  }
  if (at == data_bytes) return;
  fail(ErrorKind::bad_content, {.where = where,
                                .what = "bytes behind the last tensor",
                                .got = std::to_string(data_bytes) + " bytes of data",
                                .need = std::to_string(at)});
}

/// Wide dtypes first, so that each tensor is aligned to its dtype.
void sort_for_file(std::vector<Entry>& entries) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    const std::size_t rank_a = safetensors_rank(a.dtype);
    const std::size_t rank_b = safetensors_rank(b.dtype);
    return rank_a != rank_b ? rank_a < rank_b : a.name < b.name;
  });
}

[[noreturn]] void refuse_name(const std::string& where, const std::string& name, const std::string& what) {
  fail(ErrorKind::invalid_argument, {.where = in_tensor(where, name), .what = what});
}

std::string quoted(const std::string& where, const std::string& text) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    refuse_name(where, text, "the name is not UTF-8");
  }
}

std::string numbers(const std::vector<std::int64_t>& values) { return json(values).dump(); }

void set_offsets(const std::string& where, std::vector<Entry>& entries) {
  std::uint64_t at = 0;
  for (Entry& entry : entries) {
    const auto elements = static_cast<std::uint64_t>(element_count(entry.shape));
    const auto bytes = checked_mul<std::uint64_t>(elements, size_bytes(entry.dtype));
    const auto end = bytes ? checked_add(at, *bytes) : std::nullopt;
    if (!end || !std::in_range<std::int64_t>(*end))
      refuse_name(where, entry.name, "the file would be larger than 2^63 bytes");
    entry.offset = at;
    entry.nbytes = *bytes;
    at = *end;
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& where, std::string_view text, std::uint64_t data_bytes) {
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {  // the JSON reader would stop there
    fail(ErrorKind::bad_content,
         {.where = where + ": header, byte " + std::to_string(header_length_bytes + at), .what = "is zero"});
  }
  HeaderEvents events(where);
  json::sax_parse(text.begin(), text.end(), &events);
  SafetensorsHeader header;
  header.metadata = std::move(events.metadata);
  header.entries.reserve(events.entries.size());
  for (const StatedEntry& stated : events.entries) header.entries.push_back(checked_entry(where, stated, data_bytes));
  std::ranges::sort(header.entries, [](const Entry& a, const Entry& b) {
    return std::tie(a.offset, a.nbytes, a.name) < std::tie(b.offset, b.nbytes, b.name);
  });
  require_tiling(where, header.entries, data_bytes);
  return header;
}

std::string make_safetensors_header(const std::string& where, std::vector<Entry>& entries, const Metadata& metadata) {
  sort_for_file(entries);
  set_offsets(where, entries);
  std::set<std::string_view> names;
  std::string text = "{";
  if (!metadata.empty()) {
    text += quoted(where, metadata_name) + ":{";
    for (const auto& [key, value] : metadata) {
      text += (text.back() == '{' ? "" : ",") + quoted(where, key) + ":" + quoted(where, value);
    }
    text += "}";
  }
  for (const Entry& entry : entries) {
    if (entry.name == metadata_name) refuse_name(where, entry.name, "the name is reserved");
    if (!names.insert(entry.name).second) refuse_name(where, entry.name, "the name stands twice");
    const std::vector<std::int64_t> offsets{static_cast<std::int64_t>(entry.offset),
                                            static_cast<std::int64_t>(entry.offset + entry.nbytes)};
    text += (text.size() > 1 ? "," : "") + quoted(where, entry.name) + R"(:{"dtype":")" +
            std::string(safetensors_name(entry.dtype)) + R"(","shape":)" + numbers(entry.shape) +
            R"(,"data_offsets":)" + numbers(offsets) + "}";
  }
  text += "}";
  text.resize(ceil_div<std::size_t>(text.size(), 8) * 8, ' ');
  if (text.size() > most_header_bytes) {
    fail(ErrorKind::invalid_argument, {.where = where,
                                       .what = "the header is too long for a safetensors file",
                                       .got = std::to_string(text.size()) + " bytes",
                                       .need = std::to_string(most_header_bytes) + " or fewer"});
  }
  std::string length(header_length_bytes, '\0');
  for (std::size_t i = 0; i < header_length_bytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFFU);
  return length + text;
}

}  // namespace bnq::detail
