// Files that a reader must refuse: the length field or the JSON text is broken, or good JSON lies about the tensors.
// Many rows are those that other readers fell for.
#include "raw_file.h"

namespace bnq::test {
namespace {

constexpr std::uint64_t two_63 = std::uint64_t{1} << 63;
constexpr std::size_t deep = 100'000;  // levels; a recursive parser without a limit runs out of stack

/// A one-tensor file whose header is `entry` between braces, with the four data bytes that "[0,4]" asks for.
std::string one(std::string_view entry) { return raw_file("{" + std::string(entry) + "}", 4); }

std::string good() { return raw_entry("blk.w", "F32", "[1]", "[0,4]"); }

const std::string name = "blk.w";  // every message must hold it

BrokenFile with_entry(std::string test, std::string_view entry, std::vector<std::string> fragments = {}) {
  fragments.push_back(name);
  return {std::move(test), raw_file("{\"" + name + "\":" + std::string(entry) + "}", 4), std::move(fragments)};
}

/// An F32 tensor over the four data bytes, but for its shape.
BrokenFile with_shape(std::string test, std::string_view shape, std::vector<std::string> fragments = {}) {
  fragments.push_back(name);
  return {std::move(test), raw_file("{" + raw_entry(name, "F32", shape, "[0,4]") + "}", 4), std::move(fragments)};
}

/// An F32 tensor of one element, but for its byte range.
BrokenFile with_offsets(std::string test, std::string_view offsets, std::vector<std::string> fragments = {}) {
  fragments.push_back(name);
  return {std::move(test), raw_file("{" + raw_entry(name, "F32", "[1]", offsets) + "}", 4), std::move(fragments)};
}

BrokenFile with_dtype(std::string test, std::string_view dtype) {
  return {std::move(test), raw_file("{" + raw_entry(name, dtype, "[4]", "[0,4]") + "}", 4), {name, std::string(dtype)}};
}

/// No bytes at all: only an element or byte count that wraps to 0 fits.
BrokenFile wrapping(std::string test, std::string_view dtype, std::string_view shape) {
  return {std::move(test), raw_file("{" + raw_entry(name, dtype, shape, "[0,0]") + "}"), {name}};
}

/// Two tensors of four bytes each by shape, over eight data bytes.
BrokenFile with_pair(std::string test, std::string_view first, std::string_view second,
                     std::vector<std::string> fragments) {
  return {std::move(test),
          raw_file("{" + raw_entry("a", "F32", "[1]", first) + "," + raw_entry(name, "F32", "[1]", second) + "}", 8),
          std::move(fragments)};
}

}  // namespace

std::vector<BrokenFile> broken_prefixes() {
  return {
      {"empty_file", std::string(), {"8"}},
      {"one_byte", std::string(1, '\0'), {"8"}},
      {"seven_bytes", std::string(7, '\0'), {"8"}},
      {"length_zero", with_length(0, ""), {"byte 8"}},
      {"length_zero_then_object", with_length(0, "{}"), {"byte 8"}},
      {"length_one", with_length(1, "{"), {}},
      {"no_header", with_length(2, ""), {"2"}},
      {"one_longer_than_file", with_length(3, "{}"), {"3"}},
      {"longer_than_file", with_length(1000, "{}"), {"1000"}},
      {"length_100_mb_in_a_small_file", with_length(100'000'000, "{}"), {"100000000"}},
      {"length_just_over_100_mb", with_length(100'000'001, "{}"), {"100000001"}},
      {"length_2_to_the_31", with_length(std::uint64_t{1} << 31, "{}"), {"2147483648"}},
      {"length_2_to_the_32", with_length(std::uint64_t{1} << 32, "{}"), {"4294967296"}},
      {"length_2_to_the_32_plus_2", with_length((std::uint64_t{1} << 32) + 2, "{}"), {"4294967298"}},
      {"length_2_to_the_63", with_length(two_63, "{}"), {"9223372036854775808"}},
      {"length_that_wraps_to_zero", with_length(~std::uint64_t{0} - 7, "{}"), {"18446744073709551608"}},
      {"length_that_wraps_to_two", with_length(~std::uint64_t{0} - 5, "{}"), {"18446744073709551610"}},
      {"length_2_to_the_64_less_1", with_length(~std::uint64_t{0}, "{}"), {"18446744073709551615"}},
      {"length_big_endian", with_length(std::uint64_t{2} << 56, "{}"), {"144115188075855872"}},
      {"no_safetensors_at_all", "GGUF\x03" + std::string(100, '\0'), {}},
      {"zip_archive", "PK\x03\x04" + std::string(60, 'x'), {}},
  };
}

std::vector<BrokenFile> broken_json() {
  const std::string open = "{" + good();
  return {
      {"header_of_spaces", raw_file("        "), {}},
      {"header_of_zeros", raw_file(std::string(16, '\0')), {}},
      {"header_is_a_word", raw_file("tensors"), {}},
      {"header_starts_with_a_space", raw_file(" {}"), {}},
      {"header_starts_with_a_newline", raw_file("\n{}"), {}},
      {"header_starts_with_a_byte_order_mark", raw_file("\xEF\xBB\xBF{}"), {}},
      {"array_at_the_top", raw_file("[]"), {}},
      {"array_of_entries", raw_file("[{" + good() + "}]", 4), {}},
      {"string_at_the_top", raw_file("\"blk.w\""), {}},
      {"number_at_the_top", raw_file("12"), {}},
      {"null_at_the_top", raw_file("null"), {}},
      {"brace_that_never_closes", raw_file("{"), {"byte"}},
      {"cut_in_a_name", raw_file("{\"blk"), {"byte"}},
      {"cut_after_a_name", raw_file("{\"blk.w\""), {"byte"}},
      {"cut_in_an_entry", raw_file("{\"blk.w\":{\"dtype\":\"F32\"", 4), {"byte"}},
      {"cut_before_the_last_brace", raw_file(open, 4), {"byte"}},
      {"trailing_comma", raw_file(open + ",}", 4), {"byte"}},
      {"missing_comma", raw_file(open + " " + raw_entry("b", "U8", "[0]", "[4,4]") + "}", 4), {"byte"}},
      {"single_quotes", raw_file("{'blk.w':1}"), {"byte"}},
      {"comment", raw_file("{/* a comment */}"), {"byte"}},
      {"name_without_quotes", raw_file("{blk:{}}"), {"byte"}},
      {"number_as_name", raw_file("{1:{}}"), {"byte"}},
      {"text_behind_the_object", raw_file("{}x"), {"byte"}},
      {"second_object_behind", raw_file("{}{}"), {"byte"}},
      {"zero_behind_the_object", raw_file(std::string("{}\0", 3)), {"byte"}},
      {"raw_newline_in_a_name", raw_file("{\"a\nb\":{}}"), {"byte"}},
      {"raw_zero_in_a_name", raw_file(std::string("{\"a\0b\":{}}", 10)), {"byte"}},
      {"unknown_escape", raw_file("{\"\\q\":{}}"), {"byte"}},
      {"short_unicode_escape", raw_file("{\"\\u00\":{}}"), {"byte"}},
      {"not_a_number", raw_file("{\"blk.w\":NaN}"), {"byte"}},
      {"infinite_number", raw_file("{\"blk.w\":Infinity}"), {"byte"}},
      {"hex_number", one("\"blk.w\":{\"shape\":[0x10]}"), {"byte"}},
      {"leading_zero", one("\"blk.w\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}"), {"byte"}},
      {"number_that_is_infinite", one("\"blk.w\":1e400"), {}},
      {"deep_arrays", [] { return raw_file("{\"blk.w\":" + repeated("[", deep)); }, {}},
      {"deep_arrays_closed",
       [] { return raw_file("{\"blk.w\":" + repeated("[", deep) + repeated("]", deep) + "}"); },
       {}},
      {"deep_arrays_at_the_top", [] { return raw_file(repeated("[", deep)); }, {}},
      {"deep_objects", [] { return raw_file(repeated("{\"a\":", deep)); }, {}},
      {"deep_objects_closed", [] { return raw_file(repeated("{\"a\":", deep) + "1" + repeated("}", deep)); }, {}},
      {"deep_shape",
       [] { return one("\"blk.w\":{\"shape\":" + repeated("[", deep) + repeated("]", deep) + "}"); },
       {"blk.w"}},
      {"deep_metadata",
       [] { return one("\"__metadata__\":{\"k\":" + repeated("[", deep) + repeated("]", deep) + "}"); },
       {}},
  };
}

std::vector<BrokenFile> broken_text() {
  const std::string entry = "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  const auto named = [&](std::string_view name) { return raw_file("{\"" + std::string(name) + "\":" + entry + "}"); };
  const auto metadata = [&](std::string_view value) {
    return one("\"__metadata__\":" + std::string(value) + "," + good());
  };
  return {
      {"name_with_a_stray_byte", named("a\xFF"), {"byte"}},
      {"name_with_a_cut_sequence", named("a\xC3"), {"byte"}},
      {"name_with_an_overlong_zero", named("a\xC0\x80"), {"byte"}},
      {"name_with_a_surrogate", named("a\xED\xA0\x80"), {"byte"}},
      {"name_past_unicode", named("a\xF4\x90\x80\x80"), {"byte"}},
      {"name_with_a_lone_high_surrogate", named("a\\ud800"), {"byte"}},
      {"name_with_a_lone_low_surrogate", named("a\\udc00"), {"byte"}},
      {"dtype_with_a_stray_byte", raw_file("{" + raw_entry("blk.w", "F32\xFE", "[1]", "[0,4]") + "}", 4), {"byte"}},
      {"metadata_with_a_stray_byte", metadata("{\"k\":\"\xFF\"}"), {"byte"}},
      {"name_twice", one(good() + "," + good()), {"blk.w"}},
      {"name_twice_one_empty", one(good() + "," + raw_entry("blk.w", "U8", "[0]", "[4,4]")), {"blk.w"}},
      {"name_twice_by_escapes", one(good() + "," + raw_entry("blk\\u002ew", "U8", "[0]", "[4,4]")), {"blk.w"}},
      {"name_twice_far_apart",
       one(good() + "," + raw_entry("b", "U8", "[0]", "[4,4]") + "," + raw_entry("blk.w", "U8", "[0]", "[4,4]")),
       {"blk.w"}},
      {"dtype_twice",
       one("\"blk.w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"),
       {"dtype"}},
      {"shape_twice",
       one("\"blk.w\":{\"dtype\":\"F32\",\"shape\":[9],\"shape\":[1],\"data_offsets\":[0,4]}"),
       {"shape"}},
      {"offsets_twice",
       one("\"blk.w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"data_offsets\":[0,4]}"),
       {"data_offsets"}},
      {"offsets_twice_by_escapes",
       one("\"blk.w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"data\\u005foffsets\":[0,4]}"),
       {"data_offsets"}},
      {"metadata_twice", one("\"__metadata__\":{},\"__metadata__\":{}," + good()), {"__metadata__"}},
      {"metadata_key_twice", metadata("{\"format\":\"pt\",\"format\":\"pt\"}"), {"format"}},
      {"metadata_key_twice_by_escapes", metadata("{\"format\":\"pt\",\"\\u0066ormat\":\"np\"}"), {"format"}},
      {"metadata_is_null", metadata("null"), {"__metadata__"}},
      {"metadata_is_text", metadata("\"pt\""), {"__metadata__"}},
      {"metadata_is_a_number", metadata("1"), {"__metadata__"}},
      {"metadata_is_a_list", metadata("[\"format\",\"pt\"]"), {"__metadata__"}},
      {"metadata_value_is_null", metadata("{\"format\":null}"), {"format"}},
      {"metadata_value_is_a_number", metadata("{\"format\":1}"), {"format"}},
      {"metadata_value_is_true", metadata("{\"format\":true}"), {"format"}},
      {"metadata_value_is_a_list", metadata("{\"format\":[\"pt\"]}"), {"format"}},
      {"metadata_value_is_an_object", metadata("{\"format\":{\"name\":\"pt\"}}"), {"format"}},
      {"metadata_shaped_as_a_tensor", one(raw_entry("__metadata__", "F32", "[1]", "[0,4]")), {"__metadata__"}},
  };
}

