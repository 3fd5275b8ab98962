// A whole GGUF file: header, metadata, tensor table, data; every value taken out; then written and read again.

#include "fuzz/refused.h"
#include "io/gguf/header.h"
#include "io/gguf/metadata_builder.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace {

using namespace bnq::detail::gguf;

using Bytes = std::span<const std::byte>;

void take_out(const Metadata& metadata, std::string_view key) {
  bnq::test::only_refuses([&] { (void)metadata.text(key); });
  bnq::test::only_refuses([&] { (void)metadata.integer(key); });
  bnq::test::only_refuses([&] { (void)metadata.number(key); });
  bnq::test::only_refuses([&] { (void)metadata.boolean(key); });
  bnq::test::only_refuses([&] { (void)metadata.texts(key); });
  bnq::test::only_refuses([&] { (void)metadata.integers(key); });
  bnq::test::only_refuses([&] { (void)metadata.numbers(key); });
}

bool same(const Entry& a, const Entry& b) {
  return a.name == b.name && a.type == b.type && a.shape == b.shape && a.offset == b.offset && a.nbytes == b.nbytes;
}

/// A refusal of what was read before is a finding.
Header parse_again(const std::string& bytes) {
  try {
    return parse_header("again", std::as_bytes(std::span(bytes)));
  } catch (const bnq::Error&) {
    std::abort();
  }
}

/// What was believed is inside the file, and says the same when it is written again.
void write_again(const Header& header, Bytes file) {
  MetadataBuilder metadata;
  for (const KeyValue& key : header.metadata.entries()) metadata.copy(key);
  std::vector<Entry> entries = header.entries;
  std::string bytes;
  try {
    bytes = make_header("again", metadata, entries);
  } catch (const bnq::Error& error) {  // longer names are read than are written, and packed tensors need a version
    if (error.kind() != bnq::ErrorKind::invalid_argument) std::abort();
    return;
  }
  const Bytes data = file.subspan(static_cast<std::size_t>(header.data_begin));
  bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
  const Header again = parse_again(bytes);
  if (!std::ranges::equal(again.entries, header.entries, same)) std::abort();
  if (!std::ranges::equal(again.metadata.entries(), header.metadata.entries(),
                          [](const auto& a, const auto& b) { return std::ranges::equal(a.raw, b.raw); })) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  bnq::test::only_refuses([&] {
    const Bytes file = std::as_bytes(std::span(bytes, size));
    const Header header = parse_header("file", file);
    for (const Entry& entry : header.entries) {
      if (entry.nbytes > size - header.data_begin - entry.offset) std::abort();
    }
    for (const KeyValue& key : header.metadata.entries()) take_out(header.metadata, key.key);
    write_again(header, file);
  });
  return 0;
}
