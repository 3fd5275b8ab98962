// BitNet in transformers: X.weight U8 [N/4, K] (layout u2_hf), X.weight_scale [1]. Of linear_class autobitlinear it is
// the scale, of bitlinear its reciprocal (docs/formats/folder.rst): which one a file holds is said by its config only.

#include "checkpoint/foreign/foreign.h"
#include "core/elements.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bnq::detail {
namespace {

using safetensors::Entry;

constexpr std::int64_t rows_a_byte = 4;

// Mean magnitudes of trained weights: 0.01 to 0.05 in most models, 1.2 to 2 in Microsoft's 2B-4T. What lies outside of
// these is the reciprocal of one, or nonsense.
constexpr float least_mean = 1.0F / 1024;
constexpr float most_mean = 4;

float stored_scale(const Source& source, const FileForm& form) {
  const Entry& entry = scales_of(source, form.name);
  if (entry.shape != Shape{1}) {
    fail(ErrorKind::bad_content, {.where = in_file(source.path(), form.name),
                                  .what = "BitNet has one scale a tensor",
                                  .got = to_string(entry.shape),
                                  .need = "[1]"});
  }
  float value = 0;
  read_elements(source.view(entry), 0, {&value, 1});
  return value;
}

float median_scale(const Source& source, const std::vector<FileForm>& forms) {
  std::vector<float> scales;
  for (const FileForm& form : forms) {
    const float scale = stored_scale(source, form);
    if (std::isfinite(scale) && scale > 0) {
      scales.push_back(scale);
      continue;
    }
    fail(ErrorKind::bad_content, {.where = in_file(source.path(), form.name),
                                  .what = "its scale is no positive number",
                                  .got = std::to_string(scale)});
  }
  if (scales.empty()) return 1;
  const auto middle = scales.begin() + static_cast<std::ptrdiff_t>(scales.size() / 2);
  std::nth_element(scales.begin(), middle, scales.end());
  return *middle;
}

[[noreturn]] void refuse_convention(const Source& source, const std::string& what, float median) {
  fail(
      ErrorKind::bad_content,
      {.where = text_of(source.path() / config_name),
       .what = what,
       .got = "a median weight_scale of " + std::to_string(median),
       .cure = "say which it is: --scales multiply (weight = code x weight_scale) or --scales inverse (weight = code / "
               "weight_scale)"});
}

FileForm packed_form(const Source& source, const ModelConfig& config, const Entry& codes) {
  const Entry& scales = scales_of(source, codes.name);
  const bool is_matrix = codes.shape.size() == 2 && codes.nbytes > 0;
  if (!is_matrix || codes.shape[0] > std::numeric_limits<std::int64_t>::max() / rows_a_byte) {
    fail(ErrorKind::bad_content, {.where = in_file(source.path(), codes.name),
                                  .what = "packed codes of a matrix are expected",
                                  .got = to_string(codes.shape),
                                  .need = "[rows / 4, depth]"});
  }
  return {.name = codes.name,
          .scheme = Scheme::parse("ternary"),
          .layout = Layout::parse("u2_hf"),
          .dtype = original_dtype(config, scales),
          .shape = {codes.shape[0] * rows_a_byte, codes.shape[1]},
          .scales_dtype = scales.dtype};
}

/// Do the files hold reciprocals?
bool holds_inverse(const Source& source, const std::string& linear_class, float median) {
  if (linear_class == "autobitlinear") {
    if (median <= most_mean) return false;
    refuse_convention(source, "linear_class autobitlinear says that scales multiply, and they look like reciprocals",
                      median);
  }
  if (linear_class == "bitlinear") {
    if (1 / median <= most_mean) return true;
    refuse_convention(source, "linear_class bitlinear says that scales are reciprocals, and they look like scales",
                      median);
  }
  if (linear_class.empty() && median > most_mean && 1 / median >= least_mean) return true;  // transformers' default
  refuse_convention(source, "neither the config nor the values say whether weight_scale is a scale or its reciprocal",
                    median);
}

}  // namespace

Foreign read_transformers_bitnet(const Source& source, const ModelConfig& config, ScaleConvention convention) {
  const std::string& linear_class = config.quantization.linear_class;
  Foreign foreign{.maker = "bitnet" + (linear_class.empty() ? "" : " " + printable(linear_class))};
  for (const Entry& entry : source.tensors()) {
    if (entry.dtype == DType::u8 && looks_packed(source, entry)) {
      foreign.forms.push_back(packed_form(source, config, entry));
    }
  }
  const float median = median_scale(source, foreign.forms);
  const bool inverse = convention == ScaleConvention::as_stated ? holds_inverse(source, linear_class, median)
                                                                : convention == ScaleConvention::inverse;
  for (FileForm& form : foreign.forms) form.has_inverse_scale = inverse;
  return foreign;
}

}  // namespace bnq::detail
