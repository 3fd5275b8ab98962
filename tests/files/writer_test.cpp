#include "raw_file.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/safetensors.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

namespace bnq::test {
namespace {

using safetensors::Entry;
using safetensors::Metadata;
using safetensors::Reader;
using safetensors::Writer;

class WriterTest : public TempDirTest {
 protected:
  std::filesystem::path path = dir / "model.safetensors";
};

TensorMap one_of_each_dtype() {
  Random random(711);
  TensorMap tensors;
  for (int d = 0; d <= static_cast<int>(DType::c64); ++d) {
    const auto dtype = static_cast<DType>(d);
    tensors.emplace("t." + std::string(name(dtype)), noise(random, dtype, {3, 5}));
    tensors.emplace("scalar." + std::string(name(dtype)), noise(random, dtype, {}));
    tensors.emplace("empty." + std::string(name(dtype)), Tensor(dtype, {2, 0}));
  }
  return tensors;
}

TEST_F(WriterTest, RoundTripsEveryDtypeAndShape) {
  const TensorMap tensors = one_of_each_dtype();
  write_tensors(path, tensors);
  const Reader reader(path);
  ASSERT_EQ(reader.tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    SCOPED_TRACE(name);
    const Entry* const entry = reader.find(name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->dtype, tensor.dtype());
    EXPECT_EQ(entry->shape, tensor.shape());
    EXPECT_TRUE(same_bytes(reader.bytes(*entry), tensor.bytes()));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(reader.bytes(*entry).data()) % size_bytes(entry->dtype), 0U);
  }
}

// Written by the safetensors library 0.8 (numpy.save): the same tensors have to make the same file here.
TEST_F(WriterTest, WritesWhatTheReferenceLibraryWrites) {
  TensorMap tensors;
  tensors.emplace("z.weight", make_tensor(DType::f32, {2, 2}, {1, 2, 3, 4}));
  tensors.emplace("b.half", make_tensor(DType::f16, {2}, {0.5F, -2}));
  tensors.emplace("a.weight", Tensor(DType::f32, {0, 3}));
  Tensor a(DType::i64, {1});
  a.data<std::int64_t>()[0] = 7;
  tensors.emplace("a", std::move(a));
  Tensor c(DType::i8, {});
  c.data<std::int8_t>()[0] = -3;
  tensors.emplace("c", std::move(c));
  Tensor u(DType::u8, {3});
  std::ranges::copy(std::vector<std::uint8_t>{1, 2, 3}, u.data<std::uint8_t>().begin());
  tensors.emplace("u", std::move(u));
  write_tensors(path, tensors, {{"format", "pt"}});

  const std::string header = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                             R"("a.weight":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},)"
                             R"("z.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
                             R"("b.half":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},)"
                             R"("c":{"dtype":"I8","shape":[],"data_offsets":[28,29]},)"
                             R"("u":{"dtype":"U8","shape":[3],"data_offsets":[29,32]}}       )";
  const std::string data = std::string(
      "\x07\0\0\0\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0"
      "8\0\xC0\xFD\x01\x02\x03",
      32);
  EXPECT_EQ(read_file(path), with_length(0x180, header + data));
}

TEST_F(WriterTest, StartsDataAtAMultipleOfEight) {
  for (std::size_t length = 0; length < 16; ++length) {
    TensorMap tensors;
    tensors.emplace(std::string(length, 'n'), make_tensor({1, 2, 3}));
    write_tensors(path, tensors, {});
    const std::string file = read_file(path);
    const std::size_t header = file.size() - 8 - 12;
    EXPECT_EQ(header % 8, 0U);
    EXPECT_EQ(file.substr(0, 8), with_length(header, ""));
    const std::string text = file.substr(8, header);
    EXPECT_EQ(text.find_first_not_of(' ', text.rfind('}') + 1), std::string::npos);
    EXPECT_LT(header - text.rfind('}'), 9U);  // no more padding than is needed
  }
}

TEST_F(WriterTest, OrdersBySizeOfDtypeThenName) {
  TensorMap tensors;
  tensors.emplace("a.u8", Tensor(DType::u8, {1}));
  tensors.emplace("b.f16", Tensor(DType::f16, {1}));
  tensors.emplace("z.f32", Tensor(DType::f32, {1}));
  tensors.emplace("y.f32", Tensor(DType::f32, {1}));
  tensors.emplace("zz.i64", Tensor(DType::i64, {1}));
  write_tensors(path, tensors);
  const Reader reader(path);
  std::vector<std::string> names;
  for (const Entry& entry : reader.tensors()) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"zz.i64", "y.f32", "z.f32", "b.f16", "a.u8"}));
}

