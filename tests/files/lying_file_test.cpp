// Files whose bnq metadata and tensors disagree. The header is right in each of them, so only bnq can notice.
#include "raw_file.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/checkpoint.h>
#include <bnq/quantize.h>
#include <bnq/tensor_file.h>

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace bnq::test {
namespace {

using nlohmann::json;

/// A file in pieces: what its metadata states, and its entries.
struct Pieces {
  json document;
  TensorMap tensors;
};

Pieces take_apart(const std::filesystem::path& path) {
  const safetensors::Reader reader(path);
  Pieces pieces{json::parse(reader.metadata().at("bnq")), {}};
  for (const safetensors::Entry& entry : reader.tensors()) {
    Tensor tensor(entry.dtype, entry.shape);
    const auto bytes = reader.bytes(entry);
    if (!bytes.empty()) std::memcpy(tensor.bytes().data(), bytes.data(), bytes.size());
    pieces.tensors.emplace(entry.name, std::move(tensor));
  }
  return pieces;
}

/// "i8", "i32", "u2" and "u1" are quantized tensors in the layouts that their names begin, [4, 8] of f32.
void write_honest(const std::filesystem::path& path) {
  Random random(741);
  const Tensor w = gaussian(random, DType::f32, {4, 8});
  std::map<std::string, StoredTensor> tensors;
  for (const auto& [name, scheme] : {std::pair("i8", "8"), {"i32", "4"}, {"u2", "ternary"}, {"u1", "1"}}) {
    tensors.emplace(name, quantize(w.view(), Scheme::parse(scheme)));
  }
  tensors.emplace("plain", make_tensor({1, 2}));
  save(path, tensors);
}

struct Lie {
  std::string name;                           ///< of the test
  void (*tell)(Pieces& pieces);               ///< what is changed in an honest file
  std::vector<std::string_view> fragments{};  ///< that the message must hold, beside the file's path
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

json& entry(Pieces& pieces, const char* name) { return pieces.document["tensors"][name]; }

void set_scale(Pieces& pieces, const char* name, float value) {
  pieces.tensors.at(std::string(name) + "_scale").data<float>()[0] = value;
}

void replace(Pieces& pieces, const std::string& name, Tensor tensor) {
  pieces.tensors.insert_or_assign(name, std::move(tensor));
}

std::vector<Lie> lies_about_schemes() {
  return {
      {"scheme_unknown", [](Pieces& p) { entry(p, "i8")["scheme"] = "int9-absmax:row"; }, {"'i8'", "int9"}},
      {"scheme_empty", [](Pieces& p) { entry(p, "i8")["scheme"] = ""; }, {"'i8'"}},
      {"scheme_a_number", [](Pieces& p) { entry(p, "i8")["scheme"] = 8; }, {"'i8'"}},
      {"scheme_missing", [](Pieces& p) { entry(p, "i8").erase("scheme"); }, {"'i8'", "scheme"}},
      {"scheme_unprintable", [](Pieces& p) { entry(p, "i8")["scheme"] = "\x1b[2J"; }, {"'i8'", "\\x1b"}},
      {"scheme_of_another_granularity", [](Pieces& p) { entry(p, "i8")["scheme"] = "int8-absmax:tensor"; }, {"i8"}},
      {"scheme_of_other_bits", [](Pieces& p) { entry(p, "i32")["scheme"] = "int5-absmax:group(64)"; }, {"i32"}},
      {"group_of_zero", [](Pieces& p) { entry(p, "i32")["scheme"] = "int4-absmax:group(0)"; }, {"'i32'"}},
      {"group_of_another_size", [](Pieces& p) { entry(p, "i32")["scheme"] = "int4-absmax:group(4)"; }, {"i32"}},
      {"layout_unknown", [](Pieces& p) { entry(p, "i8")["layout"] = "i9"; }, {"'i8'", "i9"}},
      {"layout_missing", [](Pieces& p) { entry(p, "i8").erase("layout"); }, {"'i8'", "layout"}},
      {"layout_null", [](Pieces& p) { entry(p, "i8")["layout"] = nullptr; }, {"'i8'"}},
      {"layout_that_cannot_hold_the_scheme", [](Pieces& p) { entry(p, "i8")["layout"] = "u1"; }, {"'i8'", "u1"}},
      {"layout_that_cannot_hold_the_codes", [](Pieces& p) { entry(p, "u2")["layout"] = "u1"; }, {"'u2'", "u1"}},
      {"layout_that_cannot_hold_the_rows",
       [](Pieces& p) {
         entry(p, "u2")["shape"] = {3, 8};
       },
       {"'u2'"}},
      {"layout_of_other_programs", [](Pieces& p) { entry(p, "u2")["layout"] = "tq2_0"; }, {"'u2'", "tq2_0"}},
      {"layout_of_other_operators", [](Pieces& p) { entry(p, "i32")["layout"] = "u4_ort"; }, {"'i32'", "u4_ort"}},
      {"layout_of_other_parts", [](Pieces& p) { entry(p, "u2")["layout"] = "i32_ct"; }, {"u2"}},
      {"dtype_unknown", [](Pieces& p) { entry(p, "i8")["dtype"] = "f33"; }, {"'i8'", "f33"}},
      {"dtype_that_is_not_quantized", [](Pieces& p) { entry(p, "i8")["dtype"] = "f64"; }, {"'i8'", "f64"}},
      {"dtype_in_capitals", [](Pieces& p) { entry(p, "i8")["dtype"] = "F32"; }, {"'i8'", "F32"}},
      {"dtype_missing", [](Pieces& p) { entry(p, "i8").erase("dtype"); }, {"'i8'", "dtype"}},
  };
}

std::vector<Lie> lies_about_shapes() {
  return {
      {"shape_missing", [](Pieces& p) { entry(p, "i8").erase("shape"); }, {"'i8'", "shape"}},
      {"shape_null", [](Pieces& p) { entry(p, "i8")["shape"] = nullptr; }, {"'i8'"}},
      {"shape_text", [](Pieces& p) { entry(p, "i8")["shape"] = "[4, 8]"; }, {"'i8'"}},
      {"shape_an_object",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {{"0", 4}, {"1", 8}};
       },
       {"'i8'"}},
      {"shape_of_fractions",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {4.5, 8};
       },
       {"'i8'"}},
      {"shape_of_whole_floats",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {4.0, 8.0};
       },
       {"'i8'"}},
      {"shape_of_texts",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {"4", "8"};
       },
       {"'i8'"}},
      {"shape_negative",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {-4, -8};
       },
       {"'i8'", "-4"}},
      {"shape_past_63_bits",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {~std::uint64_t{0}, 8};
       },
       {"'i8'"}},
      {"shape_that_overflows",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {1LL << 62, 1LL << 62};
       },
       {"'i8'"}},
      {"shape_that_wraps",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {1LL << 32, 1LL << 32};
       },
       {"'i8'"}},
      {"shape_huge_in_words",
       [](Pieces& p) {
         entry(p, "i32")["shape"] = {(1LL << 62), 1};
       },
       {"'i32'"}},
      {"shape_larger_than_any_disk",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {1LL << 50, 8};
       },
       {"'i8'"}},
      {"shape_transposed",
       [](Pieces& p) {
         entry(p, "i8")["shape"] = {8, 4};
       },
       {"i8"}},
      {"shape_of_another_rank", [](Pieces& p) { entry(p, "i8")["shape"] = {32}; }, {"i8"}},
      {"shape_without_axes", [](Pieces& p) { entry(p, "i32")["shape"] = json::array(); }, {"'i32'"}},
      {"shape_that_shares_its_words",
       [](Pieces& p) {
         entry(p, "i32")["shape"] = {4, 7};
       },
       {"'i32'", "i32_shape"}},
      {"shape_that_shares_its_bytes",
       [](Pieces& p) {
         entry(p, "u2")["shape"] = {4, 9};
       },
       {"'u2'"}},
  };
}

