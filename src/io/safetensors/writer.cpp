#include <bnq/safetensors.h>

#include "core/fail.h"
#include "io/digest.h"
#include "io/output_file.h"
#include "io/safetensors/header.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace bnq::safetensors {
namespace {

struct Place {
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t nbytes = 0;
  bool written = false;
  /// In place: what is allocated between large buffers keeps the heap from using their memory again, so that it would
  /// grow with the number of tensors.
  std::array<char, detail::digest_digits> digest = {};
};

std::uint64_t data_bytes(const std::vector<Entry>& entries) {
  return entries.empty() ? 0 : entries.back().offset + entries.back().nbytes;
}

}  // namespace

struct Writer::State {
  std::string where;
  std::vector<Entry> entries;
  std::string header;
  std::map<std::string, Place, std::less<>> places;
  detail::OutputFile file;
  std::string digest = {};

  void refuse(std::string_view name, const std::string& what, const std::string& got, const std::string& need) const {
    detail::fail(ErrorKind::invalid_argument,
                 {.where = where + ": tensor '" + detail::printable(std::string(name)) + "'",
                  .what = what,
                  .got = got,
                  .need = need});
  }
};

Writer::Writer(std::filesystem::path path, std::vector<Entry> entries, const Metadata& metadata, Replace replace) {
  const std::string where = detail::text_of(path);
  const std::string header = detail::make_safetensors_header(where, entries, metadata);
  detail::OutputFile file(path, header.size() + data_bytes(entries), replace == Replace::yes);
  file.write_at(0, std::as_bytes(std::span(header)));
  std::map<std::string, Place, std::less<>> places;
  for (const Entry& entry : entries) places[entry.name] = {header.size() + entry.offset, entry.nbytes};
  state_ = std::make_unique<State>(State{where, std::move(entries), header, std::move(places), std::move(file)});
}

Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;

std::uint64_t Writer::file_bytes(std::vector<Entry> entries, const Metadata& metadata) {
  const std::string header = detail::make_safetensors_header("Writer.file_bytes", entries, metadata);
  return header.size() + data_bytes(entries);
}

void Writer::set_metadata(const Metadata& metadata) {
  std::string header = detail::make_safetensors_header(state_->where, state_->entries, metadata);
  if (header.size() != state_->header.size()) {
    detail::fail(ErrorKind::invalid_argument, {.where = state_->where,
                                               .what = "the metadata makes another header length",
                                               .got = std::to_string(header.size()),
                                               .need = std::to_string(state_->header.size())});
  }
  state_->file.write_at(0, std::as_bytes(std::span(header)));
  state_->header = std::move(header);
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
  detail::digest_of(bytes).copy(place.digest.data(), place.digest.size());
}

void Writer::finish() {
  for (const auto& [name, place] : state_->places) {
    if (!place.written) state_->refuse(name, "was declared and not written", "", "every tensor before finish");
  }
  state_->file.commit();
  detail::Digest digest;
  digest.add(std::as_bytes(std::span(state_->header)));
  for (const Entry& entry : state_->entries) {
    const Place& place = state_->places.find(entry.name)->second;
    digest.add(std::string(place.digest.data(), place.digest.size()));
  }
  state_->digest = digest.hex();
}

const std::string& Writer::digest() const noexcept { return state_->digest; }

}  // namespace bnq::safetensors
