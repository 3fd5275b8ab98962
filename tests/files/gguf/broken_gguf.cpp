// GGUF files that a reader must refuse. Many rows are those that other readers fell for.
#include "raw_gguf.h"

namespace bnq::test {
namespace {

enum : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, no_value_type };
enum : std::uint32_t { type_f32 = 0, type_f16 = 1, type_q8_0 = 8, type_i8 = 24, type_tq2_0 = 35, type_42 = 42 };

constexpr std::uint64_t all_ones = ~std::uint64_t{0};
constexpr std::uint64_t two_31 = std::uint64_t{1} << 31;
constexpr std::uint64_t two_32 = std::uint64_t{1} << 32;
constexpr std::uint64_t two_62 = std::uint64_t{1} << 62;
constexpr std::uint64_t two_63 = std::uint64_t{1} << 63;

const std::string name = "blk.w";  // every message about a tensor must hold it
const std::string key = "a.key";   // and about a key

std::string good_row() { return gguf_row(name, {8}, type_f32, 0); }

/// One good tensor of 32 bytes behind this metadata.
BrokenFile with_key(std::string test, const std::string& raw_key,
                    std::vector<std::string> fragments = {key, "byte 24"}) {
  return {std::move(test), RawGguf{.keys = {raw_key}, .rows = {good_row()}, .data_bytes = 32}.bytes(),
          std::move(fragments)};
}

/// A key whose value is the last thing in the file, so that what it claims is not there.
BrokenFile with_last_key(std::string test, std::uint32_t type, std::string_view value,
                         std::vector<std::string> fragments = {}) {
  fragments.push_back(key);
  return {std::move(test), RawGguf{.keys = {gguf_key(key, type, value)}}.bytes(), std::move(fragments)};
}

/// This row over 32 bytes of data.
BrokenFile with_row(std::string test, const std::string& row, std::vector<std::string> fragments = {}) {
  fragments.push_back(name);
  return {std::move(test), RawGguf{.rows = {row}, .data_bytes = 32}.bytes(), std::move(fragments)};
}

/// An f32 tensor of these extents over 32 bytes.
BrokenFile with_extents(std::string test, const std::vector<std::uint64_t>& extents,
                        std::vector<std::string> fragments = {}) {
  return with_row(std::move(test), gguf_row(name, extents, type_f32, 0), std::move(fragments));
}

/// These rows over this many bytes, all of the data.
BrokenFile with_rows(std::string test, std::vector<std::string> rows, std::size_t data_bytes,
                     std::vector<std::string> fragments = {name}) {
  return {std::move(test), RawGguf{.rows = std::move(rows), .data_bytes = data_bytes}.bytes(), std::move(fragments)};
}

std::string cut_good(std::size_t bytes) {
  return RawGguf{.rows = {good_row()}, .data_bytes = 32}.bytes().substr(0, bytes);
}

std::string with_counts(std::uint64_t tensors, std::uint64_t keys) {
  return RawGguf{.key_count = keys, .row_count = tensors}.bytes();
}

}  // namespace