std::vector<Lie> lies_about_parts() {
  return {
      {"codes_missing", [](Pieces& p) { p.tensors.erase("i8"); }, {"'i8'", "missing"}},
      {"words_missing", [](Pieces& p) { p.tensors.erase("i32_packed"); }, {"'i32'", "i32_packed"}},
      {"scale_missing", [](Pieces& p) { p.tensors.erase("u2_scale"); }, {"'u2'", "u2_scale"}},
      {"stated_shape_missing", [](Pieces& p) { p.tensors.erase("i32_shape"); }, {"'i32'", "i32_shape"}},
      {"tensor_that_is_not_there", [](Pieces& p) { entry(p, "ghost") = entry(p, "i8"); }, {"'ghost'"}},
      {"plain_tensor_called_quantized", [](Pieces& p) { entry(p, "plain") = entry(p, "i8"); }, {"'plain'"}},
      {"codes_of_another_dtype",
       [](Pieces& p) {
         replace(p, "i8", Tensor(DType::u8, {4, 8}));
       },
       {"'i8'", "u8"}},
      {"codes_of_another_shape",
       [](Pieces& p) {
         replace(p, "u1", Tensor(DType::u8, {4, 2}));
       },
       {"'u1'", "[4, 2]"}},
      {"codes_empty",
       [](Pieces& p) {
         replace(p, "i8", Tensor(DType::i8, {0, 8}));
       },
       {"'i8'", "[0, 8]"}},
      {"words_of_another_width",
       [](Pieces& p) {
         replace(p, "i32_packed", Tensor(DType::i32, {4, 2}));
       },
       {"'i32'"}},
      {"scale_of_another_dtype", [](Pieces& p) { replace(p, "u2_scale", Tensor(DType::f16, {1})); }, {"'u2'", "f16"}},
      {"scale_of_another_shape", [](Pieces& p) { replace(p, "u2_scale", Tensor(DType::f32, {})); }, {"'u2'", "[]"}},
      {"scale_for_each_row",
       [](Pieces& p) {
         replace(p, "u2_scale", Tensor(DType::f32, {4, 1}));
       },
       {"'u2'"}},
      {"scales_transposed",
       [](Pieces& p) {
         replace(p, "i8_scale", Tensor(DType::f32, {1, 4}));
       },
       {"'i8'"}},
      {"scales_too_few",
       [](Pieces& p) {
         replace(p, "i8_scale", Tensor(DType::f32, {3, 1}));
       },
       {"'i8'", "[3, 1]"}},
      {"scales_none", [](Pieces& p) { replace(p, "i8_scale", Tensor(DType::f32, {0})); }, {"'i8'"}},
      {"scale_negative", [](Pieces& p) { set_scale(p, "i8", -0.5F); }, {"'i8'", "scale 0", "-0.5"}},
      {"scale_nan", [](Pieces& p) { set_scale(p, "u2", std::numeric_limits<float>::quiet_NaN()); }, {"'u2'", "nan"}},
      {"scale_infinite",
       [](Pieces& p) { set_scale(p, "u1", std::numeric_limits<float>::infinity()); },
       {"'u1'", "inf"}},
      {"stated_shape_differs", [](Pieces& p) { p.tensors.at("i32_shape").data<std::int64_t>()[1] = 7; }, {"'i32'"}},
      {"stated_shape_of_another_rank", [](Pieces& p) { replace(p, "i32_shape", Tensor(DType::i64, {3})); }, {"'i32'"}},
      {"stated_shape_of_another_dtype", [](Pieces& p) { replace(p, "i32_shape", Tensor(DType::i32, {2})); }, {"'i32'"}},
      {"code_3_in_u2", [](Pieces& p) { p.tensors.at("u2").bytes()[5] = std::byte{0x30}; }, {"'u2'", "[2, 5]"}},
      {"code_minus_128_in_i8", [](Pieces& p) { p.tensors.at("i8").bytes()[9] = std::byte{0x80}; }, {"'i8'", "[1, 1]"}},
      {"code_minus_8_in_i32",
       [](Pieces& p) { p.tensors.at("i32_packed").bytes()[4] &= std::byte{0x0F}; },
       {"'i32'", "-8", "[1, 1]"}},
      {"two_tensors_share_codes",
       [](Pieces& p) {
         entry(p, "i32_packed") = entry(p, "i8");
         entry(p, "i32_packed")["shape"] = {4, 1};
       },
       {"i32_packed"}},
      {"two_tensors_share_scales",
       [](Pieces& p) {
         entry(p, "i8_scale") = entry(p, "i8");
         entry(p, "i8_scale")["shape"] = {4, 1};
       },
       {"i8_scale"}},
      {"quantized_and_plain_of_one_name", [](Pieces& p) { replace(p, "i32", make_tensor({1})); }, {"'i32'", "twice"}},
  };
}

