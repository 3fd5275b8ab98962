// GGUF files that look odd and are right: a reader that refuses one of them refuses somebody's model.
#include "io/gguf/type.h"
#include "raw_gguf.h"

namespace bnq::test {
namespace {

constexpr std::uint32_t u8 = 0, u32 = 4, f32_value = 6, boolean = 7, string = 8, array = 9, u16 = 2;
constexpr std::uint32_t type_f32 = 0;

std::string good_row() { return gguf_row("blk.w", {8}, type_f32, 0); }

/// A tensor of 32 bytes, behind this metadata.
LegalFile with_keys(std::string test, std::vector<std::string> keys) {
  const std::size_t count = keys.size();
  return {std::move(test), RawGguf{.keys = std::move(keys), .rows = {good_row()}, .data_bytes = 32}.bytes(), 1, count};
}

LegalFile with_row(std::string test, std::string row, std::size_t data_bytes) {
  return {std::move(test), RawGguf{.rows = {std::move(row)}, .data_bytes = data_bytes}.bytes(), 1};
}

std::string with_alignment(std::uint32_t alignment) {
  return RawGguf{.keys = {gguf_key("general.alignment", u32, le(alignment))},
                 .rows = {good_row(), gguf_row("b", {8}, type_f32, std::max<std::uint64_t>(alignment, 32))},
                 .data_bytes = std::max<std::size_t>(alignment, 32) + 32,
                 .alignment = alignment}
      .bytes();
}

/// With zeros where the first tensor ends before the second starts.
std::string with_large_alignment(std::uint32_t alignment) {
  std::string bytes = with_alignment(alignment);
  bytes.replace(bytes.size() - alignment, alignment - 32, alignment - 32, '\0');
  return bytes;
}

/// A tensor of three blocks by two rows in each type whose id has one meaning.
std::string one_of_each_type(std::size_t& count) {
  RawGguf file;
  for (const detail::gguf::Type& type : detail::gguf::types()) {
    if (detail::gguf::types_of(type.id).size() > 1) continue;
    const std::uint64_t nbytes = 2 * (type.row_bytes + 3 * type.block_bytes) + type.tensor_bytes;
    file.rows.push_back(gguf_row("t" + std::to_string(type.id), {3 * type.block_length, 2}, type.id, file.zeros));
    file.zeros += (nbytes + 31) / 32 * 32;
    ++count;
  }
  return file.bytes();
}

std::string many_tensors(std::size_t count) {
  RawGguf file{.zeros = 32 * count};
  for (std::size_t i = 0; i < count; ++i) {
    file.rows.push_back(gguf_row("blk." + std::to_string(i), {1}, type_f32, 32 * i));
  }
  return file.bytes();
}

std::vector<LegalFile> legal_metadata() {
  const std::string nested = gguf_array(array, 2, gguf_array(u8, 1, "x") + gguf_array(string, 1, gguf_text("y")));
  std::vector<LegalFile> files{
      with_keys("key_of_every_type",
                {gguf_key("a", 0, "\x01"), gguf_key("b", 1, "\xFF"), gguf_key("c", 2, "ab"), gguf_key("d", 3, "ab"),
                 gguf_key("e", 4, "abcd"), gguf_key("f", 5, "abcd"), gguf_key("g", 6, "abcd"), gguf_key("h", 7, "\x01"),
                 gguf_key("i", 8, gguf_text("")), gguf_key("j", 9, gguf_array(f32_value, 2, "abcdefgh")),
                 gguf_key("k", 10, "abcdefgh"), gguf_key("l", 11, "abcdefgh"), gguf_key("m", 12, "abcdefgh")}),
      with_keys("arrays_empty",
                {gguf_key("a", array, gguf_array(string, 0, "")), gguf_key("b", array, gguf_array(array, 0, "")),
                 gguf_key("c", array, gguf_array(boolean, 0, ""))}),
      with_keys("arrays_nested", {gguf_key("a", array, nested)}),
      with_keys("text_not_utf8",
                {gguf_key("tokens", array, gguf_array(string, 2, gguf_text("\xFF") + gguf_text("\xC3")))}),
      with_keys("text_that_is_a_template",
                {gguf_key("tokenizer.chat_template", string, gguf_text("{{ ''.__class__ }}"))}),
      with_keys("text_with_zeros", {gguf_key("a", string, gguf_text(std::string(9, '\0')))}),
      with_keys("key_in_greek", {gguf_key("βπ", u8, "\x01")}),
      with_keys("key_of_65535_bytes", {gguf_key(repeated("k", 65'535), u8, "\x01")}),
      with_keys("one_of_one_part", {gguf_key("split.count", u16, le<std::uint16_t>(1))}),
      with_keys("parts_unsaid", {gguf_key("split.no", u16, le<std::uint16_t>(0))}),
      with_keys("alignment_said", {gguf_key("general.alignment", u32, le<std::uint32_t>(32))}),
      {"text_of_ten_megabytes",
       [] { return RawGguf{.keys = {gguf_key("a", string, gguf_text(std::string(10'000'000, 'x')))}}.bytes(); }, 0, 1},
      {"many_keys",
       [] {
         RawGguf file;
         for (int i = 0; i < 65'536; ++i) file.keys.push_back(gguf_key("k" + std::to_string(i), u8, "\x01"));
         return file.bytes();
       },
       0, 65'536},
      {"many_tokens",
       [] {
         const std::string tokens = gguf_array(string, 1'000'000, repeated(gguf_text("token"), 1'000'000));
         return RawGguf{.keys = {gguf_key("tokenizer.ggml.tokens", array, tokens)}}.bytes();
       },
       0, 1},
  };
  return files;
}

std::vector<LegalFile> legal_tensors() {
  std::size_t types = 0;
  const std::string each = one_of_each_type(types);
  const std::string a = gguf_row("a", {8}, type_f32, 0);
  return {
      {"nothing_at_all", RawGguf{}.bytes()},
      {"nothing_at_all_and_zeros", RawGguf{}.bytes() + std::string(8, '\0')},
      {"version_2", RawGguf{.version = 2, .rows = {good_row()}, .data_bytes = 32}.bytes(), 1},
      {"alignment_8", with_alignment(8), 2, 1},
      {"alignment_64", with_large_alignment(64), 2, 1},
      {"alignment_of_a_megabyte", [] { return with_large_alignment(1U << 20U); }, 2, 1},
      {"no_zeros_behind_the_last", RawGguf{.rows = {gguf_row("a", {3}, type_f32, 0)}, .data_bytes = 12}.bytes(), 1},
      {"some_zeros_behind_the_last",
       RawGguf{.rows = {gguf_row("a", {3}, type_f32, 0)}, .data_bytes = 12, .zeros = 5}.bytes(), 1},
      {"zeros_behind_the_last",
       RawGguf{.rows = {gguf_row("a", {3}, type_f32, 0)}, .data_bytes = 12, .zeros = 20}.bytes(), 1},
      {"rows_in_another_order",
       RawGguf{.rows = {gguf_row("b", {8}, type_f32, 32), a, gguf_row("c", {8}, type_f32, 64)}, .data_bytes = 96}
           .bytes(),
       3},
      with_row("no_axis", gguf_row("a", {}, type_f32, 0), 4),
      with_row("four_axes", gguf_row("a", {2, 2, 2, 1}, type_f32, 0), 32),
      with_row("axes_of_one", gguf_row("a", {1, 1, 1, 1}, type_f32, 0), 4),
      with_row("name_of_200_bytes", gguf_row(repeated("n", 200), {8}, type_f32, 0), 32),
      with_row("name_with_a_path", gguf_row("../../etc/passwd", {8}, type_f32, 0), 32),
      with_row("name_with_a_face", gguf_row("\xF0\x9F\x99\x82", {8}, type_f32, 0), 32),
      with_row("id_42_is_q2_0", gguf_row("a", {512, 4}, 42, 0), 576),
      with_row("id_42_is_pq2_0", gguf_row("a", {512, 4}, 42, 0), 544),
      with_row("id_42_is_stq1_0", gguf_row("a", {512, 4}, 42, 0), 336),
      with_row("id_42_fits_one_type_by_depth", gguf_row("a", {64}, 42, 0), 18),
      {"id_42_clear_by_another_tensor",
       RawGguf{.rows = {gguf_row("a", {256}, 42, 0), gguf_row("b", {512, 4}, 42, 96)}, .zeros = 96 + 544}.bytes(), 2},
      {"every_type", each, types},
      {"many_tensors", [] { return many_tensors(100'000); }, 100'000},
  };
}

}  // namespace

std::vector<LegalFile> legal_gguf_files() {
  std::vector<LegalFile> files = legal_tensors();
  for (LegalFile& file : legal_metadata()) files.push_back(std::move(file));
  return files;
}

}  // namespace bnq::test