std::vector<BrokenFile> broken_entries() {
  return {
      with_entry("entry_is_null", "null"),
      with_entry("entry_is_text", "\"F32\""),
      with_entry("entry_is_a_number", "4"),
      with_entry("entry_is_true", "true"),
      with_entry("entry_is_a_list", "[\"F32\",[1],[0,4]]"),
      with_entry("entry_is_empty", "{}"),
      with_entry("no_dtype", R"({"shape":[1],"data_offsets":[0,4]})", {"dtype"}),
      with_entry("no_shape", R"({"dtype":"F32","data_offsets":[0,4]})", {"shape"}),
      with_entry("no_offsets", R"({"dtype":"F32","shape":[1]})", {"data_offsets"}),
      with_entry("unknown_key", R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1]})", {"stride"}),
      with_entry("key_in_capitals", R"({"DTYPE":"F32","shape":[1],"data_offsets":[0,4]})", {"DTYPE"}),
      with_entry("dtype_is_null", R"({"dtype":null,"shape":[1],"data_offsets":[0,4]})", {"dtype"}),
      with_entry("dtype_is_a_number", R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})", {"dtype"}),
      with_entry("dtype_is_a_list", R"({"dtype":["F32"],"shape":[1],"data_offsets":[0,4]})", {"dtype"}),
      with_entry("shape_is_null", R"({"dtype":"F32","shape":null,"data_offsets":[0,4]})", {"shape"}),
      with_entry("shape_is_a_number", R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})", {"shape"}),
      with_entry("shape_is_text", R"({"dtype":"F32","shape":"[1]","data_offsets":[0,4]})", {"shape"}),
      with_entry("shape_is_an_object", R"({"dtype":"F32","shape":{"0":1},"data_offsets":[0,4]})", {"shape"}),
      with_entry("offsets_are_null", R"({"dtype":"F32","shape":[1],"data_offsets":null})", {"data_offsets"}),
      with_entry("offsets_are_a_number", R"({"dtype":"F32","shape":[1],"data_offsets":4})", {"data_offsets"}),
      with_entry("offsets_are_an_object", R"({"dtype":"F32","shape":[1],"data_offsets":{"begin":0,"end":4}})",
                 {"data_offsets"}),
      with_dtype("dtype_empty", ""),
      with_dtype("dtype_unknown", "F128"),
      with_dtype("dtype_in_small_letters", "u8"),
      with_dtype("dtype_of_numpy", "float32"),
      with_dtype("dtype_with_a_space", "U8 "),
      with_dtype("dtype_f4", "F4"),
      with_dtype("dtype_f6_e2m3", "F6_E2M3"),
      with_dtype("dtype_f6_e3m2", "F6_E3M2"),
      with_dtype("dtype_i4", "I4"),
      {"dtype_very_long",
       [] { return raw_file("{" + raw_entry(name, repeated("F", 1'000'000), "[4]", "[0,4]") + "}", 4); },
       {name}},
  };
}

