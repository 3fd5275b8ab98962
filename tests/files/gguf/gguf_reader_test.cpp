#include "io/gguf/reader.h"
#include "raw_gguf.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace bnq::test {
namespace {

using detail::gguf::Entry;
using detail::gguf::KeyValue;
using detail::gguf::Metadata;
using detail::gguf::Reader;

/// Every way to take a value out: each gives it, or says that it is of another type.
void take_out(const Metadata& metadata, const KeyValue& entry) {
  const auto take = [&](auto getter) {
    try {
      EXPECT_TRUE((metadata.*getter)(entry.key).has_value());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_content) << error.what();
    }
  };
  take(&Metadata::text);
  take(&Metadata::integer);
  take(&Metadata::number);
  take(&Metadata::boolean);
  take(&Metadata::texts);
  take(&Metadata::integers);
  take(&Metadata::numbers);
}

/// What the reader says of a file: nothing, or the message of its `bad_content`. Another exception ends the test.
std::optional<std::string> refusal_of(const std::filesystem::path& path) {
  try {
    const Reader reader(path);
    for (const Entry& entry : reader.tensors()) {  // whatever is believed must be there to be read
      unsigned sum = 0;
      for (const std::byte byte : reader.bytes(entry)) sum += std::to_integer<unsigned>(byte);
      EXPECT_LE(sum, 255U * entry.nbytes);
      EXPECT_EQ(reader.find(entry.name), &entry);
      if (entry.type->dtype) {
        EXPECT_EQ(reader.view(entry).shape(), entry.shape);
      }
    }
    std::size_t keys = 0;
    for (const KeyValue& entry : reader.metadata().entries()) {
      if (++keys > 1000) break;
      EXPECT_EQ(reader.metadata().find(entry.key)->at, entry.at);
      take_out(reader.metadata(), entry);
    }
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_content) << error.what();
    return error.what();
  }
}

bool is_printable(const std::string& text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

class BrokenGgufTest : public ::testing::TestWithParam<BrokenFile> {};

TEST_P(BrokenGgufTest, IsRefusedInWords) {
  constexpr std::size_t longest_message = 1500;  // bytes; a name from the file may be long
  const TempDir dir;
  const std::filesystem::path path = dir / "broken.gguf";
  write_file(path, GetParam().bytes());
  const auto start = std::chrono::steady_clock::now();
  const std::optional<std::string> message = refusal_of(path);
  // None takes 0.2 s; sanitizers and emulators are given more.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  ASSERT_TRUE(message.has_value()) << "the reader believes it";
  EXPECT_NE(message->find(path.string()), std::string::npos) << *message;
  EXPECT_NE(message->find("byte "), std::string::npos) << *message;
  for (const std::string& fragment : GetParam().fragments) {
    EXPECT_NE(message->find(fragment), std::string::npos) << "lacks '" << fragment << "': " << *message;
  }
  EXPECT_TRUE(is_printable(*message)) << *message;
  EXPECT_LT(message->size(), longest_message);
}

constexpr auto name_of = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Start, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_starts()), name_of);
INSTANTIATE_TEST_SUITE_P(Key, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_keys()), name_of);
INSTANTIATE_TEST_SUITE_P(Giant, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_giants()), name_of);
INSTANTIATE_TEST_SUITE_P(Value, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_values()), name_of);
INSTANTIATE_TEST_SUITE_P(Row, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_rows()), name_of);
INSTANTIATE_TEST_SUITE_P(Type, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_types()), name_of);
INSTANTIATE_TEST_SUITE_P(Placement, BrokenGgufTest, ::testing::ValuesIn(broken_gguf_placements()), name_of);

class LegalGgufTest : public ::testing::TestWithParam<LegalFile> {};

