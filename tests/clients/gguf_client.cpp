// gguf_client read IN        reads a GGUF file and says nothing
// gguf_client copy IN OUT    copies one through bnq's reader and writer, and prints as JSON what it holds
// gguf_client make OUT       writes one with a value of each type and two tensors
//
// For the tests beside it, which write and read the same with the gguf package. Exit code 4: refused as bad content.

#include "io/gguf/reader.h"
#include "io/gguf/writer.h"

#include <bnq/error.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace bnq::detail::gguf;
using nlohmann::json;

json value_of(const Metadata& metadata, const KeyValue& entry) {
  const std::string type = type_of(entry);
  if (type == "string") return *metadata.text(entry.key);
  if (type == "bool") return *metadata.boolean(entry.key);
  if (type == "f32" || type == "f64") return *metadata.number(entry.key);
  if (type == "array of string") return *metadata.texts(entry.key);
  if (type == "array of f32" || type == "array of f64") return *metadata.numbers(entry.key);
  if (type == "array of bool" || type == "array of array" || type == "u64") return nullptr;
  if (type.starts_with("array of ")) return *metadata.integers(entry.key);
  return *metadata.integer(entry.key);
}

json contents_of(const Reader& reader) {
  json keys = json::array();
  for (const KeyValue& entry : reader.metadata().entries()) {
    keys.push_back({{"name", entry.key}, {"type", type_of(entry)}, {"value", value_of(reader.metadata(), entry)}});
  }
  json tensors = json::array();
  for (const Entry& entry : reader.tensors()) {
    tensors.push_back({{"name", entry.name},
                       {"type", entry.type->name},
                       {"shape", entry.shape},
                       {"offset", reader.head().size() + entry.offset},
                       {"nbytes", entry.nbytes}});
  }
  return {{"alignment", reader.alignment()}, {"keys", keys}, {"tensors", tensors}};
}

void copy(const std::string& from, const std::string& to) {
  const Reader reader(from);
  MetadataBuilder metadata(from);
  for (const KeyValue& entry : reader.metadata().entries()) metadata.copy(entry);
  Writer writer(to, metadata, reader.tensors(), Writer::Replace::no);
  for (const Entry& entry : reader.tensors()) {
    writer.write(entry.name, reader.bytes(entry));
    reader.release(entry);
  }
  writer.finish();
  std::puts(contents_of(reader).dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

void make(const std::string& to) {
  MetadataBuilder metadata;
  const std::array<std::string_view, 3> tokens{"<s>", "β", " a"};
  const std::array<std::int32_t, 3> kinds{3, 1, -1};
  const std::array<float, 2> scores{-0.5F, 1e-3F};
  metadata.add("general.architecture", "bitnet");
  metadata.add("general.quantization_version", std::uint32_t{2});
  metadata.add("u8", std::uint8_t{200});
  metadata.add("i8", std::int8_t{-3});
  metadata.add("u16", std::uint16_t{60'000});
  metadata.add("i16", std::int16_t{-30'000});
  metadata.add("i32", std::int32_t{-5});
  metadata.add("f32", 0.5F);
  metadata.add("yes", true);
  metadata.add("no", false);
  metadata.add("u64", std::numeric_limits<std::uint64_t>::max());
  metadata.add("i64", std::numeric_limits<std::int64_t>::min());
  metadata.add("f64", 0.1);
  metadata.add_list<std::string_view>("tokenizer.ggml.tokens", tokens);
  metadata.add_list<std::int32_t>("tokenizer.ggml.token_type", kinds);
  metadata.add_list<float>("tokenizer.ggml.scores", scores);
  Writer writer(to, metadata,
                {{.name = "plain", .type = find_type("f32"), .shape = {2, 3}},
                 {.name = "packed", .type = find_type("tq2_0"), .shape = {2, 256}}},
                Writer::Replace::no);
  const std::array<float, 6> plain{1, 2, 3, 4, 5, 6};
  std::array<std::byte, 132> packed{};
  for (std::size_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<std::byte>(i);
  writer.write("packed", packed);
  writer.write("plain", std::as_bytes(std::span(plain)));
  writer.finish();
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    if (words.size() == 2 && words[0] == "read") {
      const Reader reader(words[1]);
    } else if (words.size() == 3 && words[0] == "copy") {
      copy(words[1], words[2]);
    } else if (words.size() == 2 && words[0] == "make") {
      make(words[1]);
    } else {
      std::fputs("gguf_client read IN | copy IN OUT | make OUT\n", stderr);
      return 2;
    }
  } catch (const bnq::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.kind() == bnq::ErrorKind::bad_content ? 4 : 1;
  }
  return 0;
}
