#include "io/gguf/placement.h"

#include "core/checked.h"
#include "core/fail.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace bnq::detail::gguf {
namespace {

using Candidates = std::vector<const Type*>;

std::string row_of(const std::string& where, const StatedTensor& tensor) {
  return where + ": tensor '" + printable(tensor.name) + "', byte " + std::to_string(tensor.at);
}

constexpr const char* cut = "the file is damaged or was cut; fetch it again";

/// The meanings that the caller's names leave.
Candidates candidates_of(const std::string& where, const StatedTensor& tensor, const ReadOptions& options) {
  Candidates rows = types_of(tensor.type);
  if (rows.empty()) {
    const std::string unread(unread_type(tensor.type));
    fail(ErrorKind::bad_content, {.where = row_of(where, tensor),
                                  .what = "a type that bnq does not read",
                                  .got = std::to_string(tensor.type) + (unread.empty() ? "" : ": " + unread)});
  }
  if (rows.size() == 1) return rows;
  Candidates named;
  std::ranges::copy_if(rows, std::back_inserter(named), [&](const Type* row) {
    return std::ranges::find(options.types, row->name) != options.types.end();
  });
  return named.empty() ? rows : named;
}

/// Bytes from a tensor's first to the next tensor's first, or to the end of the file.
struct Room {
  std::uint64_t bytes = 0;
  bool last = false;
};

/// Does a tensor of `nbytes` fill its room, up to the alignment?
bool fills(std::uint64_t nbytes, const Room& room, std::uint32_t alignment) {
  const auto padded = aligned(nbytes, alignment);
  if (!padded) return false;
  return room.last ? nbytes <= room.bytes && room.bytes <= *padded : room.bytes == *padded;
}

std::string size_text(const Type& type, const Shape& shape) {
  const auto bytes = size_of(type, shape);
  return name_and_id(type) + ": " + (bytes ? std::to_string(*bytes) + " bytes" : "does not fit its shape");
}

/// Advice about a tensor whose size is not that of its type.
std::string cure_of(std::uint32_t id, bool is_cut) {
  const std::string unread(unread_type(id));
  if (!unread.empty()) return "bnq does not read another type of this id: " + unread;
  return is_cut ? cut : "";
}

/// Says what is wrong with a tensor whose type has one meaning.
[[noreturn]] void refuse_size(const std::string& where, const StatedTensor& tensor, const Type& type,
                              const Room& room) {
  const auto bytes = size_of(type, tensor.shape);
  if (!bytes) {
    const std::int64_t depth = tensor.shape.empty() ? 1 : tensor.shape.back();
    const bool odd = depth % type.block_length != 0;
    fail(ErrorKind::bad_content,
         {.where = row_of(where, tensor),
          .what = odd ? "its depth is no multiple of its type's blocks" : "its size overflows",
          .got = name_and_id(type) + " " + to_string(tensor.shape),
          .need = odd ? "a multiple of " + std::to_string(type.block_length) : "fewer than 2^63 bytes"});
  }
  const bool large = *bytes > room.bytes;
  const char* const what = large ? (room.last ? "lies outside the file" : "overlaps the tensor behind it")
                                 : (room.last ? "bytes behind the last tensor" : "leaves a gap behind it");
  fail(ErrorKind::bad_content,
       {.where = row_of(where, tensor),
        .what = what,
        .got = std::to_string(room.bytes) + " bytes from byte " + std::to_string(tensor.offset) + " of the data",
        .need = std::to_string(*bytes) + " for " + name_and_id(type) + " " + to_string(tensor.shape),
        .cure = cure_of(tensor.type, large && room.last)});
}

/// Of ids with several meanings, those that fit each tensor so far.
class Meanings {
 public:
  Meanings(const std::string& where, const DataSection& section, const ReadOptions& options)
      : where_(where), section_(section), options_(options) {}

  /// Looks at one tensor. Throws when no meaning fits.
  void see(const StatedTensor& tensor, const Room& room) {
    const auto [at, is_new] = left_.try_emplace(tensor.type);
    Meaning& meaning = at->second;
    if (is_new) meaning = {candidates_of(where_, tensor, options_), &tensor};
    const Candidates before = meaning.candidates;
    std::erase_if(meaning.candidates, [&](const Type* type) {
      const auto bytes = size_of(*type, tensor.shape);
      return !bytes || !fills(*bytes, room, section_.alignment);
    });
    if (!meaning.candidates.empty()) return;
    if (before.size() == 1) refuse_size(where_, tensor, *before.front(), room);
    std::string sizes;
    for (const Type* type : before) sizes += (sizes.empty() ? "" : ", ") + size_text(*type, tensor.shape);
    fail(ErrorKind::bad_content, {.where = row_of(where_, tensor),
                                  .what = "its size fits no type of id " + std::to_string(tensor.type),
                                  .got = std::to_string(room.bytes) + " bytes for " + to_string(tensor.shape),
                                  .need = sizes,
                                  .cure = cure_of(tensor.type, room.last)});
  }

