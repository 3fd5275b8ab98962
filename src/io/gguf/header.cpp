#include "io/gguf/header.h"

#include "core/checked.h"
#include "core/fail.h"
#include "io/gguf/cursor.h"
#include "io/gguf/metadata_builder.h"
#include "io/gguf/placement.h"

#include <algorithm>
#include <bit>
#include <unordered_set>
#include <utility>

namespace bnq::detail::gguf {
namespace {

constexpr std::uint64_t least_key_bytes = 14;     // a name of one byte, a type, one byte
constexpr std::uint64_t least_tensor_bytes = 25;  // a name of one byte, no axis, a type, an offset

std::uint32_t read_version(Cursor& cursor) {
  const std::string_view start = as_text(cursor.take(mark.size(), "first bytes"));
  if (start != mark) {
    cursor.back_to(0).refuse("is no GGUF file", "'" + printable(std::string(start)) + "'",
                             "'" + std::string(mark) + "'");
  }
  const std::size_t at = cursor.at();
  const auto version = cursor.read<std::uint32_t>("version");
  if (version == 2 || version == newest_version) return version;
  cursor.back_to(at);
  if (version != 0 && version % (1U << 16U) == 0) {
    cursor.refuse("its numbers are big-endian", "version " + std::to_string(version), "a little-endian file",
                  "convert it (gguf_convert_endian.py of llama.cpp)");
  }
  cursor.refuse("a version that bnq does not read", std::to_string(version), "2 or 3",
                version == 1 ? "convert the model again with a newer program" : "");
}

std::uint64_t read_count(Cursor& cursor, const char* what, std::uint64_t most) {
  const std::size_t at = cursor.at();
  const auto count = cursor.read<std::uint64_t>(what);
  if (count <= most) return count;
  cursor.back_to(at).refuse(std::string("its ") + what + " is too large", std::to_string(count),
                            std::to_string(most) + " or fewer");
}

/// Before anything is sized by it.
void require_room(Cursor& cursor, const char* what, std::uint64_t count, std::uint64_t least_bytes) {
  if (count <= cursor.left() / least_bytes) return;
  cursor.refuse(std::string("its ") + what + " does not fit in what is left", std::to_string(count),
                std::to_string(cursor.left() / least_bytes) + " or fewer", "the file is damaged or was cut");
}

std::uint32_t alignment_of(const Metadata& metadata) {
  const KeyValue* const entry = metadata.find(alignment_key);
  if (entry == nullptr) return default_alignment;
  if (entry->type != ValueType::u32) metadata.refuse(*entry, "a value of the wrong type", type_of(*entry), "u32");
  const auto alignment = load<std::uint32_t>(entry->value);
  if (is_alignment(alignment)) return alignment;
  metadata.refuse(*entry, "no alignment that bnq reads", std::to_string(alignment),
                  "a power of two from " + std::to_string(least_alignment) + " to " + std::to_string(most_alignment));
}

/// The tensors of a split model lie in several files, of which each names its own only.
void require_whole(const Metadata& metadata) {
  const auto parts = metadata.integer("split.count");
  if (!parts || *parts <= 1) return;
  metadata.refuse(*metadata.find("split.count"), "this is one part of a split model", std::to_string(*parts) + " parts",
                  "one whole file", "merge them first (llama-gguf-split --merge)");
}

Shape read_shape(Cursor& cursor) {
  const std::size_t at = cursor.at();
  const auto axes = cursor.read<std::uint32_t>("number of axes");
  if (axes > most_axes) {
    cursor.back_to(at).refuse("too many axes", std::to_string(axes), std::to_string(most_axes) + " or fewer");
  }
  Shape shape;
  std::int64_t elements = 1;
  for (std::uint32_t axis = 0; axis < axes; ++axis) {
    const std::size_t extent_at = cursor.at();
    const auto extent = cursor.read<std::uint64_t>("extents");
    if (extent == 0 || !std::in_range<std::int64_t>(extent)) {
      cursor.back_to(extent_at).refuse("an extent is out of range", std::to_string(extent), "1 to 2^63 - 1");
    }
    const auto product = checked_mul(elements, static_cast<std::int64_t>(extent));
    if (!product) cursor.back_to(extent_at).refuse("its extents overflow", std::to_string(extent) + " more");
    elements = *product;
    shape.push_back(static_cast<std::int64_t>(extent));
  }
  std::ranges::reverse(shape);
  return shape;
}

using Names = std::unordered_set<std::string_view>;

StatedTensor read_tensor(Cursor& cursor, Names& names) {
  StatedTensor tensor;
  tensor.at = cursor.at();
  const std::string_view name = cursor.read_string("name");
  const std::string fault = fault_of_name(name, longest_name);
  if (!fault.empty()) cursor.back_to(tensor.at).refuse("its name " + fault);
  cursor.enter_name(name);
  if (!names.insert(name).second) cursor.back_to(tensor.at).refuse("stands twice");
  tensor.name = name;
  tensor.shape = read_shape(cursor);
  tensor.type = cursor.read<std::uint32_t>("type");
  tensor.offset = cursor.read<std::uint64_t>("offset");
  return tensor;
}

std::vector<StatedTensor> read_tensors(Cursor& cursor, std::uint64_t count) {
  require_room(cursor, "number of tensors", count, least_tensor_bytes);
  std::vector<StatedTensor> tensors;
  tensors.reserve(static_cast<std::size_t>(count));
  Names names;
  for (std::uint64_t i = 0; i < count; ++i) {
    cursor.enter("tensor", i);
    tensors.push_back(read_tensor(cursor, names));
  }
  return tensors;
}

/// Zeros up to the alignment; without tensors they may be missing, and nothing may follow them.
std::uint64_t data_begin_of(Cursor& cursor, std::span<const std::byte> file, std::uint32_t alignment, bool tensors) {
  const std::uint64_t begin = cursor.at();
  const std::uint64_t end = aligned(begin, alignment).value();
  if (tensors && end >= file.size()) {
    cursor.refuse("the file ends before its tensors", std::to_string(file.size()) + " bytes",
                  "more than " + std::to_string(end), "it is damaged or was cut; fetch it again");
  }
  if (!tensors && file.size() > end) {
    cursor.refuse("bytes behind a file without tensors", std::to_string(file.size()) + " bytes", std::to_string(end));
  }
  const auto padding = file.subspan(cursor.at(), std::min<std::uint64_t>(end, file.size()) - begin);
  if (std::ranges::any_of(padding, [](std::byte byte) { return byte != std::byte{0}; })) {
    cursor.refuse("bytes before the tensors that are not zero", {}, "zeros up to the alignment");
  }
  return std::min<std::uint64_t>(end, file.size());
}

}  // namespace

bool is_alignment(std::uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= least_alignment && bytes <= most_alignment;
}

std::optional<std::uint64_t> aligned(std::uint64_t bytes, std::uint32_t alignment) {
  const std::uint64_t rest = bytes % alignment;
  const auto end = checked_add<std::uint64_t>(bytes, rest == 0 ? 0 : alignment - rest);
  return end && std::in_range<std::int64_t>(*end) ? end : std::nullopt;
}

namespace {

/// bnq writes one of the types that share the id 42.
ReadOptions completed(ReadOptions options, const Metadata& metadata) {
  constexpr std::uint32_t shared = 42;
  const auto settles = [](const std::string& name) {
    return std::ranges::any_of(types_of(shared), [&](const Type* type) { return type->name == name; });
  };
  const bool is_settled = std::ranges::any_of(options.types, settles);
  if (!is_settled && metadata.find(writer_key) != nullptr) options.types.emplace_back("q2_0");
  return options;
}

}  // namespace

Header parse_header(const std::string& where, std::span<const std::byte> file, const ReadOptions& options) {
  Cursor cursor(where, file);
  Header header;
  header.version = read_version(cursor);
  const std::uint64_t tensors = read_count(cursor, "number of tensors", most_tensors);
  const std::uint64_t keys = read_count(cursor, "number of keys", most_keys);
  require_room(cursor, "number of keys", keys, least_key_bytes);
  header.metadata = Metadata(where, cursor, keys);
  header.alignment = alignment_of(header.metadata);
  require_whole(header.metadata);
  cursor.leave();
  std::vector<StatedTensor> stated = read_tensors(cursor, tensors);
  cursor.leave();
  header.data_begin = data_begin_of(cursor, file, header.alignment, tensors > 0);
  const DataSection section{file.subspan(static_cast<std::size_t>(header.data_begin)), header.alignment};
  header.entries = place_tensors(where, std::move(stated), section, completed(options, header.metadata));
  return header;
}

namespace {

std::string in_tensor(const std::string& where, const Entry& entry) {
  return where + ": tensor '" + printable(entry.name) + "'";
}

void require_writable(const std::string& where, const Entry& entry) {
  const std::string fault = fault_of_name(entry.name, longest_written_name);
  if (!fault.empty()) {
    fail(ErrorKind::invalid_argument, {.where = in_tensor(where, entry), .what = "the name " + fault});
  }
  if (entry.type == nullptr)
    fail(ErrorKind::invalid_argument, {.where = in_tensor(where, entry), .what = "has no type"});
  const bool empty = std::ranges::any_of(entry.shape, [](std::int64_t extent) { return extent < 1; });
  if (!empty && entry.shape.size() <= most_axes) return;
  fail(ErrorKind::invalid_argument, {.where = in_tensor(where, entry),
                                     .what = "a shape that GGUF cannot hold",
                                     .got = to_string(entry.shape),
                                     .need = std::to_string(most_axes) + " axes or fewer, each of 1 or more"});
}

std::uint64_t checked_size(const std::string& where, const Entry& entry) {
  if (const auto bytes = size_of(*entry.type, entry.shape)) return *bytes;
  fail(ErrorKind::invalid_argument,
       {.where = in_tensor(where, entry),
        .what = "its type cannot hold its shape",
        .got = name_and_id(*entry.type) + " " + to_string(entry.shape),
        .need = "a depth in multiples of " + std::to_string(entry.type->block_length) + ", fewer than 2^63 bytes"});
}

void set_offsets(const std::string& where, std::vector<Entry>& entries, std::uint32_t alignment) {
  Names names;
  std::uint64_t at = 0;
  for (Entry& entry : entries) {
    require_writable(where, entry);
    if (!names.insert(entry.name).second) {
      fail(ErrorKind::invalid_argument, {.where = in_tensor(where, entry), .what = "the name stands twice"});
    }
    entry.offset = at;
    entry.nbytes = checked_size(where, entry);
    const auto end = checked_add(at, entry.nbytes);
    const auto padded = end ? aligned(*end, alignment) : std::nullopt;
    if (!padded) {
      fail(ErrorKind::invalid_argument,
           {.where = in_tensor(where, entry), .what = "the file would be larger than 2^63 bytes"});
    }
    at = *padded;
  }
}

bool is_packed(const Entry& entry) { return !entry.type->dtype; }

}  // namespace

std::string make_header(const std::string& where, const MetadataBuilder& metadata, std::vector<Entry>& entries) {
  set_offsets(where, entries, metadata.alignment());
  if (std::ranges::any_of(entries, is_packed) && !metadata.holds(quantization_version_key)) {
    fail(ErrorKind::invalid_argument,
         {.where = where,
          .what = "packed tensors without the key '" + std::string(quantization_version_key) + "'",
          .cure = "add it (u32, 2)"});
  }
  std::string bytes(mark);
  store(bytes, newest_version);
  store<std::uint64_t>(bytes, entries.size());
  store(bytes, metadata.count());
  bytes += metadata.bytes();
  for (const Entry& entry : entries) {
    store(bytes, std::string_view(entry.name));
    store(bytes, static_cast<std::uint32_t>(entry.shape.size()));
    for (std::size_t axis = entry.shape.size(); axis-- > 0;) store(bytes, entry.shape[axis]);
    store(bytes, entry.type->id);
    store(bytes, entry.offset);
  }
  bytes.resize(static_cast<std::size_t>(aligned(bytes.size(), metadata.alignment()).value()), '\0');
  return bytes;
}

}  // namespace bnq::detail::gguf
