#include <bnq/safetensors.h>

#include "core/fail.h"
#include "io/file_map.h"
#include "io/safetensors/header.h"
#include "io/system_call.h"

#include <unordered_map>
#include <utility>

namespace bnq::safetensors {

struct Reader::State {
  std::filesystem::path path;
  detail::FileMap file;
  detail::SafetensorsHeader header;
  std::span<const std::byte> data;
  std::unordered_map<std::string_view, std::size_t> index;

  explicit State(const std::filesystem::path& name) : path(name), file(name) {}
};

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& what, std::string got, std::string need) {
  detail::fail(ErrorKind::bad_content, {.where = where,
                                        .what = what,
                                        .got = std::move(got),
                                        .need = std::move(need),
                                        .cure = "it is no safetensors file, or it was cut"});
}

/// The first 8 bytes, little-endian; checked against the file before anyone sizes anything by it.
std::uint64_t header_bytes(const std::string& where, std::span<const std::byte> file) {
  if (file.size() < detail::header_length_bytes) {
    refuse(where, "too short", std::to_string(file.size()) + " bytes", "8 for the header's length");
  }
  std::uint64_t length = 0;
  for (std::size_t i = detail::header_length_bytes; i-- > 0;)
    length = length << 8U | std::to_integer<std::uint64_t>(file[i]);
  const std::uint64_t rest = file.size() - detail::header_length_bytes;
  if (length > rest) {
    refuse(where, "the header is longer than the file", std::to_string(length) + " bytes",
           std::to_string(rest) + " or fewer");
  }
  if (length > detail::most_header_bytes) {
    refuse(where, "the header is too long", std::to_string(length) + " bytes",
           std::to_string(detail::most_header_bytes) + " or fewer");
  }
  if (length == 0 || file[detail::header_length_bytes] != std::byte{'{'}) {
    refuse(where, "the header is no JSON object", length == 0 ? "no bytes" : "another first byte", "'{' at byte 8");
  }
  return length;
}

}  // namespace

Reader::Reader(const std::filesystem::path& path) {
  auto state = std::make_shared<State>(path);
  const std::string where = detail::text_of(path);
  const std::span<const std::byte> file = state->file.bytes();
  const auto length = static_cast<std::size_t>(header_bytes(where, file));
  const auto header = file.subspan(detail::header_length_bytes, length);
  state->data = file.subspan(detail::header_length_bytes + length);
  state->header = detail::parse_safetensors_header(where, {reinterpret_cast<const char*>(header.data()), header.size()},
                                                   state->data.size());
  const auto& entries = state->header.entries;
  state->index.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) state->index.emplace(entries[i].name, i);
  state_ = std::move(state);
}

const std::filesystem::path& Reader::path() const noexcept { return state_->path; }
const std::vector<Entry>& Reader::tensors() const noexcept { return state_->header.entries; }
const Metadata& Reader::metadata() const noexcept { return state_->header.metadata; }
std::uint64_t Reader::file_bytes() const noexcept { return state_->file.bytes().size(); }
std::span<const std::byte> Reader::head() const noexcept {
  return state_->file.bytes().first(state_->file.bytes().size() - state_->data.size());
}
std::shared_ptr<const void> Reader::owner() const noexcept { return state_; }

const Entry* Reader::find(std::string_view name) const noexcept {
  const auto at = state_->index.find(name);
  return at == state_->index.end() ? nullptr : &state_->header.entries[at->second];
}

std::span<const std::byte> Reader::bytes(const Entry& entry) const {
  const std::size_t size = state_->data.size();
  if (entry.offset > size || entry.nbytes > size - entry.offset) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Reader.bytes", .what = "an entry of another file"});
  }
  return state_->data.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.nbytes));
}

void Reader::release(const Entry& entry) const noexcept {
  const std::size_t size = state_->data.size();
  if (entry.offset > size || entry.nbytes > size - entry.offset) return;
  state_->file.release(
      state_->data.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.nbytes)));
}

TensorView Reader::view(const Entry& entry) const {
  const std::span<const std::byte> data = bytes(entry);
  const auto need = static_cast<std::uint64_t>(element_count(entry.shape)) * size_bytes(entry.dtype);
  if (need != data.size()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "Reader.view", .what = "an entry of another file"});
  }
  return {data.data(), entry.dtype, entry.shape};
}

}  // namespace bnq::safetensors