  /// The meaning of an id that was seen. Throws when several are left.
  [[nodiscard]] const Type* of(std::uint32_t id) const {
    const Meaning& meaning = left_.at(id);
    if (meaning.candidates.size() == 1) return meaning.candidates.front();
    std::string names;
    for (const Type* type : meaning.candidates) names += (names.empty() ? "" : ", ") + std::string(type->name);
    fail(ErrorKind::bad_content, {.where = row_of(where_, *meaning.first),
                                  .what = "its type has several meanings, and sizes do not tell which",
                                  .got = "id " + std::to_string(id),
                                  .need = "one of " + names,
                                  .cure = "say which it is: --gguf-type with one of these names"});
  }

 private:
  struct Meaning {
    Candidates candidates;
    const StatedTensor* first = nullptr;
  };

  const std::string& where_;
  const DataSection& section_;
  const ReadOptions& options_;
  std::map<std::uint32_t, Meaning> left_;
};

void require_offset(const std::string& where, const StatedTensor& tensor, const DataSection& section) {
  const std::string got = "byte " + std::to_string(tensor.offset) + " of the data";
  if (tensor.offset % section.alignment != 0) {
    fail(ErrorKind::bad_content, {.where = row_of(where, tensor),
                                  .what = "does not start at the alignment",
                                  .got = got,
                                  .need = "a multiple of " + std::to_string(section.alignment)});
  }
  if (tensor.offset < section.bytes.size()) return;
  fail(ErrorKind::bad_content, {.where = row_of(where, tensor),
                                .what = "lies outside the file",
                                .got = got,
                                .need = "within " + std::to_string(section.bytes.size()) + " bytes",
                                .cure = cut});
}

void require_zeros(const std::string& where, const StatedTensor& tensor, const Room& room, std::uint64_t nbytes,
                   const DataSection& section) {
  const auto rest = section.bytes.subspan(static_cast<std::size_t>(tensor.offset + nbytes),
                                          static_cast<std::size_t>(room.bytes - nbytes));
  if (std::ranges::all_of(rest, [](std::byte byte) { return byte == std::byte{0}; })) return;
  fail(ErrorKind::bad_content, {.where = row_of(where, tensor),
                                .what = "bytes behind it that are not zero",
                                .need = "zeros up to the alignment"});
}

void require_type(const std::string& name) {
  if (find_type(name) != nullptr) return;
  fail(ErrorKind::invalid_argument,
       {.where = "ReadOptions.types", .what = "no type", .got = "'" + printable(name) + "'"});
}

}  // namespace

std::vector<Entry> place_tensors(const std::string& where, std::vector<StatedTensor> stated, const DataSection& section,
                                 const ReadOptions& options) {
  for (const std::string& type : options.types) require_type(type);
  std::ranges::stable_sort(stated, {}, &StatedTensor::offset);
  for (const StatedTensor& tensor : stated) require_offset(where, tensor, section);
  if (!stated.empty() && stated.front().offset != 0) {
    fail(ErrorKind::bad_content, {.where = row_of(where, stated.front()),
                                  .what = "leaves a gap before it",
                                  .got = "byte " + std::to_string(stated.front().offset) + " of the data",
                                  .need = "byte 0"});
  }
  const auto room_of = [&](std::size_t i) {
    const bool last = i + 1 == stated.size();
    return Room{(last ? section.bytes.size() : stated[i + 1].offset) - stated[i].offset, last};
  };
  Meanings meanings(where, section, options);
  for (std::size_t i = 0; i < stated.size(); ++i) meanings.see(stated[i], room_of(i));
  std::vector<Entry> entries;
  entries.reserve(stated.size());
  for (std::size_t i = 0; i < stated.size(); ++i) {
    const Type* const type = meanings.of(stated[i].type);
    const std::uint64_t nbytes = size_of(*type, stated[i].shape).value();  // it fits: `see` saw every tensor of it
    require_zeros(where, stated[i], room_of(i), nbytes, section);
    entries.push_back({std::move(stated[i].name), type, std::move(stated[i].shape), stated[i].offset, nbytes});
  }
  return entries;
}

}  // namespace bnq::detail::gguf