std::vector<Lie> lies_about_everything() {
  return {
      {"tensors_missing", [](Pieces& p) { p.document.erase("tensors"); }, {"bnq", "tensors"}},
      {"tensors_null", [](Pieces& p) { p.document["tensors"] = nullptr; }, {"bnq"}},
      {"tensors_a_list", [](Pieces& p) { p.document["tensors"] = json::array({"i8"}); }, {"bnq"}},
      {"tensor_null", [](Pieces& p) { entry(p, "i8") = nullptr; }, {"'i8'"}},
      {"tensor_a_list", [](Pieces& p) { entry(p, "i8") = json::array(); }, {"'i8'"}},
      {"tensor_text", [](Pieces& p) { entry(p, "i8") = "int8-absmax:row"; }, {"'i8'"}},
      {"version_missing", [](Pieces& p) { p.document.erase("version"); }, {"bnq", "version"}},
      {"version_a_number", [](Pieces& p) { p.document["version"] = 1; }, {"bnq"}},
      {"form_missing", [](Pieces& p) { p.document.erase("form"); }, {"bnq", "form"}},
      {"form_of_the_future", [](Pieces& p) { p.document["form"] = 2; }, {"bnq", "newer", "2"}},
      {"form_of_the_far_future", [](Pieces& p) { p.document["form"] = (1ULL << 32U) + 1; }, {"bnq", "newer"}},
      {"form_zero", [](Pieces& p) { p.document["form"] = 0; }, {"bnq", "form"}},
      {"form_negative", [](Pieces& p) { p.document["form"] = -1; }, {"bnq", "form"}},
      {"form_a_fraction", [](Pieces& p) { p.document["form"] = 1.5; }, {"bnq", "form"}},
      {"form_text", [](Pieces& p) { p.document["form"] = "1"; }, {"bnq"}},
      {"form_null", [](Pieces& p) { p.document["form"] = nullptr; }, {"bnq"}},
      {"document_a_list", [](Pieces& p) { p.document = json::array({1}); }, {"bnq"}},
      {"document_null", [](Pieces& p) { p.document = nullptr; }, {"bnq"}},
      {"document_text", [](Pieces& p) { p.document = "bnq"; }, {"bnq"}},
      {"document_empty", [](Pieces& p) { p.document = json::object(); }, {"bnq"}},
  };
}