TEST_P(LegalGgufTest, IsRead) {
  const TempDir dir;
  const std::filesystem::path path = dir / "legal.gguf";
  write_file(path, GetParam().bytes());
  EXPECT_EQ(refusal_of(path), std::nullopt);
  const Reader reader(path);
  EXPECT_EQ(reader.tensors().size(), GetParam().tensors);
  EXPECT_EQ(reader.metadata().entries().size(), GetParam().metadata);
  EXPECT_EQ(reader.file_bytes(), GetParam().bytes().size());
  EXPECT_EQ(reader.path(), path);
  EXPECT_EQ(reader.find("no such tensor"), nullptr);
  EXPECT_EQ(reader.metadata().find("no such key"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Legal, LegalGgufTest, ::testing::ValuesIn(legal_gguf_files()), name_of);

constexpr std::uint32_t type_u8 = 0, type_i16 = 3, type_u32 = 4, type_f32 = 6, type_bool = 7, type_string = 8,
                        type_array = 9, type_u64 = 10, type_i64 = 11, type_f64 = 12;

class GgufReaderTest : public TempDirTest {
 protected:
  /// A new file: some file systems flush to the disk whenever an old one is written over, which takes milliseconds.
  void write_anew(const std::string& bytes) const {
    std::filesystem::remove(path);
    write_file(path, bytes);
  }

  std::filesystem::path path = dir / "model.gguf";
};

/// Two tensors and metadata; every part of the header is there to be damaged.
RawGguf small_file() {
  return {.keys = {gguf_key("general.architecture", type_string, gguf_text("bitnet")),
                   gguf_key("tokens", type_array, gguf_array(type_string, 2, gguf_text("<s>") + gguf_text("a"))),
                   gguf_key("on", type_bool, "\x01")},
          .rows = {gguf_row("w", {256, 2}, 35, 0), gguf_row("b", {3}, 1, 160)},
          .zeros = 160 + 6};
}

TEST_F(GgufReaderTest, GivesEachTensorItsBytes) {
  RawGguf raw{.rows = {gguf_row("w.weight", {4, 3}, 1, 0), gguf_row("packed", {256, 2}, 35, 32)}, .data_bytes = 164};
  const std::string file = [&] {
    std::string bytes = raw.bytes();
    bytes.replace(bytes.size() - 164 + 24, 8, 8, '\0');  // between the two
    return bytes;
  }();
  write_file(path, file);
  const Reader reader(path);
  ASSERT_EQ(reader.tensors().size(), 2U);
  const Entry& w = reader.tensors()[0];
  EXPECT_EQ(w.name, "w.weight");
  EXPECT_EQ(w.type->name, "f16");
  EXPECT_EQ(w.shape, (Shape{3, 4}));
  EXPECT_EQ(w.offset, 0U);
  EXPECT_EQ(w.nbytes, 24U);
  EXPECT_EQ(reader.view(w).dtype(), DType::f16);
  EXPECT_EQ(reader.view(w).shape(), (Shape{3, 4}));
  const Entry* packed = reader.find("packed");
  ASSERT_NE(packed, nullptr);
  EXPECT_EQ(packed->type->name, "tq2_0");
  EXPECT_EQ(packed->shape, (Shape{2, 256}));
  EXPECT_EQ(packed->offset, 32U);
  EXPECT_EQ(packed->nbytes, 132U);
  EXPECT_EQ(reader.bytes(*packed).data() - reader.bytes(w).data(), 32);
  EXPECT_EQ(reader.bytes(*packed)[0], std::byte{32});
  EXPECT_EQ(reader.head().size() + 164, reader.file_bytes());
  EXPECT_BNQ_ERROR(reader.view(*packed), ErrorKind::unsupported, path.string(), "'packed'", "tq2_0");
  EXPECT_BNQ_ERROR(reader.bytes({.offset = 164, .nbytes = 1}), ErrorKind::invalid_argument, "another file");
}

TEST_F(GgufReaderTest, OrdersTensorsByTheirBytes) {
  write_file(path, RawGguf{.rows = {gguf_row("a", {8}, 0, 64), gguf_row("b", {8}, 0, 0), gguf_row("c", {8}, 0, 32)},
                           .data_bytes = 96}
                       .bytes());
  const Reader reader(path);
  std::string names;
  for (const Entry& entry : reader.tensors()) names += entry.name;
  EXPECT_EQ(names, "bca");
}

TEST_F(GgufReaderTest, TellsTypesOfOneIdBySize) {
  for (const auto& [name, nbytes] : {std::pair("q2_0", 576), {"pq2_0", 544}, {"stq1_0", 336}}) {
    SCOPED_TRACE(name);
    RawGguf file{.rows = {gguf_row("a", {512, 4}, 42, 0)}, .zeros = static_cast<std::size_t>(nbytes)};
    write_anew(file.bytes());
    EXPECT_EQ(Reader(path).tensors()[0].type->name, name);
  }
}

TEST_F(GgufReaderTest, ATensorMayBeToldByAnother) {
  write_file(
      path, RawGguf{.rows = {gguf_row("a", {256}, 42, 0), gguf_row("b", {512, 4}, 42, 96)}, .zeros = 96 + 544}.bytes());
  const Reader reader(path);
  EXPECT_EQ(reader.tensors()[0].type->name, "pq2_0");
  EXPECT_EQ(reader.tensors()[0].nbytes, 68U);
}

TEST_F(GgufReaderTest, TakesTheCallersWordWhereSizesDoNotTell) {
  write_file(path, RawGguf{.rows = {gguf_row("a", {256}, 42, 0)}, .zeros = 96}.bytes());
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::bad_content, "'a'", "id 42", "q2_0, pq2_0", "--gguf-type");
  EXPECT_EQ(Reader(path, {.types = {"q2_0"}}).tensors()[0].nbytes, 72U);
  EXPECT_EQ(Reader(path, {.types = {"pq2_0"}}).tensors()[0].nbytes, 68U);
  EXPECT_EQ(Reader(path, {.types = {"tq2_0", "pq2_0"}}).tensors()[0].nbytes, 68U);
  EXPECT_BNQ_ERROR(Reader(path, {.types = {"stq1_0"}}), ErrorKind::bad_content, "'a'", "stq1_0 (42)", "42");
  EXPECT_BNQ_ERROR(Reader(path, {.types = {"tq2_0"}}), ErrorKind::bad_content, "id 42");
  EXPECT_BNQ_ERROR(Reader(path, {.types = {"q3"}}), ErrorKind::invalid_argument, "'q3'");
}

TEST_F(GgufReaderTest, Reads42AsQ20WhereBnqWroteIt) {
  const std::string key = gguf_key("bnq.version", type_u8, "\x01");
  write_file(path, RawGguf{.keys = {key}, .rows = {gguf_row("a", {256}, 42, 0)}, .zeros = 96}.bytes());
  EXPECT_EQ(Reader(path).tensors()[0].nbytes, 72U);
  EXPECT_EQ(Reader(path, {.types = {"pq2_0"}}).tensors()[0].nbytes, 68U);
}

TEST_F(GgufReaderTest, TakesValuesOutByType) {
  const auto list = [](std::uint32_t type, std::uint64_t count, const std::string& elements) {
    return gguf_array(type, count, elements);
  };
  write_file(
      path,
      RawGguf{.keys = {gguf_key("u8", type_u8, "\xFE"), gguf_key("i16", type_i16, le<std::int16_t>(-2)),
                       gguf_key("u32", type_u32, le<std::uint32_t>(4'000'000'000)),
                       gguf_key("i64", type_i64, le<std::int64_t>(-5)),
                       gguf_key("large", type_u64, le(std::uint64_t{1} << 63U)), gguf_key("f32", type_f32, le(0.5F)),
                       gguf_key("f64", type_f64, le(0.1)), gguf_key("yes", type_bool, "\x01"),
                       gguf_key("no", type_bool, std::string(1, '\0')),
                       gguf_key("text", type_string, gguf_text("bitnet")),
                       gguf_key("texts", type_array, list(type_string, 2, gguf_text("") + gguf_text("\xFF"))),
                       gguf_key("integers", type_array, list(type_i16, 2, le<std::int16_t>(7) + le<std::int16_t>(-7))),
                       gguf_key("numbers", type_array, list(type_f32, 2, le(1.5F) + le(-2.0F))),
                       gguf_key("lists", type_array, list(type_array, 1, list(type_u8, 1, "x")))}}
          .bytes());
  const Reader reader(path);
  const Metadata& metadata = reader.metadata();
  EXPECT_EQ(metadata.integer("u8"), 254);
  EXPECT_EQ(metadata.integer("i16"), -2);
  EXPECT_EQ(metadata.integer("u32"), 4'000'000'000);
  EXPECT_EQ(metadata.integer("i64"), -5);
  EXPECT_EQ(metadata.number("f32"), 0.5);
  EXPECT_EQ(metadata.number("f64"), 0.1);
  EXPECT_EQ(metadata.boolean("yes"), true);
  EXPECT_EQ(metadata.boolean("no"), false);
  EXPECT_EQ(metadata.text("text"), "bitnet");
  EXPECT_EQ(metadata.texts("texts"), (std::vector<std::string_view>{"", "\xFF"}));
  EXPECT_EQ(metadata.integers("integers"), (std::vector<std::int64_t>{7, -7}));
  EXPECT_EQ(metadata.numbers("numbers"), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(metadata.text("absent"), std::nullopt);
  EXPECT_EQ(metadata.texts("absent"), std::nullopt);
  EXPECT_EQ(metadata.entries()[0].key, "u8");
  EXPECT_BNQ_ERROR(metadata.integer("large"), ErrorKind::bad_content, path.string(), "'large'", "u64", "2^63");
  EXPECT_BNQ_ERROR(metadata.integer("text"), ErrorKind::bad_content, "'text'", "string", "integer");
  EXPECT_BNQ_ERROR(metadata.integer("yes"), ErrorKind::bad_content, "'yes'", "bool");
  EXPECT_BNQ_ERROR(metadata.text("texts"), ErrorKind::bad_content, "'texts'", "array of string");
  EXPECT_BNQ_ERROR(metadata.texts("text"), ErrorKind::bad_content, "'text'", "array of strings");
  EXPECT_BNQ_ERROR(metadata.texts("integers"), ErrorKind::bad_content, "array of i16");
  EXPECT_BNQ_ERROR(metadata.integers("numbers"), ErrorKind::bad_content, "array of f32");
  EXPECT_BNQ_ERROR(metadata.integers("texts"), ErrorKind::bad_content, "array of string");
  EXPECT_BNQ_ERROR(metadata.integers("lists"), ErrorKind::bad_content, "array of array");
  EXPECT_BNQ_ERROR(metadata.numbers("integers"), ErrorKind::bad_content, "array of i16");
  EXPECT_BNQ_ERROR(metadata.boolean("u8"), ErrorKind::bad_content, "'u8'", "bool");
}

TEST_F(GgufReaderTest, RefusesToTakeOutAListThatIsTooLong) {
  const std::uint64_t count = detail::gguf::most_elements + 1;
  write_file(
      path, RawGguf{.keys = {gguf_key("a", type_array, gguf_array(type_u8, count, std::string(count, '\1')))}}.bytes());
  EXPECT_BNQ_ERROR(Reader(path).metadata().integers("a"), ErrorKind::bad_content, "'a'", std::to_string(count));
}

TEST_F(GgufReaderTest, KeepsDataAliveByItsOwner) {
  write_file(path, RawGguf{.rows = {gguf_row("b", {8}, 0, 0)}, .data_bytes = 32}.bytes());
  auto reader = std::make_unique<Reader>(path);
  const std::span<const std::byte> bytes = reader->bytes(reader->tensors()[0]);
  const std::shared_ptr<const void> owner = reader->owner();
  reader.reset();
  std::filesystem::remove(path);
  EXPECT_EQ(std::to_integer<int>(bytes[31]), 31);
}

TEST_F(GgufReaderTest, ReadsReleasedTensorsAgain) {
  write_file(path, RawGguf{.rows = {gguf_row("b", {100'000}, 0, 0)}, .data_bytes = 400'000}.bytes());
  const Reader reader(path);
  const std::span<const std::byte> bytes = reader.bytes(reader.tensors()[0]);
  const std::byte before = bytes[200'000];
  reader.release(reader.tensors()[0]);
  reader.release({.offset = ~std::uint64_t{0}, .nbytes = 1});
  EXPECT_EQ(bytes[200'000], before);
}

TEST_F(GgufReaderTest, RefusesEveryTruncation) {
  const std::string file = small_file().bytes();
  for (std::size_t size = 0; size < file.size(); ++size) {
    SCOPED_TRACE("cut to " + std::to_string(size) + " bytes");
    write_anew(file.substr(0, size));
    EXPECT_NE(refusal_of(path), std::nullopt);
  }
  write_anew(file);
  EXPECT_EQ(refusal_of(path), std::nullopt);
}

TEST_F(GgufReaderTest, SurvivesEveryChangedHeaderByte) {
  const std::string file = small_file().bytes();
  const std::size_t header = small_file().head().size();
  const std::string values("\0\x01\x02\x07\x08\x09\x0C\x0D\x20\x7F\x80\xFF", 12);
  for (std::size_t at = 0; at < header; ++at) {
    for (const char value : values) {
      std::string changed = file;
      changed[at] = value;
      write_anew(changed);
      (void)refusal_of(path);  // either is fine; a crash, another exception or a wild read is not
      if (HasFailure()) FAIL() << "byte " << at << " changed to " << static_cast<int>(value);
    }
  }
}

TEST_F(GgufReaderTest, SurvivesRandomDamage) {
  Random random(711);
  SCOPED_TRACE(random.describe());
  const std::string file = small_file().bytes();
  for (std::int64_t round = 0; round < scaled(3000); ++round) {
    std::string changed = file;
    for (std::int64_t hits = random.integer(1, 4); hits > 0; --hits) {
      const auto at = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(changed.size()) - 1));
      const std::int64_t kind = random.integer(0, 2);
      if (kind == 0) changed[at] = static_cast<char>(random.integer(0, 127));
      if (kind == 1) changed.erase(at, static_cast<std::size_t>(random.integer(1, 8)));
      if (kind == 2) changed.insert(at, changed, at / 2, static_cast<std::size_t>(random.integer(1, 9)));
    }
    write_anew(changed);
    (void)refusal_of(path);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST_F(GgufReaderTest, RefusesWhatIsNoFile) {
  EXPECT_BNQ_ERROR(Reader(dir.path()), ErrorKind::io, dir.path().string(), "folder");
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::io, path.string(), "No such file");
}

}  // namespace
}  // namespace bnq::test
