// Files that look odd and are right: a reader that refuses one of them refuses somebody's model.
#include "raw_file.h"

namespace bnq::test {
namespace {

constexpr const char* all_dtypes[] = {"F64", "I64",  "U64",  "C64",         "F32",        "I32",     "U32",
                                      "F16", "BF16", "I16",  "U16",         "F8_E4M3",    "F8_E5M2", "F8_E8M0",
                                      "I8",  "U8",   "BOOL", "F8_E4M3FNUZ", "F8_E5M2FNUZ"};

std::string named(std::string_view name) { return raw_file("{" + raw_entry(name, "U8", "[4]", "[0,4]") + "}", 4); }

std::string one_of_each_dtype() {
  std::string entries;
  for (const char* dtype : all_dtypes)
    entries += (entries.empty() ? "" : ",") + raw_entry(dtype, dtype, "[0]", "[0,0]");
  return raw_file("{" + entries + "}");
}

std::string many_tensors(std::size_t count) {
  std::string entries;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string range = "[" + std::to_string(i) + "," + std::to_string(i + 1) + "]";
    entries += (i == 0 ? "" : ",") + raw_entry("model.layers." + std::to_string(i), "U8", "[1]", range);
  }
  return raw_file("{" + entries + "}", count);
}

std::vector<LegalFile> legal_names() {
  return {
      {"name_empty", named(""), 1},
      {"name_of_zero", named("\\u0000"), 1},
      {"name_with_a_newline", named("a\\nb"), 1},
      {"name_with_quotes", named("\\\"a\\\""), 1},
      {"name_with_a_path", named("../../etc/passwd"), 1},
      {"name_in_greek", named("β.γ"), 1},
      {"name_with_a_face", named("\xF0\x9F\x99\x82"), 1},
      {"name_with_a_surrogate_pair", named("\\ud83d\\ude42"), 1},
      {"name_that_reverses_text_is_legal", named("\\u202e"), 1},
      {"name_like_metadata", named("__metadata__."), 1},
      {"name_like_a_key", named("data_offsets"), 1},
      {"name_of_a_megabyte", [] { return named(repeated("n", 1'000'000)); }, 1},
  };
}

std::vector<LegalFile> legal_layouts() {
  const std::string a = raw_entry("a", "F32", "[1]", "[0,4]");
  return {
      {"nothing_at_all", raw_file("{}")},
      {"nothing_but_spaces", raw_file("{}" + repeated(" ", 6))},
      {"much_padding", raw_file("{" + a + "}" + repeated(" ", 100'000), 4), 1},
      {"spaces_within",
       raw_file("{ \"a\" : { \"dtype\" : \"U8\" ,\n\t\"shape\" : [ 4 ] , \"data_offsets\":[ 0 , 4 ]}}", 4), 1},
      {"keys_in_another_order", raw_file(R"({"a":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}})", 4), 1},
      {"keys_with_escapes", raw_file(R"({"a":{"\u0064type":"U8","shape":[4],"data_offsets":[0,4]}})", 4), 1},
      {"metadata_only", raw_file(R"({"__metadata__":{"format":"pt"}})"), 0, 1},
      {"metadata_empty", raw_file(R"({"__metadata__":{}})"), 0, 0},
      {"metadata_last", raw_file("{" + a + R"(,"__metadata__":{"format":"pt"}})", 4), 1, 1},
      {"metadata_with_escapes", raw_file(R"({"__metadata__":{"\u0000":"\ud83d\ude42\n","":""}})"), 0, 2},
      {"metadata_of_a_megabyte",
       [] { return raw_file(R"({"__metadata__":{"k":")" + repeated("v", 1'000'000) + "\"}}"); }, 0, 1},
      {"metadata_holds_json", raw_file(R"({"__metadata__":{"k":"{\"k\":[1,{}]}"}})"), 0, 1},
      {"no_axis", raw_file("{" + raw_entry("a", "F32", "[]", "[0,4]") + "}", 4), 1},
      {"many_axes", raw_file("{" + raw_entry("a", "F32", "[1" + repeated(",1", 99) + "]", "[0,4]") + "}", 4), 1},
      {"no_element", raw_file("{" + raw_entry("a", "F32", "[0]", "[0,0]") + "}"), 1},
      {"no_element_in_many_axes", raw_file("{" + raw_entry("a", "F64", "[3,0,5]", "[0,0]") + "}"), 1},
      {"no_element_at_the_end", raw_file("{" + a + "," + raw_entry("b", "F32", "[0]", "[4,4]") + "}", 4), 2},
      {"no_element_at_the_start", raw_file("{" + a + "," + raw_entry("b", "F32", "[0]", "[0,0]") + "}", 4), 2},
      {"many_without_elements",
       raw_file("{" + a + "," + raw_entry("b", "F32", "[0]", "[0,0]") + "," + raw_entry("c", "U8", "[0,7]", "[4,4]") +
                    "," + raw_entry("d", "U8", "[0]", "[4,4]") + "}",
                4),
       4},
      {"bytes_in_another_order", raw_file("{" + raw_entry("z", "F32", "[1]", "[4,8]") + "," + a + "}", 8), 2},
      {"small_before_large",
       raw_file("{" + raw_entry("z", "U8", "[3]", "[0,3]") + "," + raw_entry("a", "F32", "[2]", "[3,11]") + "}", 11),
       2},
      {"header_of_odd_length", raw_file("{" + a + "} ", 4), 1},
      {"every_dtype", one_of_each_dtype(), std::size(all_dtypes)},
      {"many_tensors", [] { return many_tensors(100'000); }, 100'000},
  };
}

}  // namespace

std::vector<LegalFile> legal_files() {
  std::vector<LegalFile> files = legal_layouts();
  for (LegalFile& file : legal_names()) files.push_back(std::move(file));
  return files;
}

}  // namespace bnq::test