std::vector<BrokenFile> broken_numbers() {
  return {
      with_shape("extent_negative", "[-1]", {"-1"}),
      with_shape("extents_negative_whose_product_fits", "[-1,-1]", {"-1"}),
      with_shape("extent_minus_zero_point", "[-1.0]"),
      with_shape("extent_a_fraction", "[1.5]", {"1.5"}),
      with_shape("extent_a_whole_float", "[1.0]", {"1.0"}),
      with_shape("extent_with_an_exponent", "[1e0]"),
      with_shape("extent_tiny", "[1e-400]"),
      {"extent_infinite", raw_file("{" + raw_entry(name, "F32", "[1e400]", "[0,4]") + "}", 4), {"byte"}},
      with_shape("extent_text", "[\"1\"]"),
      with_shape("extent_true", "[true]"),
      with_shape("extent_null", "[null]"),
      with_shape("extent_a_list", "[[1]]"),
      with_shape("extent_2_to_the_63", "[9223372036854775808]", {"9223372036854775808"}),
      with_shape("extent_2_to_the_64", "[18446744073709551616]"),
      with_shape("extent_2_to_the_64_plus_1", "[18446744073709551617]"),
      with_shape("extent_of_a_hundred_digits", "[" + repeated("9", 100) + "]"),
      wrapping("elements_wrap_to_zero", "U8", "[4294967296,4294967296]"),
      wrapping("elements_wrap_to_zero_in_63_bits", "U8", "[4611686018427387904,4]"),
      wrapping("elements_turn_negative", "U8", "[4611686018427387904,2]"),
      wrapping("bytes_wrap_to_zero", "F64", "[2305843009213693952]"),
      wrapping("bytes_wrap_to_zero_f32", "F32", "[4611686018427387904]"),
      wrapping("bytes_turn_negative", "F16", "[4611686018427387904]"),
      wrapping("bits_wrap_to_zero", "U8", "[2305843009213693952]"),
      with_shape("bytes_wrap_to_four", "[4611686018427387905]"),
      with_shape("elements_wrap_to_minus_one", "[4294967297,4294967295,1]"),
      with_offsets("offset_negative", "[-4,0]", {"data_offsets"}),
      with_offsets("offsets_both_negative", "[-4,-0]", {"data_offsets"}),
      with_offsets("offset_a_fraction", "[0,4.5]", {"data_offsets"}),
      with_offsets("offset_a_whole_float", "[0,4.0]", {"data_offsets"}),
      {"offset_infinite", raw_file("{" + raw_entry(name, "F32", "[1]", "[0,1e400]") + "}", 4), {"byte"}},
      with_offsets("offset_text", "[\"0\",\"4\"]", {"data_offsets"}),
      with_offsets("offset_null", "[0,null]", {"data_offsets"}),
      with_offsets("offset_2_to_the_64", "[0,18446744073709551616]", {"data_offsets"}),
      with_offsets("no_offset", "[]", {"data_offsets"}),
      with_offsets("one_offset", "[4]", {"data_offsets"}),
      with_offsets("three_offsets", "[0,4,4]", {"data_offsets"}),
  };
}

