#include "io/gguf/reader.h"

#include "core/fail.h"
#include "io/file_map.h"
#include "io/system_call.h"

#include <unordered_map>
#include <utility>

namespace bnq::detail::gguf {

struct Reader::State {
  std::filesystem::path path;
  FileMap file;
  Header header;
  std::span<const std::byte> data;
  std::unordered_map<std::string_view, std::size_t> index;

  State(const std::filesystem::path& name, const ReadOptions& options)
      : path(name),
        file(name),
        header(parse_header(text_of(name), file.bytes(), options)),
        data(file.bytes().subspan(static_cast<std::size_t>(header.data_begin))) {
    index.reserve(header.entries.size());
    for (std::size_t i = 0; i < header.entries.size(); ++i) index.emplace(header.entries[i].name, i);
  }
};

Reader::Reader(const std::filesystem::path& path, const ReadOptions& options)
    : state_(std::make_shared<const State>(path, options)) {}

const std::filesystem::path& Reader::path() const noexcept { return state_->path; }
std::uint32_t Reader::version() const noexcept { return state_->header.version; }
std::uint32_t Reader::alignment() const noexcept { return state_->header.alignment; }
const Metadata& Reader::metadata() const noexcept { return state_->header.metadata; }
const std::vector<Entry>& Reader::tensors() const noexcept { return state_->header.entries; }
std::uint64_t Reader::file_bytes() const noexcept { return state_->file.bytes().size(); }
std::shared_ptr<const void> Reader::owner() const noexcept { return state_; }

std::span<const std::byte> Reader::head() const noexcept {
  return state_->file.bytes().first(static_cast<std::size_t>(state_->header.data_begin));
}

const Entry* Reader::find(std::string_view name) const noexcept {
  const auto at = state_->index.find(name);
  return at == state_->index.end() ? nullptr : &state_->header.entries[at->second];
}

std::span<const std::byte> Reader::bytes(const Entry& entry) const {
  const std::size_t size = state_->data.size();
  if (entry.offset > size || entry.nbytes > size - entry.offset) {
    fail(ErrorKind::invalid_argument, {.where = "Reader.bytes", .what = "an entry of another file"});
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
  if (entry.type == nullptr || size_of(*entry.type, entry.shape) != data.size()) {
    fail(ErrorKind::invalid_argument, {.where = "Reader.view", .what = "an entry of another file"});
  }
  if (!entry.type->dtype) {
    fail(ErrorKind::unsupported, {.where = text_of(path()) + ": tensor '" + printable(entry.name) + "'",
                                  .what = "its elements are packed",
                                  .got = name_and_id(*entry.type),
                                  .need = "plain elements"});
  }
  return {data.data(), *entry.type->dtype, entry.shape};
}

}  // namespace bnq::detail::gguf