class LyingFileTest : public ::testing::TestWithParam<Lie> {
 protected:
  TempDir dir;
  std::filesystem::path path = dir / "lie.safetensors";
};

void expect_refused(const std::function<void()>& call, const std::filesystem::path& path, const Lie& lie) {
  EXPECT_TRUE(throws_error(call, ErrorKind::bad_content, {path.string()}));
  for (const std::string_view fragment : lie.fragments) {
    EXPECT_TRUE(throws_error(call, ErrorKind::bad_content, {fragment}));
  }
}

TEST_P(LyingFileTest, IsFoundOut) {
  const std::filesystem::path honest = dir / "honest.safetensors";
  write_honest(honest);
  Pieces pieces = take_apart(honest);
  GetParam().tell(pieces);
  write_tensors(path, pieces.tensors, {{"format", "pt"}, {"bnq", pieces.document.dump()}});
  expect_refused([&] { (void)bnq::load(path); }, path, GetParam());
  const std::ptrdiff_t before = dir.entries();
  expect_refused([&] { dequantize_checkpoint(path, dir / "out"); }, path, GetParam());
  EXPECT_EQ(dir.entries(), before);
}

constexpr auto name_of = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Scheme, LyingFileTest, ::testing::ValuesIn(lies_about_schemes()), name_of);
INSTANTIATE_TEST_SUITE_P(Shape, LyingFileTest, ::testing::ValuesIn(lies_about_shapes()), name_of);
INSTANTIATE_TEST_SUITE_P(Part, LyingFileTest, ::testing::ValuesIn(lies_about_parts()), name_of);
INSTANTIATE_TEST_SUITE_P(Document, LyingFileTest, ::testing::ValuesIn(lies_about_everything()), name_of);