TEST_F(WriterTest, WritesTheSameBytesInAnyOrder) {
  const TensorMap tensors = one_of_each_dtype();
  write_tensors(path, tensors);
  std::vector<Entry> entries = entries_of(tensors);
  Random random(712);
  for (int round = 0; round < 10; ++round) {
    const std::filesystem::path other = dir / "other.safetensors";
    const auto swap = [&](std::size_t i, std::size_t j) { std::swap(entries[i], entries[j]); };
    for (std::size_t i = 1; i < entries.size(); ++i) {
      swap(i, static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i))));
    }
    Writer writer(other, entries, {{"format", "pt"}}, Writer::Replace::yes);
    std::ranges::rotate(entries, entries.begin() + round);
    for (const Entry& entry : entries) writer.write(entry.name, tensors.at(entry.name).bytes());
    writer.finish();
    EXPECT_EQ(read_file(other), read_file(path));
  }
}

TEST_F(WriterTest, RoundTripsMetadataOfAnyText) {
  const Metadata metadata{{"", "empty key"},
                          {"empty value", ""},
                          {"zero", std::string("a\0b", 3)},
                          {"escapes", "\"\\/\b\f\n\r\t\x01\x7F"},
                          {"greek", "βπ"},
                          {"face", "\xF0\x9F\x99\x82"},
                          {"json", R"({"a":[1,{"b":"c"}]})"},
                          {"long", repeated("x", 100'000)}};
  write_tensors(path, {}, metadata);
  EXPECT_EQ(Reader(path).metadata(), metadata);
}

TEST_F(WriterTest, RoundTripsNamesOfAnyText) {
  TensorMap tensors;
  for (const std::string& name : {std::string(), std::string("a\0b", 3), std::string("\"\\\n"), std::string("βπ"),
                                  std::string("\xF0\x9F\x99\x82"), std::string("../x"), repeated("n", 10'000)}) {
    tensors.emplace(name, make_tensor({1}));
  }
  write_tensors(path, tensors);
  const Reader reader(path);
  for (const auto& [name, tensor] : tensors) EXPECT_NE(reader.find(name), nullptr);
}

TEST_F(WriterTest, WritesAFileWithoutTensors) {
  write_tensors(path, {}, {});
  EXPECT_EQ(read_file(path), raw_file("{}      "));
}

TEST_F(WriterTest, KnowsTheSizeBeforehand) {
  const TensorMap tensors = one_of_each_dtype();
  for (const Metadata& metadata : {Metadata{}, Metadata{{"format", "pt"}}, Metadata{{"β", "\n"}, {"a", "b"}}}) {
    write_tensors(path, tensors, metadata);
    EXPECT_EQ(Writer::file_bytes(entries_of(tensors), metadata), std::filesystem::file_size(path));
    write_tensors(path, {}, metadata);
    EXPECT_EQ(Writer::file_bytes({}, metadata), std::filesystem::file_size(path));
  }
  EXPECT_GT(Writer::file_bytes({{.name = "w", .dtype = DType::f32, .shape = {1 << 20, 1 << 20}}}, {}), 1ULL << 42U);
}

TEST_F(WriterTest, IgnoresOffsetsThatWereGiven) {
  TensorMap tensors;
  tensors.emplace("w", make_tensor({1, 2}));
  std::vector<Entry> entries = entries_of(tensors);
  entries[0].offset = 12345;
  entries[0].nbytes = 1;
  Writer writer(path, entries, {}, Writer::Replace::no);
  writer.write("w", tensors.at("w").bytes());
  writer.finish();
  EXPECT_EQ(Reader(path).tensors()[0].offset, 0U);
  EXPECT_EQ(Reader(path).tensors()[0].nbytes, 8U);
}

TEST_F(WriterTest, CanBeMoved) {
  Writer first(path, {{.name = "w", .dtype = DType::u8, .shape = {1}}}, {}, Writer::Replace::no);
  Writer second(std::move(first));
  second.write("w", std::as_bytes(std::span("x", 1)));
  second.finish();
  EXPECT_EQ(stored_bytes(path, "w"), "x");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterTest, WritesIntoTheCurrentFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  write_tensors("bare_name", {});
  std::filesystem::current_path(before);
  EXPECT_TRUE(std::filesystem::exists(dir / "bare_name"));
}

TEST_F(WriterTest, TakesTheLongestFileName) {
  constexpr std::size_t longest = 255;  // bytes, on every file system of Linux
  const std::filesystem::path name = dir / repeated("n", longest);
  write_tensors(name, {});
  EXPECT_TRUE(std::filesystem::exists(name));
  EXPECT_EQ(dir.entries(), 1);
}

}  // namespace
}  // namespace bnq::test
