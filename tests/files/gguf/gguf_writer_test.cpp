#include "io/gguf/reader.h"
#include "io/gguf/writer.h"
#include "raw_gguf.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/hex.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <span>

namespace bnq::test {
namespace {

using detail::gguf::Entry;
using detail::gguf::find_type;
using detail::gguf::KeyValue;
using detail::gguf::MetadataBuilder;
using detail::gguf::Reader;
using detail::gguf::Writer;
using Replace = Writer::Replace;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

Entry entry(std::string name, const char* type, Shape shape) {
  return {.name = std::move(name), .type = find_type(type), .shape = std::move(shape)};
}

/// "w" of f32 [2, 3] and "b" of f16 [3].
std::vector<Entry> pair() { return {entry("w", "f32", {2, 3}), entry("b", "f16", {3})}; }

void write_pair(Writer& writer) {
  writer.write("w", bytes_of("wwwwwwwwwwwwwwwwwwwwwwww"));
  writer.write("b", bytes_of("bbbbbb"));
}

class GgufWriterTest : public TempDirTest {
 protected:
  std::filesystem::path path = dir / "model.gguf";
};

// As docs/formats/gguf.rst explains them. tests/clients/ggml/test_gguf.py compares that page with the gguf package.
constexpr std::string_view golden =
    "47475546 03000000 0200000000000000 0200000000000000"                                       // mark … keys
    "1400000000000000 67656e6572616c2e617263686974656374757265 08000000"                        // general.architecture
    "0600000000000000 6269746e6574"                                                             // bitnet
    "1100000000000000 67656e6572616c2e616c69676e6d656e74 04000000 10000000"                     // general.alignment 16
    "0100000000000000 77 02000000 0300000000000000 0200000000000000 00000000 0000000000000000"  // w
    "0100000000000000 62 01000000 0300000000000000 01000000 2000000000000000"                   // b
    "000000000000000000000000000000"
    "0000803f 00000040 00004040 00008040 0000a040 0000c040 0000000000000000"  // 1 … 6
    "003c 0040 0042 00000000000000000000";                                    // 1, 2, 3

TEST_F(GgufWriterTest, WritesTheGoldenBytes) {
  MetadataBuilder metadata;
  metadata.add("general.architecture", "bitnet");
  metadata.add("general.alignment", std::uint32_t{16});
  Writer writer(path, metadata, pair(), Replace::no);
  const std::array<float, 6> w{1, 2, 3, 4, 5, 6};
  const std::array<std::uint16_t, 3> b{0x3C00, 0x4000, 0x4200};
  writer.write("b", std::as_bytes(std::span(b)));
  writer.write("w", std::as_bytes(std::span(w)));
  writer.finish();
  EXPECT_EQ(to_hex(bytes_of(read_file(path))), to_hex(from_hex(golden)));
  EXPECT_EQ(Reader(path).alignment(), 16U);
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(GgufWriterTest, WritesEveryTypeOfValue) {
  MetadataBuilder metadata;
  const std::array<std::string_view, 3> tokens{"<s>", "", "\xFF"};
  const std::array<std::int32_t, 2> kinds{3, -1};
  const std::array<float, 1> scores{-0.5F};
  const std::array<bool, 2> flags{true, false};
  metadata.add("u8", std::uint8_t{200});
  metadata.add("i8", std::int8_t{-3});
  metadata.add("u16", std::uint16_t{60'000});
  metadata.add("i16", std::int16_t{-30'000});
  metadata.add("u32", std::uint32_t{4'000'000'000});
  metadata.add("i32", std::int32_t{-5});
  metadata.add("f32", 0.5F);
  metadata.add("bool", true);
  metadata.add("text", "β\n");
  metadata.add("u64", std::uint64_t{1} << 63U);
  metadata.add("i64", std::numeric_limits<std::int64_t>::min());
  metadata.add("f64", 0.1);
  metadata.add_list<std::string_view>("tokens", tokens);
  metadata.add_list<std::int32_t>("kinds", kinds);
  metadata.add_list<float>("scores", scores);
  metadata.add_list<bool>("flags", flags);
  metadata.add_list<std::string_view>("none", {});
  Writer(path, metadata, {}, Replace::no).finish();
  const Reader reader(path);
  const auto& read = reader.metadata();
  EXPECT_EQ(read.entries().size(), metadata.count());
  EXPECT_EQ(read.integer("u8"), 200);
  EXPECT_EQ(read.integer("i8"), -3);
  EXPECT_EQ(read.integer("u16"), 60'000);
  EXPECT_EQ(read.integer("i16"), -30'000);
  EXPECT_EQ(read.integer("u32"), 4'000'000'000);
  EXPECT_EQ(read.integer("i32"), -5);
  EXPECT_EQ(read.number("f32"), 0.5);
  EXPECT_EQ(read.boolean("bool"), true);
  EXPECT_EQ(read.text("text"), "β\n");
  EXPECT_EQ(read.find("u64")->type, detail::gguf::ValueType::u64);
  EXPECT_EQ(read.integer("i64"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(read.number("f64"), 0.1);
  EXPECT_EQ(read.texts("tokens"), (std::vector<std::string_view>{"<s>", "", "\xFF"}));
  EXPECT_EQ(read.integers("kinds"), (std::vector<std::int64_t>{3, -1}));
  EXPECT_EQ(read.numbers("scores"), (std::vector<double>{-0.5}));
  EXPECT_EQ(type_of(*read.find("flags")), "array of bool");
  EXPECT_EQ(read.texts("none"), (std::vector<std::string_view>{}));
}

/// The file that a copy of all keys and tensors makes.
std::string copy_of(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Reader reader(from);
  MetadataBuilder metadata;
  for (const KeyValue& key : reader.metadata().entries()) metadata.copy(key);
  Writer writer(to, metadata, reader.tensors(), Replace::yes);
  for (const Entry& tensor : reader.tensors()) writer.write(tensor.name, reader.bytes(tensor));
  writer.finish();
  return read_file(to);
}

TEST_F(GgufWriterTest, CopiesFilesByteForByte) {
  for (const std::uint32_t alignment : {8U, 32U, 64U}) {
    SCOPED_TRACE(alignment);
    const auto up = [&](std::uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
    const std::uint64_t scalar = up(54);
    const std::uint64_t wide = scalar + up(4);
    RawGguf file{.keys = {gguf_key("z", 9, gguf_array(9, 1, gguf_array(8, 1, gguf_text("\xFF")))),
                          gguf_key("general.quantization_version", 4, le<std::uint32_t>(2)),
                          gguf_key("general.alignment", 4, le(alignment)), gguf_key("a", 7, "\x01")},
                 .rows = {gguf_row("packed", {256}, 34, 0), gguf_row("scalar", {}, 0, scalar),
                          gguf_row("wide", {64, 2, 1, 1}, 42, wide)},
                 .zeros = wide + up(36),
                 .alignment = alignment};
    std::string bytes = file.bytes();
    for (const std::uint64_t at : {std::uint64_t{0}, scalar, wide}) bytes[bytes.size() - file.zeros + at] = 'x';
    write_file(dir / "in.gguf", bytes);
    EXPECT_EQ(to_hex(bytes_of(copy_of(dir / "in.gguf", path))), to_hex(bytes_of(bytes)));
  }
}

TEST_F(GgufWriterTest, TheSameInputGivesTheSameBytes) {
  MetadataBuilder metadata;
  metadata.add("b", "1");
  metadata.add("a", "2");
  for (const char* name : {"one.gguf", "two.gguf"}) {
    Writer writer(dir / name, metadata, pair(), Replace::no);
    write_pair(writer);
    writer.finish();
  }
  EXPECT_EQ(read_file(dir / "one.gguf"), read_file(dir / "two.gguf"));
  EXPECT_EQ(Reader(dir / "one.gguf").metadata().entries()[0].key, "b") << "keys stay in their order";
}

TEST_F(GgufWriterTest, KnowsTheSizeBeforehand) {
  MetadataBuilder metadata;
  metadata.add("a", "text");
  for (const std::vector<Entry>& entries : {std::vector<Entry>{}, pair()}) {
    Writer writer(path, metadata, entries, Replace::yes);
    if (!entries.empty()) write_pair(writer);
    writer.finish();
    EXPECT_EQ(Writer::file_bytes(metadata, entries), std::filesystem::file_size(path));
    EXPECT_EQ(std::filesystem::file_size(path) % 32, 0U);
  }
  EXPECT_GT(Writer::file_bytes(metadata, {entry("w", "f32", {1 << 20, 1 << 20})}), 1ULL << 42U);
}

TEST_F(GgufWriterTest, LeavesNothingWithoutFinish) {
  {
    Writer writer(path, MetadataBuilder(), pair(), Replace::no);
    writer.write("w", bytes_of("wwwwwwwwwwwwwwwwwwwwwwww"));
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_BNQ_ERROR(writer.finish(), ErrorKind::invalid_argument, path.string(), "'b'", "not written");
  }
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(GgufWriterTest, LeavesAnOldFileWholeUntilFinish) {
  write_file(path, "old");
  EXPECT_BNQ_ERROR(Writer(path, MetadataBuilder(), pair(), Replace::no), ErrorKind::exists, path.string());
  Writer writer(path, MetadataBuilder(), pair(), Replace::yes);
  write_pair(writer);
  EXPECT_EQ(read_file(path), "old");
  writer.finish();
  EXPECT_EQ(Reader(path).tensors().size(), 2U);
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(GgufWriterTest, SaysWhenThereIsNoSpace) {
  EXPECT_BNQ_ERROR(Writer(path, MetadataBuilder(), {entry("w", "i8", {1LL << 50})}, Replace::no), ErrorKind::io,
                   path.string());
  EXPECT_BNQ_ERROR(Writer(dir / "none/model.gguf", MetadataBuilder(), {}, Replace::no), ErrorKind::io, "folder");
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(GgufWriterTest, RefusesBytesThatDoNotFit) {
  Writer writer(path, MetadataBuilder(), pair(), Replace::no);
  EXPECT_BNQ_ERROR(writer.write("x", {}), ErrorKind::invalid_argument, "'x'", "declared");
  EXPECT_BNQ_ERROR(writer.write("b", bytes_of("bbbbb")), ErrorKind::invalid_argument, "'b'", "got 5, need 6");
  EXPECT_BNQ_ERROR(writer.write("b", bytes_of("bbbbbbb")), ErrorKind::invalid_argument, "'b'", "got 7, need 6");
  writer.write("b", bytes_of("bbbbbb"));
  EXPECT_BNQ_ERROR(writer.write("b", bytes_of("bbbbbb")), ErrorKind::invalid_argument, "'b'", "before");
}

TEST_F(GgufWriterTest, RefusesWhatGgufCannotHold) {
  constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  const auto refused = [&](std::vector<Entry> entries, std::string_view fragment) {
    EXPECT_BNQ_ERROR(Writer(path, MetadataBuilder(), std::move(entries), Replace::no), ErrorKind::invalid_argument,
                     path.string(), fragment);
  };
  refused({entry("", "f32", {1})}, "empty");
  refused({entry(std::string(64, 'n'), "f32", {1})}, "64 bytes, need 63");
  refused({entry("a\xFF", "f32", {1})}, "UTF-8");
  refused({entry(std::string("a\0b", 3), "f32", {1})}, "zero");
  refused({entry("a", "f32", {1}), entry("a", "f16", {2})}, "twice");
  refused({entry("a", "no such type", {1})}, "no type");
  refused({entry("a", "f32", {1, 1, 1, 1, 1})}, "[1, 1, 1, 1, 1]");
  refused({entry("a", "f32", {4, 0})}, "[4, 0]");
  refused({entry("a", "f32", {-1})}, "[-1]");
  refused({entry("a", "f32", {largest})}, "2^63");
  refused({entry("a", "i8", {largest / 2}), entry("b", "i8", {largest / 2}), entry("c", "i8", {64})}, "2^63");
  refused({entry("a", "i8", {largest - 31})}, "2^63");
  refused({entry("a", "tq2_0", {256, 2})}, "multiples of 256");
  refused({entry("a", "tq2_0", {2, 256})}, "general.quantization_version");
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(GgufWriterTest, RefusesKeysThatGgufCannotHold) {
  MetadataBuilder metadata("out.gguf");
  metadata.add("a", std::uint8_t{1});
  const std::string before = metadata.bytes();
  EXPECT_BNQ_ERROR(metadata.add("a", std::uint8_t{1}), ErrorKind::invalid_argument, "out.gguf", "'a'", "twice");
  EXPECT_BNQ_ERROR(metadata.add("", "x"), ErrorKind::invalid_argument, "empty");
  EXPECT_BNQ_ERROR(metadata.add(std::string(65'536, 'k'), "x"), ErrorKind::invalid_argument, "65536");
  EXPECT_BNQ_ERROR(metadata.add("a\xFF", "x"), ErrorKind::invalid_argument, "UTF-8");
  EXPECT_BNQ_ERROR(metadata.add("general.alignment", "32"), ErrorKind::invalid_argument, "string");
  EXPECT_BNQ_ERROR(metadata.add("general.alignment", std::uint64_t{32}), ErrorKind::invalid_argument, "u64");
  EXPECT_BNQ_ERROR(metadata.add("general.alignment", std::uint32_t{48}), ErrorKind::invalid_argument, "48");
  EXPECT_BNQ_ERROR(metadata.add("general.alignment", std::uint32_t{4}), ErrorKind::invalid_argument, "4");
  EXPECT_EQ(metadata.bytes(), before) << "what is refused leaves nothing behind";
  EXPECT_EQ(metadata.count(), 1U);
  metadata.add("general.alignment", std::uint32_t{64});
  EXPECT_EQ(metadata.alignment(), 64U);
  EXPECT_TRUE(metadata.holds("general.alignment"));
}

}  // namespace
}  // namespace bnq::test