class BnqEntryTest : public TempDirTest {
 protected:
  std::filesystem::path path = dir / "entry.safetensors";
};

/// The counterpart of the table: taking a file apart and putting it together tells no lie.
TEST_F(BnqEntryTest, AnHonestFileIsBelieved) {
  write_honest(path);
  const Pieces pieces = take_apart(path);
  write_tensors(dir / "again", pieces.tensors, {{"format", "pt"}, {"bnq", pieces.document.dump()}});
  EXPECT_EQ(read_file(dir / "again"), read_file(path));
  EXPECT_EQ(bnq::load(dir / "again").size(), 5U);
}

TEST_F(BnqEntryTest, HasToBeJson) {
  for (const char* text : {"", "{", "no", "{}x", "{\"form\":1e400}"}) {
    SCOPED_TRACE(text);
    write_tensors(path, {}, {{"bnq", text}});
    EXPECT_BNQ_ERROR(bnq::load(path), ErrorKind::bad_content, path.string(), "bnq");
    EXPECT_BNQ_ERROR(inspect_checkpoint(path), ErrorKind::bad_content, path.string(), "bnq");
    EXPECT_BNQ_ERROR(plan_checkpoint(path, {}), ErrorKind::bad_content, path.string(), "bnq");
    EXPECT_BNQ_ERROR(verify_checkpoint(path, path, {}), ErrorKind::bad_content, path.string(), "bnq");
  }
}

TEST_F(BnqEntryTest, HasADepthLimit) {
  constexpr std::size_t deep = 100'000;
  for (const std::string& text :
       {repeated("[", deep), repeated("{\"a\":", deep), repeated("[", deep) + repeated("]", deep),
        repeated("{\"a\":", deep) + "1" + repeated("}", deep),
        "{\"form\":1,\"tensors\":" + repeated("[", deep) + repeated("]", deep) + "}"}) {
    SCOPED_TRACE(text.substr(0, 40));
    write_tensors(path, {}, {{"bnq", text}});
    EXPECT_BNQ_ERROR(bnq::load(path), ErrorKind::bad_content, path.string(), "bnq", "nested");
    EXPECT_BNQ_ERROR(inspect_checkpoint(path), ErrorKind::bad_content, path.string(), "bnq", "nested");
  }
}

TEST_F(BnqEntryTest, MayHoldMoreThanIsKnown) {
  write_honest(path);
  Pieces pieces = take_apart(path);
  pieces.document["comment"] = "kept by a later bnq of the same form";
  entry(pieces, "i8")["note"] = 1;
  write_tensors(path, pieces.tensors, {{"bnq", pieces.document.dump()}});
  EXPECT_EQ(bnq::load(path).size(), 5U);
}

}  // namespace
}  // namespace bnq::test
