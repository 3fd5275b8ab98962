#include "io/gguf/writer.h"

#include "core/fail.h"
#include "io/output_file.h"
#include "io/system_call.h"

#include <map>
#include <string>
#include <utility>

namespace bnq::detail::gguf {
namespace {

struct Place {
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t nbytes = 0;
  bool written = false;
};

/// Header, tensors, and the zeros behind the last. Throws `invalid_argument`.
std::uint64_t file_size(const std::string& where, const std::string& header, const std::vector<Entry>& entries,
                        std::uint32_t alignment) {
  if (entries.empty()) return header.size();
  const auto data = aligned(entries.back().offset + entries.back().nbytes, alignment);
  const auto size = data ? aligned(header.size() + *data, 1) : std::nullopt;
  if (size) return *size;
  fail(ErrorKind::invalid_argument, {.where = where, .what = "the file would be larger than 2^63 bytes"});
}

}  // namespace

struct Writer::State {
  std::string where;
  std::map<std::string, Place, std::less<>> places;
  OutputFile file;

  void refuse(std::string_view name, const std::string& what, const std::string& got, const std::string& need) const {
    fail(ErrorKind::invalid_argument,
         {.where = where + ": tensor '" + printable(std::string(name)) + "'", .what = what, .got = got, .need = need});
  }
};

Writer::Writer(std::filesystem::path path, const MetadataBuilder& metadata, std::vector<Entry> entries,
               Replace replace) {
  const std::string where = text_of(path);
  const std::string header = make_header(where, metadata, entries);
  const std::uint64_t size = file_size(where, header, entries, metadata.alignment());
  OutputFile file(path, size, replace == Replace::yes);  // all zeros: those between tensors need no writing
  file.write_at(0, std::as_bytes(std::span(header)));
  std::map<std::string, Place, std::less<>> places;
  for (const Entry& entry : entries) places[entry.name] = {header.size() + entry.offset, entry.nbytes};
  state_ = std::make_unique<State>(State{where, std::move(places), std::move(file)});
}

Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;

std::uint64_t Writer::file_bytes(const MetadataBuilder& metadata, std::vector<Entry> entries) {
  const std::string where = "Writer.file_bytes";
  const std::string header = make_header(where, metadata, entries);
  return file_size(where, header, entries, metadata.alignment());
}

void Writer::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto at = state_->places.find(name);
  if (at == state_->places.end()) state_->refuse(name, "was not declared", "", "a name given to the constructor");
  Place& place = at->second;
  if (place.written) state_->refuse(name, "was written before", "", "each tensor once");
  if (bytes.size() != place.nbytes) {
    state_->refuse(name, "wrong number of bytes", std::to_string(bytes.size()), std::to_string(place.nbytes));
  }
  state_->file.write_at(place.offset, bytes);
  place.written = true;
}

void Writer::finish() {
  for (const auto& [name, place] : state_->places) {
    if (!place.written) state_->refuse(name, "was declared and not written", "", "every tensor before finish");
  }
  state_->file.commit();
}

}  // namespace bnq::detail::gguf