std::vector<BrokenFile> broken_gguf_starts() {
  const auto version = [](std::uint32_t number) { return RawGguf{.version = number}.bytes(); };
  const auto mark = [](std::string text) { return RawGguf{.mark = std::move(text)}.bytes(); };
  return {
      {"empty_file", std::string(), {"byte 0"}},
      {"one_byte", std::string("G"), {"byte 0"}},
      {"mark_only", std::string("GGUF"), {"version"}},
      {"cut_in_the_version", cut_good(6), {"version"}},
      {"cut_before_the_counts", cut_good(8), {"tensors"}},
      {"cut_in_the_number_of_tensors", cut_good(12), {"tensors"}},
      {"cut_in_the_number_of_keys", cut_good(20), {"keys"}},
      {"mark_in_small_letters", mark("gguf"), {"'gguf'", "GGUF"}},
      {"mark_reversed", mark("FUGG"), {"'FUGG'"}},
      {"mark_of_an_older_format", mark("tjgg"), {"'tjgg'"}},
      {"mark_unprintable", mark("\x1b[2J"), {"\\x1b[2J"}},
      {"a_safetensors_file", raw_file("{" + raw_entry("a", "U8", "[4]", "[0,4]") + "}", 4), {"GGUF"}},
      {"version_0", version(0), {"0", "2 or 3"}},
      {"version_1", version(1), {"1", "2 or 3", "newer program"}},
      {"version_4", version(4), {"4", "2 or 3"}},
      {"version_huge", version(0xFFFFFFFF), {"4294967295"}},
      {"big_endian", version(0x03000000), {"big-endian", "convert"}},
      {"big_endian_version_2", version(0x02000000), {"big-endian"}},
      {"keys_more_than_the_file_holds", with_counts(0, 1), {"keys", "1"}},
      {"keys_2_to_the_31", with_counts(0, two_31), {"2147483648"}},
      {"keys_2_to_the_63", with_counts(0, two_63), {"9223372036854775808"}},
      {"keys_2_to_the_64_less_1", with_counts(0, all_ones), {"18446744073709551615"}},
      {"keys_65537", with_counts(0, 65'537), {"65537", "65536"}},
      {"tensors_more_than_the_file_holds", with_counts(1, 0), {"tensors", "1"}},
      {"tensors_2_to_the_32", with_counts(two_32, 0), {"4294967296"}},
      {"tensors_2_to_the_63", with_counts(two_63, 0), {"9223372036854775808"}},
      {"tensors_2_to_the_64_less_1", with_counts(all_ones, 0), {"18446744073709551615"}},
      {"tensors_262145", with_counts(262'145, 0), {"262145", "262144"}},
      {"both_counts_huge", with_counts(all_ones, all_ones), {"18446744073709551615"}},
  };
}

std::vector<BrokenFile> broken_gguf_keys() {
  const auto raw = [](std::string bytes) { return RawGguf{.keys = {std::move(bytes)}}.bytes(); };
  const std::string value = le<std::uint32_t>(u8) + "\x01";
  return {
      {"key_cut_in_its_length", raw("\x05\x00\x00"), {}},
      {"key_length_past_the_file", raw(le<std::uint64_t>(1000) + key + value), {"key 0", "1000"}},
      {"key_length_2_to_the_63", raw(le(two_63) + key + value), {"key 0", "9223372036854775808"}},
      {"key_length_2_to_the_64_less_1", raw(le(all_ones) + key + value), {"key 0", "18446744073709551615"}},
      {"key_length_that_wraps_to_its_own", raw(le(all_ones - 7) + key + value), {"key 0"}},
      {"key_empty", raw(gguf_key("", u8, "\x01") + std::string(9, 'x')), {"key 0", "empty"}},
      {"key_too_long",
       [] { return RawGguf{.keys = {gguf_key(repeated("k", 65'536), u8, "\x01")}}.bytes(); },
       {"key 0", "65536"}},
      {"key_not_utf8", raw(gguf_key("a\xC3", u8, "\x01")), {"key 0", "UTF-8"}},
      {"key_with_a_zero", raw(gguf_key(std::string_view("a\0b", 3), u8, "\x01")), {"key 0", "zero"}},
      {"key_without_a_type", raw(gguf_text("a.much.longer.key")), {"a.much.longer.key", "type"}},
      {"key_twice",
       RawGguf{.keys = {gguf_key(key, u8, "\x01"), gguf_key(key, u8, "\x01")}}.bytes(),
       {key, "byte 42", "twice"}},
      {"key_twice_of_other_types",
       RawGguf{.keys = {gguf_key(key, u8, "\x01"), gguf_key("b", u8, "\x01"), gguf_key(key, string, gguf_text("x"))}}
           .bytes(),
       {key, "twice"}},
      {"key_unprintable", raw(gguf_key("\x1b[2J", no_value_type, "\x01")), {"\\x1b[2J"}},
      with_last_key("value_type_13", no_value_type, "\x01", {"13"}),
      with_last_key("value_type_huge", 0xFFFFFFFF, "\x01", {"4294967295"}),
      with_last_key("value_cut", u64, "\x01\x02\x03", {"3 bytes", "8"}),
      with_last_key("bool_of_two", boolean, "\x02", {"2", "0 or 1"}),
      with_last_key("bool_of_255", boolean, "\xFF", {"255"}),
      with_last_key("text_past_the_file", string, le<std::uint64_t>(5) + "four", {"5"}),
      with_last_key("text_of_a_gigabyte", string, le<std::uint64_t>(1U << 30U) + "four", {"1073741824"}),
      with_last_key("text_2_to_the_63", string, le(two_63) + "four", {"9223372036854775808"}),
      with_last_key("text_2_to_the_64_less_1", string, le(all_ones) + "four", {"18446744073709551615"}),
      with_last_key("text_that_wraps", string, le(all_ones - 7), {"18446744073709551608"}),
      with_last_key("array_without_a_length", array, le<std::uint32_t>(u8)),
      with_last_key("array_of_type_13", array, gguf_array(no_value_type, 1, "\x01"), {"13"}),
      with_last_key("array_of_type_13_empty", array, gguf_array(no_value_type, 0, ""), {"13"}),
      with_last_key("array_past_the_file", array, gguf_array(u32, 2, le<std::uint32_t>(1)), {"2 x u32"}),
      with_last_key("array_2_to_the_62_u32", array, gguf_array(u32, two_62, ""), {"4611686018427387904"}),
      with_last_key("array_2_to_the_61_u64", array, gguf_array(u64, two_62 / 2, ""), {"2305843009213693952"}),
      with_last_key("array_2_to_the_64_less_1_u8", array, gguf_array(u8, all_ones, ""), {"18446744073709551615"}),
      with_last_key("array_2_to_the_63_texts", array, gguf_array(string, two_63, ""), {"9223372036854775808"}),
      with_last_key("array_2_to_the_63_arrays", array, gguf_array(array, two_63, ""), {"9223372036854775808"}),
      with_last_key("array_of_texts_past_the_file", array, gguf_array(string, 2, gguf_text("ab") + "\x01")),
      with_last_key("array_of_texts_one_huge", array, gguf_array(string, 2, gguf_text("ab") + le(two_63))),
      with_last_key("array_of_bools_one_wrong", array, gguf_array(boolean, 4, std::string_view("\0\x01\x03\x01", 4)),
                    {"3", "0 or 1"}),
      with_last_key(
          "arrays_five_deep", array,
          gguf_array(array, 1, gguf_array(array, 1, gguf_array(array, 1, gguf_array(array, 1, gguf_array(u8, 0, ""))))),
          {"deep"}),
  };
}

std::vector<BrokenFile> broken_gguf_giants() {
  return {
      {"arrays_a_million_deep",
       [] { return RawGguf{.keys = {gguf_key(key, array, repeated(gguf_array(array, 1, ""), 1'000'000))}}.bytes(); },
       {key, "deep"}},
      {"array_of_ten_million_texts_of_which_the_last_is_huge",
       [] {
         const std::string texts = std::string(79'999'992, '\0') + le(two_63);
         return RawGguf{.keys = {gguf_key(key, array, gguf_array(string, 10'000'000, texts))}}.bytes();
       },
       {key, "byte 80000045"}},
      {"arrays_three_deep_of_five_million_more",
       [] {
         std::string lists = repeated(gguf_array(u8, 0, ""), 5'000'000);
         lists[lists.size() - 12] = 13;
         const std::string nested = gguf_array(array, 1, gguf_array(array, 5'000'000, lists));
         return RawGguf{.keys = {gguf_key(key, array, nested)}}.bytes();
       },
       {key, "13"}},
      {"header_past_100_megabytes",
       [] {
         return RawGguf{.keys = {gguf_key(key, string, gguf_text(std::string(99'999'000, 'x'))),
                                 gguf_key("b", string, gguf_text(std::string(10'000, 'x')))},
                        .rows = {good_row()},
                        .data_bytes = 32}
             .bytes();
       },
       {"'b'"}},
      {"header_past_100_megabytes_of_rows",
       [] {
         return RawGguf{.keys = {gguf_key(key, string, gguf_text(std::string(99'999'900, 'x')))},
                        .rows = {good_row(), gguf_row("b", {8}, type_f32, 32)},
                        .data_bytes = 64}
             .bytes();
       },
       {"100000000"}},
      {"many_tensors_in_one_place",
       [] {
         RawGguf file{.data_bytes = 32};
         for (int i = 0; i < 200'000; ++i) file.rows.push_back(gguf_row("t" + std::to_string(i), {8}, type_f32, 0));
         return file.bytes();
       },
       {"overlaps"}},
  };
}

std::vector<BrokenFile> broken_gguf_values() {
  const auto alignment = [](std::string test, std::uint32_t type, const std::string& value) {
    return with_key(std::move(test), gguf_key("general.alignment", type, value), {"general.alignment", "byte 24"});
  };
  const auto split = [](std::string test, std::uint32_t type, const std::string& value,
                        std::vector<std::string> fragments) {
    fragments.emplace_back("split.count");
    return with_key(std::move(test), gguf_key("split.count", type, value), std::move(fragments));
  };
  return {
      alignment("alignment_0", u32, le<std::uint32_t>(0)),
      alignment("alignment_1", u32, le<std::uint32_t>(1)),
      alignment("alignment_4", u32, le<std::uint32_t>(4)),
      alignment("alignment_24", u32, le<std::uint32_t>(24)),
      alignment("alignment_33", u32, le<std::uint32_t>(33)),
      alignment("alignment_2_to_the_21", u32, le<std::uint32_t>(1U << 21U)),
      alignment("alignment_2_to_the_31", u32, le<std::uint32_t>(1U << 31U)),
      alignment("alignment_2_to_the_32_less_1", u32, le<std::uint32_t>(0xFFFFFFFF)),
      alignment("alignment_u64", u64, le<std::uint64_t>(32)),
      alignment("alignment_i32", i32, le<std::int32_t>(32)),
      alignment("alignment_text", string, gguf_text("32")),
      alignment("alignment_array", array, gguf_array(u32, 1, le<std::uint32_t>(32))),
      split("one_of_two_parts", u16, le<std::uint16_t>(2), {"2 parts", "merge"}),
      split("one_of_many_parts", u32, le<std::uint32_t>(70'000), {"70000 parts"}),
      split("parts_as_text", string, gguf_text("2"), {"string"}),
      split("parts_past_63_bits", u64, le(two_63), {"u64"}),
  };
}

std::vector<BrokenFile> broken_gguf_rows() {
  const auto raw = [](std::string row) { return RawGguf{.rows = {std::move(row)}, .data_bytes = 32}.bytes(); };
  const std::string rest = good_row().substr(8 + name.size());
  std::vector<BrokenFile> rows{
      {"row_name_past_the_file", raw(le<std::uint64_t>(1000) + name + rest), {"tensor 0", "1000"}},
      {"row_name_2_to_the_63", raw(le(two_63) + name + rest), {"tensor 0", "9223372036854775808"}},
      {"row_name_that_wraps", raw(le(all_ones - 7) + name + rest), {"tensor 0", "18446744073709551608"}},
      {"row_name_empty", raw(gguf_row("", {8}, type_f32, 0)), {"tensor 0", "empty"}},
      {"row_name_not_utf8", raw(gguf_row("a\xFF", {8}, type_f32, 0)), {"tensor 0", "UTF-8"}},
      {"row_name_with_a_zero", raw(gguf_row(std::string_view("a\0b", 3), {8}, type_f32, 0)), {"tensor 0", "zero"}},
      {"row_name_too_long",
       [] { return RawGguf{.rows = {gguf_row(repeated("n", 65'536), {8}, type_f32, 0)}, .data_bytes = 32}.bytes(); },
       {"tensor 0", "65536"}},
      with_rows("row_name_twice", {good_row(), gguf_row(name, {8}, type_f32, 32)}, 64, {name, "twice", "byte 61"}),
      with_rows("row_name_twice_of_other_types", {good_row(), gguf_row(name, {16}, type_f16, 32)}, 64, {name, "twice"}),
      with_row("axes_5", gguf_row(name, {8, 1, 1, 1, 1}, type_f32, 0), {"5", "4"}),
      with_row("axes_9", gguf_row(name, {8, 1, 1, 1, 1, 1, 1, 1, 1}, type_f32, 0), {"9"}),
      with_row("axes_2_to_the_32_less_1", gguf_text(name) + le<std::uint32_t>(0xFFFFFFFF) + le<std::uint64_t>(8),
               {"4294967295"}),
      with_extents("extent_0", {0}, {"extent", "0"}),
      with_extents("extent_0_of_two", {8, 0}, {"extent", "0"}),
      with_extents("extent_2_to_the_63", {two_63}, {"9223372036854775808"}),
      with_extents("extent_2_to_the_64_less_1", {all_ones}, {"18446744073709551615"}),
      with_extents("elements_wrap_to_zero", {two_32, two_32}, {"overflow"}),
      with_extents("elements_wrap_to_eight", {two_32, two_32, 1, 8}, {"overflow"}),
      with_extents("elements_turn_negative", {two_62, 2}, {"overflow"}),
      with_extents("elements_wrap_through_minus_one", {two_32 + 1, two_32 - 1}, {"overflow"}),
      with_extents("elements_wrap_in_the_last_axis", {two_31, two_31, 4, 1}, {"overflow"}),
      with_extents("bytes_wrap_to_zero", {two_62}, {"overflow"}),
      with_extents("bytes_wrap_to_32", {two_62 + 8}, {"overflow"}),
      with_extents("bytes_turn_negative", {two_62 / 2}, {"overflow"}),
      {"row_without_a_type",
       RawGguf{.rows = {gguf_text(name) + le<std::uint32_t>(1) + le<std::uint64_t>(8)}}.bytes(),
       {name, "type"}},
      {"second_row_missing", RawGguf{.rows = {good_row()}, .row_count = 2}.bytes(), {"tensors", "2"}},
      {"second_row_is_data", RawGguf{.rows = {good_row()}, .row_count = 2, .data_bytes = 64}.bytes(), {"tensor"}},
  };
  return rows;
}

std::vector<BrokenFile> broken_gguf_types() {
  const auto typed = [](std::string test, std::uint32_t type, std::vector<std::string> fragments) {
    return with_row(std::move(test), gguf_row(name, {8}, type, 0), std::move(fragments));
  };
  return {
      typed("type_4_removed", 4, {"4: q4_2"}),
      typed("type_5_removed", 5, {"5: q4_3"}),
      typed("type_31_removed", 31, {"31: q4_0_4_4"}),
      typed("type_38_of_bitnet_cpp", 38, {"38: tl1"}),
      typed("type_44_unknown", 44, {"44"}),
      typed("type_255_unknown", 255, {"255"}),
      typed("type_2_to_the_31_unknown", 1U << 31U, {"2147483648"}),
      typed("type_2_to_the_32_less_1_unknown", 0xFFFFFFFF, {"4294967295"}),
      with_row("depth_not_a_multiple_of_32", gguf_row(name, {33}, type_q8_0, 0), {"q8_0", "33", "32"}),
      with_row("depth_below_a_block", gguf_row(name, {1}, type_q8_0, 0), {"32"}),
      with_row("depth_not_a_multiple_but_elements_are", gguf_row(name, {128, 2}, type_tq2_0, 0), {"[2, 128]", "256"}),
      with_row("no_axis_in_blocks", gguf_row(name, {}, type_q8_0, 0), {"32"}),
      with_row("blocks_that_overflow", gguf_row(name, {two_63 - 256}, type_q8_0, 0), {"overflow"}),
      with_row("blocks_that_overflow_in_rows", gguf_row(name, {32, two_63 / 32 - 1}, type_q8_0, 0), {"overflow"}),
      with_row("i2_s_with_a_depth_of_6", gguf_row(name, {6, 2}, 36, 0), {"i2_s", "multiple of 4"}),
      with_rows("i2_s_without_its_scale", {gguf_row(name, {128}, 36, 0)}, 32, {name, "64", "32"}),
      with_rows("i2_s_that_is_iq4_nl_4_4", {gguf_row(name, {128}, 36, 0)}, 72, {name, "iq4_nl_4_4"}),
      with_rows("mxfp4_that_is_tl2", {gguf_row(name, {256}, 39, 0)}, 96, {name, "tl2"}),
      with_rows("iq2_bn_without_its_row_scales", {gguf_row(name, {64, 8}, 135, 0)}, 128, {name, "160", "128"}),
      with_rows("id_42_of_no_size", {gguf_row(name, {256, 4}, type_42, 0)}, 320,
                {name, "q2_0 (42): 288", "pq2_0 (42): 272", "stq1_0 (42): 168", "tl2"}),
      with_rows("id_42_of_unclear_size", {gguf_row(name, {256}, type_42, 0)}, 96, {name, "id 42", "q2_0, pq2_0"}),
      with_rows("id_42_of_two_meanings", {gguf_row("a", {512, 4}, type_42, 0), gguf_row(name, {512, 4}, type_42, 576)},
                576 + 544, {name, "544", "576"}),
      with_rows("id_42_of_a_depth_of_32", {gguf_row(name, {32}, type_42, 0)}, 32, {name, "does not fit its shape"}),
  };
}

std::vector<BrokenFile> broken_gguf_placements() {
  const auto at = [](std::string test, std::uint64_t offset, std::vector<std::string> fragments = {}) {
    return with_row(std::move(test), gguf_row(name, {8}, type_f32, offset), std::move(fragments));
  };
  const std::string a = gguf_row("a", {8}, type_f32, 0);
  const auto padded = [](std::size_t zero_at, char value) {
    std::string bytes =
        RawGguf{
            .rows = {gguf_row(name, {3}, type_f32, 0), gguf_row("b", {3}, type_f32, 32)}, .data_bytes = 12, .zeros = 52}
            .bytes();
    bytes[bytes.size() - 64 + zero_at] = value;
    return bytes;
  };
  std::string before = RawGguf{.rows = {good_row()}, .data_bytes = 32}.bytes();
  before[before.size() - 33] = 'x';
  std::vector<BrokenFile> rows{
      at("offset_1", 1, {"1", "32"}),
      at("offset_16", 16, {"16", "32"}),
      at("offset_at_the_end", 32, {"32"}),
      at("offset_far_behind_the_end", std::uint64_t{1} << 40U, {"1099511627776"}),
      at("offset_2_to_the_63", two_63, {"9223372036854775808"}),
      at("offset_that_wraps_to_zero", all_ones - 31, {"18446744073709551584"}),
      at("offset_that_is_odd_and_huge", all_ones, {"18446744073709551615"}),
      with_rows("starts_behind_the_start", {gguf_row(name, {8}, type_f32, 32)}, 64, {name, "gap", "32"}),
      with_rows("gap_between", {a, gguf_row(name, {8}, type_f32, 64)}, 96, {"'a'", "gap"}),
      with_rows("same_place_twice", {a, gguf_row(name, {8}, type_f32, 0)}, 32, {"overlaps"}),
      with_rows("overlap", {gguf_row(name, {16}, type_f32, 0), gguf_row("b", {8}, type_f32, 32)}, 64,
                {name, "overlaps"}),
      with_rows("overlap_whatever_the_order", {gguf_row("b", {8}, type_f32, 32), gguf_row(name, {16}, type_f32, 0)}, 64,
                {name, "overlaps"}),
      with_rows("one_inside_the_other", {gguf_row(name, {24}, type_f32, 0), gguf_row("b", {1}, type_f32, 32)}, 96),
      with_rows("larger_than_the_file", {gguf_row(name, {9}, type_f32, 0)}, 32, {name, "36", "32"}),
      with_rows("far_larger_than_the_file", {gguf_row(name, {1'000'000, 1'000'000}, type_f32, 0)}, 32,
                {name, "4000000000000"}),
      with_rows("a_terabyte_in_blocks", {gguf_row(name, {256, std::uint64_t{1} << 32U}, type_tq2_0, 0)}, 66, {name}),
      with_rows("one_byte_missing", {good_row()}, 31, {name, "31", "32"}),
      with_rows("one_byte_of_the_second_missing", {a, gguf_row(name, {8}, type_f32, 32)}, 63, {name, "31"}),
      with_rows("trailing_byte", {good_row()}, 33, {name, "behind"}),
      with_rows("trailing_payload", {good_row()}, 1000, {name, "1000"}),
      {"trailing_zeros_past_the_alignment",
       RawGguf{.rows = {good_row()}, .data_bytes = 32, .zeros = 32}.bytes(),
       {name}},
      {"data_missing", RawGguf{.rows = {good_row()}}.bytes(), {"before its tensors"}},
      {"data_missing_but_the_zeros_before",
       [] {
         std::string bytes = RawGguf{.rows = {good_row()}}.bytes();
         bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
         return bytes;
       }(),
       {"before its tensors"}},
      {"bytes_hidden_between", padded(12, 'x'), {name, "zero"}},
      {"bytes_hidden_before_the_next", padded(31, '\x01'), {name, "zero"}},
      {"bytes_hidden_behind_the_last", padded(63, '\x01'), {"'b'", "zero"}},
      {"bytes_hidden_before_the_data", before, {"zero"}},
      {"bytes_without_tensors", RawGguf{.data_bytes = 40}.bytes(), {"without tensors"}},
      {"zeros_without_tensors", RawGguf{.zeros = 64}.bytes(), {"without tensors"}},
      {"row_name_that_reverses_text",
       RawGguf{.rows = {gguf_row("\u202ekw", {9}, type_f32, 0)}, .data_bytes = 32}.bytes(),
       {"\\xe2\\x80\\xaekw"}},
      {"row_name_with_an_escape_sequence",
       RawGguf{.rows = {gguf_row("\x1b[2Jblk", {9}, type_f32, 0)}, .data_bytes = 32}.bytes(),
       {"\\x1b[2Jblk"}},
  };
  return rows;
}

}  // namespace bnq::test