std::vector<BrokenFile> broken_ranges() {
  const std::string four_bytes = raw_entry("a", "F32", "[1]", "[0,4]") + ",";
  return {
      with_offsets("range_reversed", "[4,0]", {"4", "0"}),
      with_offsets("range_past_the_end", "[0,8]", {"8"}),
      with_offsets("range_behind_the_end", "[4,8]", {"8"}),
      with_offsets("range_far_behind_the_end", "[1099511627776,1099511627780]", {"1099511627776"}),
      with_offsets("range_ends_at_2_to_the_63", "[0,9223372036854775808]", {"9223372036854775808"}),
      with_offsets("range_ends_at_2_to_the_64_less_1", "[0,18446744073709551615]", {"18446744073709551615"}),
      with_offsets("range_wraps_around", "[18446744073709551612,18446744073709551615]"),
      with_offsets("range_wraps_around_reversed", "[18446744073709551612,0]"),
      with_offsets("range_too_short", "[0,3]", {"3", "4"}),
      with_offsets("range_empty", "[0,0]", {"0", "4"}),
      with_shape("shape_too_small", "[0]", {"4", "0"}),
      with_shape("shape_too_large", "[2]", {"4", "8"}),
      with_shape("shape_huge", "[1000000,1000000]", {"4000000000000"}),
      {"starts_behind_the_start", raw_file("{" + raw_entry(name, "F32", "[1]", "[4,8]") + "}", 8), {name, "4"}},
      with_pair("same_range_twice", "[0,4]", "[0,4]", {}),
      with_pair("overlap", "[0,4]", "[3,7]", {name, "3"}),
      with_pair("overlap_whatever_the_order", "[4,8]", "[2,6]", {}),
      with_pair("gap_between", "[0,4]", "[5,9]", {name}),
      {"gap_inside", raw_file("{" + four_bytes + raw_entry(name, "U8", "[2]", "[6,8]") + "}", 8), {name, "4", "6"}},
      {"one_inside_the_other", raw_file("{" + four_bytes + raw_entry(name, "U8", "[2]", "[1,3]") + "}", 4), {name}},
      {"empty_tensor_inside_another",
       raw_file("{" + four_bytes + raw_entry(name, "U8", "[0]", "[2,2]") + "}", 4),
       {name}},
      {"empty_tensor_behind_the_end",
       raw_file("{" + four_bytes + raw_entry(name, "U8", "[0]", "[5,5]") + "}", 4),
       {name}},
      {"empty_tensor_far_behind", raw_file("{" + raw_entry(name, "U8", "[0]", "[4,4]") + "}"), {name}},
      {"one_trailing_byte", raw_file("{" + raw_entry(name, "F32", "[1]", "[0,4]") + "}", 5), {"5", "4"}},
      {"trailing_payload", raw_file("{" + raw_entry(name, "F32", "[1]", "[0,4]") + "}", 1000), {"1000", "4"}},
      {"trailing_bytes_without_tensors", raw_file("{}", 1), {}},
      {"trailing_bytes_with_metadata_only", raw_file(R"({"__metadata__":{"format":"pt"}})", 8), {}},
      {"one_byte_missing", raw_file("{" + raw_entry(name, "F32", "[1]", "[0,4]") + "}", 3), {name}},
      {"all_data_missing", raw_file("{" + raw_entry(name, "F32", "[1]", "[0,4]") + "}"), {name}},
      {"name_with_an_escape_sequence",
       raw_file("{" + raw_entry("\\u001b[2Jblk", "F32", "[1]", "[0,8]") + "}", 4),
       {"\\x1b[2Jblk"}},
      {"name_with_a_zero", raw_file("{" + raw_entry("a\\u0000b", "F32", "[1]", "[0,8]") + "}", 4), {"a\\x00b"}},
      {"name_that_reverses_text",
       raw_file("{" + raw_entry("\\u202ekw", "F32", "[1]", "[0,8]") + "}", 4),
       {"\\xe2\\x80\\xaekw"}},
      {"name_very_long",
       [] { return raw_file("{" + raw_entry(repeated("n", 1'000'000), "F32", "[1]", "[0,8]") + "}", 4); },
       {"nnnn"}},
  };
}

}  // namespace bnq::test
