#include "raw_file.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <bnq/safetensors.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace bnq::test {
namespace {

using safetensors::Entry;
using safetensors::Reader;

/// What the reader says of a file: nothing, or the message of its `bad_content`. Another exception ends the test.
std::optional<std::string> refusal_of(const std::filesystem::path& path) {
  try {
    const Reader reader(path);
    for (const Entry& entry : reader.tensors()) {  // whatever is believed must be there to be read
      unsigned sum = 0;
      for (const std::byte byte : reader.bytes(entry)) sum += std::to_integer<unsigned>(byte);
      EXPECT_LE(sum, 255U * entry.nbytes);
      EXPECT_EQ(reader.view(entry).shape(), entry.shape);
      EXPECT_EQ(reader.find(entry.name), &entry);
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

class BrokenFileTest : public ::testing::TestWithParam<BrokenFile> {};

TEST_P(BrokenFileTest, IsRefusedInWords) {
  constexpr std::size_t longest_message = 1500;  // bytes; a name from the file may be megabytes
  const TempDir dir;
  const std::filesystem::path path = dir / "broken.safetensors";
  write_file(path, GetParam().bytes());
  const std::optional<std::string> message = refusal_of(path);
  ASSERT_TRUE(message.has_value()) << "the reader believes it";
  EXPECT_NE(message->find(path.string()), std::string::npos) << *message;
  for (const std::string& fragment : GetParam().fragments) {
    EXPECT_NE(message->find(fragment), std::string::npos) << "lacks '" << fragment << "': " << *message;
  }
  EXPECT_TRUE(is_printable(*message)) << *message;
  EXPECT_LT(message->size(), longest_message);
}

constexpr auto name_of = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Prefix, BrokenFileTest, ::testing::ValuesIn(broken_prefixes()), name_of);
INSTANTIATE_TEST_SUITE_P(Json, BrokenFileTest, ::testing::ValuesIn(broken_json()), name_of);
INSTANTIATE_TEST_SUITE_P(Text, BrokenFileTest, ::testing::ValuesIn(broken_text()), name_of);
INSTANTIATE_TEST_SUITE_P(Entry, BrokenFileTest, ::testing::ValuesIn(broken_entries()), name_of);
INSTANTIATE_TEST_SUITE_P(Number, BrokenFileTest, ::testing::ValuesIn(broken_numbers()), name_of);
INSTANTIATE_TEST_SUITE_P(Range, BrokenFileTest, ::testing::ValuesIn(broken_ranges()), name_of);

class LegalFileTest : public ::testing::TestWithParam<LegalFile> {};

TEST_P(LegalFileTest, IsRead) {
  const TempDir dir;
  const std::filesystem::path path = dir / "legal.safetensors";
  write_file(path, GetParam().bytes());
  EXPECT_EQ(refusal_of(path), std::nullopt);
  const Reader reader(path);
  EXPECT_EQ(reader.tensors().size(), GetParam().tensors);
  EXPECT_EQ(reader.metadata().size(), GetParam().metadata);
  EXPECT_EQ(reader.file_bytes(), GetParam().bytes().size());
  EXPECT_EQ(reader.path(), path);
  EXPECT_EQ(reader.find("no such tensor"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Legal, LegalFileTest, ::testing::ValuesIn(legal_files()), name_of);

class ReaderTest : public TempDirTest {
 protected:
  /// A new file: some file systems flush to the disk whenever an old one is written over, which takes milliseconds.
  void write_anew(const std::string& bytes) const {
    std::filesystem::remove(path);
    write_file(path, bytes);
  }

  std::filesystem::path path = dir / "model.safetensors";
};

/// Two tensors and metadata; every part of the header is there to be damaged.
std::string small_file() {
  return raw_file("{" + raw_entry("w.weight", "F16", "[2,3]", "[0,12]") + "," + raw_entry("b", "U8", "[3]", "[12,15]") +
                      R"(,"__metadata__":{"format":"pt"}})",
                  15);
}

TEST_F(ReaderTest, GivesEachTensorItsBytes) {
  const std::string file = small_file();
  write_file(path, file);
  const Reader reader(path);
  ASSERT_EQ(reader.tensors().size(), 2U);
  const Entry& w = reader.tensors()[0];
  EXPECT_EQ(w.name, "w.weight");
  EXPECT_EQ(w.dtype, DType::f16);
  EXPECT_EQ(w.shape, (Shape{2, 3}));
  EXPECT_EQ(w.offset, 0U);
  EXPECT_EQ(w.nbytes, 12U);
  const Entry* b = reader.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->offset, 12U);
  EXPECT_EQ(reader.metadata(), (safetensors::Metadata{{"format", "pt"}}));
  const std::string data = file.substr(file.size() - 15);
  EXPECT_EQ(std::memcmp(reader.bytes(w).data(), data.data(), 12), 0);
  EXPECT_EQ(std::memcmp(reader.bytes(*b).data(), data.data() + 12, 3), 0);
}

TEST_F(ReaderTest, OrdersTensorsByTheirBytes) {
  write_file(path, raw_file("{" + raw_entry("a", "U8", "[1]", "[2,3]") + "," + raw_entry("b", "U8", "[1]", "[0,1]") +
                                "," + raw_entry("c", "U8", "[1]", "[1,2]") + "}",
                            3));
  const Reader reader(path);
  std::string names;
  for (const Entry& entry : reader.tensors()) names += entry.name;
  EXPECT_EQ(names, "bca");
}

TEST_F(ReaderTest, ReadsEveryDtype) {
  const std::vector<std::pair<std::string, DType>> dtypes{{"F64", DType::f64},
                                                          {"F32", DType::f32},
                                                          {"F16", DType::f16},
                                                          {"BF16", DType::bf16},
                                                          {"I64", DType::i64},
                                                          {"U64", DType::u64},
                                                          {"I32", DType::i32},
                                                          {"U32", DType::u32},
                                                          {"I16", DType::i16},
                                                          {"U16", DType::u16},
                                                          {"I8", DType::i8},
                                                          {"U8", DType::u8},
                                                          {"BOOL", DType::boolean},
                                                          {"F8_E4M3", DType::f8_e4m3},
                                                          {"F8_E5M2", DType::f8_e5m2},
                                                          {"F8_E8M0", DType::f8_e8m0},
                                                          {"C64", DType::c64},
                                                          {"F8_E4M3FNUZ", DType::f8_e4m3fnuz},
                                                          {"F8_E5M2FNUZ", DType::f8_e5m2fnuz}};
  for (const auto& [text, dtype] : dtypes) {
    SCOPED_TRACE(text);
    const std::size_t bytes = size_bytes(dtype) * 3;
    write_anew(raw_file("{" + raw_entry("t", text, "[3]", "[0," + std::to_string(bytes) + "]") + "}", bytes));
    const Reader reader(path);
    EXPECT_EQ(reader.tensors()[0].dtype, dtype);
    EXPECT_EQ(reader.tensors()[0].nbytes, bytes);
  }
}

TEST_F(ReaderTest, KeepsDataAliveByItsOwner) {
  write_file(path, small_file());
  auto reader = std::make_unique<Reader>(path);
  const std::span<const std::byte> bytes = reader->bytes(reader->tensors()[1]);
  const std::shared_ptr<const void> owner = reader->owner();
  reader.reset();
  std::filesystem::remove(path);
  EXPECT_EQ(std::to_integer<int>(bytes[2]), 14);
}

TEST_F(ReaderTest, CopiesShareTheMapping) {
  write_file(path, small_file());
  auto reader = std::make_unique<Reader>(path);
  const Reader copy = *reader;
  reader.reset();
  EXPECT_EQ(std::to_integer<int>(copy.bytes(copy.tensors()[1])[0]), 12);
}

TEST_F(ReaderTest, ReadsTheOldFileWhileItIsReplaced) {
  write_file(path, small_file());
  const Reader reader(path);
  std::string other = small_file();
  other.back() = '\x7F';
  write_file(dir / "other", other);
  std::filesystem::rename(dir / "other", path);
  EXPECT_EQ(std::to_integer<int>(reader.bytes(reader.tensors()[1])[2]), 14);
  EXPECT_EQ(std::to_integer<int>(Reader(path).bytes(reader.tensors()[1])[2]), 0x7F);
}

TEST_F(ReaderTest, RefusesEveryTruncation) {
  const std::string file = small_file();
  for (std::size_t size = 0; size < file.size(); ++size) {
    SCOPED_TRACE("cut to " + std::to_string(size) + " bytes");
    write_anew(file.substr(0, size));
    EXPECT_NE(refusal_of(path), std::nullopt);
  }
  write_file(path, file);
  EXPECT_EQ(refusal_of(path), std::nullopt);
}

TEST_F(ReaderTest, SurvivesEveryChangedHeaderByte) {
  const std::string file = small_file();
  const std::string values = std::string("\0\x01 \"\\,:[]{}09-.eE+\x7F\x80\xC3\xFF", 23);
  for (std::size_t at = 0; at < file.size() - 15; ++at) {
    for (const char value : values) {
      std::string changed = file;
      changed[at] = value;
      write_anew(changed);
      (void)refusal_of(path);  // either is fine; a crash, another exception or a wild read is not
      if (HasFailure()) FAIL() << "byte " << at << " changed to " << static_cast<int>(value);
    }
  }
}

TEST_F(ReaderTest, SurvivesRandomDamage) {
  Random random(701);
  SCOPED_TRACE(random.describe());
  const std::string file = small_file();
  for (std::int64_t round = 0; round < scaled(3000); ++round) {
    std::string changed = file;
    for (std::int64_t hits = random.integer(1, 4); hits > 0; --hits) {
      const auto at = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(changed.size()) - 1));
      const std::int64_t kind = random.integer(0, 2);
      if (kind == 0) changed[at] = static_cast<char>(random.integer(0, 127));
      if (kind == 1) changed.erase(at, static_cast<std::size_t>(random.integer(1, 3)));
      if (kind == 2) changed.insert(at, changed, at / 2, static_cast<std::size_t>(random.integer(1, 9)));
    }
    // The length is put right in half of the rounds: otherwise damage behind it is seldom looked at.
    const std::size_t header = changed.size() > 23 && random.coin() ? changed.size() - 23 : file.size() - 23;
    if (changed.size() > 8) changed = with_length(header, changed.substr(8));
    write_anew(changed);
    (void)refusal_of(path);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST_F(ReaderTest, ReadsManyTensorsQuickly) {
  for (const LegalFile& file : legal_files()) {
    if (file.name != "many_tensors") continue;
    write_file(path, file.bytes());
    const auto start = std::chrono::steady_clock::now();
    const Reader reader(path);
    for (const Entry& entry : reader.tensors()) ASSERT_NE(reader.find(entry.name), nullptr);
    // A search that looks at every tensor takes minutes; sanitizers and emulators are given twenty times what is
    // needed.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

TEST_F(ReaderTest, RefusesALongHeaderBeforeItReadsIt) {
  write_file(path, with_length(100'000'001, "{}"));
  std::filesystem::resize_file(path, 100'000'001 + 8);  // sparse
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::bad_content, path.string(), "100000001", "100000000");
}

TEST_F(ReaderTest, RefusesWhatIsNoFile) {
  EXPECT_BNQ_ERROR(Reader(dir.path()), ErrorKind::io, dir.path().string(), "folder");
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::io, path.string(), "No such file");
  EXPECT_BNQ_ERROR(Reader(path / "below"), ErrorKind::io, path.string());
  EXPECT_BNQ_ERROR(Reader(std::filesystem::path()), ErrorKind::io);
  write_file(path, small_file());
  EXPECT_BNQ_ERROR(Reader(path / "below"), ErrorKind::io, path.string());
}

TEST_F(ReaderTest, RefusesAPipeWithoutWaiting) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::io, path.string(), "regular file");
}

TEST_F(ReaderTest, RefusesDevices) {
  EXPECT_BNQ_ERROR(Reader("/dev/zero"), ErrorKind::io, "/dev/zero", "regular file");
  EXPECT_BNQ_ERROR(Reader("/dev/null"), ErrorKind::io, "/dev/null", "regular file");
}

TEST_F(ReaderTest, RefusesWhatItMayNotRead) {
  write_file(path, small_file());
  std::filesystem::permissions(dir.path(), std::filesystem::perms::all);
  std::filesystem::permissions(path, std::filesystem::perms::none);
  constexpr uid_t nobody = 65534;
  const uid_t self = geteuid();
  if (self == 0 && seteuid(nobody) != 0) GTEST_SKIP() << "root may read everything";
  EXPECT_BNQ_ERROR(Reader(path), ErrorKind::io, path.string(), "Permission denied");
  ASSERT_EQ(seteuid(self), 0);
}

TEST_F(ReaderTest, FollowsLinks) {
  write_file(path, small_file());
  std::filesystem::create_symlink(path, dir / "link");
  EXPECT_EQ(Reader(dir / "link").tensors().size(), 2U);
  std::filesystem::create_symlink(dir / "nowhere", dir / "dangling");
  EXPECT_BNQ_ERROR(Reader(dir / "dangling"), ErrorKind::io, "dangling");
  std::filesystem::create_symlink(dir / "loop", dir / "loop");
  EXPECT_BNQ_ERROR(Reader(dir / "loop"), ErrorKind::io, "loop");
}

}  // namespace
}  // namespace bnq::test
