// compressed-tensors: int-quantized has codes X.weight I8 [N, K]; pack-quantized X.weight_packed I32 (layout i32_ct)
// and X.weight_shape. Scales, which multiply, are X.weight_scale: [1], [N, 1] or [N, groups].

#include "checkpoint/foreign/foreign.h"
#include "core/checked.h"
#include "core/elements.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

namespace bnq::detail {
namespace {

using safetensors::Entry;

constexpr std::array<std::string_view, 4> readable{"int-quantized", "pack-quantized", "naive-quantized",
                                                   "mixed-precision"};
constexpr std::string_view packed_suffix = "_packed";
constexpr std::int64_t word_bits = 32;

[[noreturn]] void refuse(const Source& source, const std::string& name, std::string what, std::string got,
                         std::string need = {}) {
  fail(
      ErrorKind::bad_content,
      {.where = in_file(source.path(), name), .what = std::move(what), .got = std::move(got), .need = std::move(need)});
}

std::string why_unread(const QuantizationConfig& config) {
  for (const std::string& format : config.formats) {
    if (std::ranges::find(readable, format) != readable.end()) continue;
    return "format '" + printable(format) + "' (int-quantized and pack-quantized are read)";
  }
  for (const std::string& type : config.types) {
    if (type != "int") return "weights of type '" + printable(type) + "' (int is read)";
  }
  return {};
}

/// Which elements share a scale, told by the shape of the scales.
Granularity granularity_of(const Source& source, const std::string& name, const Shape& shape, const Shape& scales) {
  if (scales == Shape{1}) return Granularity::tensor();
  if (scales.size() == 2 && scales[0] == shape[0]) {
    if (scales[1] == 1) return Granularity::row();
    if (scales[1] > 0 && shape[1] % scales[1] == 0) return Granularity::group(shape[1] / scales[1]);
  }
  refuse(source, name, "its scales fit no granularity", to_string(scales) + " for " + to_string(shape),
         "[1], [rows, 1], or [rows, groups] with groups that divide the depth");
}

/// Codes with zero points, or in the order of another permutation, would be read as plain ones.
std::string why_unread(const Source& source, const std::string& name) {
  for (const char* const part : {"_zero_point", "_g_idx"}) {
    if (source.find(name + part) != nullptr) return "'" + printable(name) + part + "' (symmetric codes are read)";
  }
  return {};
}

Scheme given_scheme(std::int64_t bits, const Granularity& granularity) {
  return Scheme::parse("int" + std::to_string(bits) + "-given").with(granularity);
}

Shape stated_shape(const Source& source, const std::string& name) {
  const Entry* const entry = source.find(name + "_shape");
  if (entry == nullptr || entry->dtype != DType::i64 || entry->shape != Shape{2}) {
    refuse(source, name, "its shape is not stated",
           entry == nullptr ? "no '" + printable(name) + "_shape'" : to_string(entry->shape),
           "'" + printable(name) + "_shape', i64 [2]");
  }
  Shape shape(2);
  std::memcpy(shape.data(), source.shard_of(entry->name).bytes(*entry).data(), entry->nbytes);
  const bool sensible = std::ranges::all_of(shape, [](std::int64_t n) { return n > 0 && n < (std::int64_t{1} << 31); });
  if (!sensible) refuse(source, name, "its stated shape is absurd", to_string(shape));
  return shape;
}

/// The one width of which `words` int32 hold a row of `depth` codes, and which the config has where it has any: all are
/// different from a depth of 32 on.
std::int64_t bits_of(const Source& source, const std::string& name, std::int64_t depth, std::int64_t words,
                     const std::vector<std::int64_t>& stated) {
  std::set<std::int64_t> fitting;
  for (std::int64_t bits = 2; bits <= 8; ++bits) {
    if (ceil_div(depth * bits, word_bits) == words) fitting.insert(bits);
  }
  if (!stated.empty()) std::erase_if(fitting, [&](std::int64_t b) { return std::ranges::count(stated, b) == 0; });
  if (fitting.size() == 1 && *fitting.begin() < 8) return *fitting.begin();
  refuse(source, name,
         fitting.empty() ? "its words hold no row of codes of 2 to 7 bits" : "bnq does not read its width",
         std::to_string(words) + " words of 32 bits for " + std::to_string(depth) + " codes", "codes of 2 to 7 bits");
}

FileForm int_form(const Source& source, const ModelConfig& config, const Entry& codes) {
  const Entry& scales = scales_of(source, codes.name);
  if (codes.shape.size() != 2) refuse(source, codes.name, "codes of a matrix are expected", to_string(codes.shape));
  const std::vector<std::int64_t>& stated = config.quantization.num_bits;
  const bool one_width = !stated.empty() && std::ranges::count(stated, stated.front()) == std::ssize(stated);
  const std::int64_t bits = one_width && stated.front() >= 2 && stated.front() <= 8 ? stated.front() : 8;
  const Granularity granularity = granularity_of(source, codes.name, codes.shape, scales.shape);
  return {.name = codes.name,
          .scheme = given_scheme(bits, granularity),
          .layout = Layout::parse("i8"),
          .dtype = original_dtype(config, scales),
          .shape = codes.shape,
          .scales_dtype = scales.dtype};
}

FileForm packed_form(const Source& source, const ModelConfig& config, const Entry& codes) {
  std::string name = codes.name.substr(0, codes.name.size() - packed_suffix.size());
  const Entry& scales = scales_of(source, name);
  const Shape shape = stated_shape(source, name);
  const std::int64_t words = codes.shape.empty() ? 0 : codes.shape.back();
  const std::int64_t bits = bits_of(source, name, shape[1], words, config.quantization.num_bits);
  const Granularity granularity = granularity_of(source, name, shape, scales.shape);
  return {.name = std::move(name),
          .scheme = given_scheme(bits, granularity),
          .layout = Layout::parse("i32_ct"),
          .dtype = original_dtype(config, scales),
          .shape = shape,
          .scales_dtype = scales.dtype};
}

}  // namespace

Foreign read_compressed_tensors(const Source& source, const ModelConfig& config) {
  Foreign foreign{.maker = "compressed-tensors", .unread = why_unread(config.quantization)};
  if (!config.quantization.formats.empty()) foreign.maker += " " + printable(config.quantization.formats.front());
  if (!foreign.unread.empty()) return foreign;
  for (const Entry& entry : source.tensors()) {
    if (entry.dtype == DType::u8 || !looks_packed(source, entry)) continue;
    const bool is_packed = entry.dtype == DType::i32;
    FileForm form = is_packed ? packed_form(source, config, entry) : int_form(source, config, entry);
    if (std::string unread = why_unread(source, form.name); !unread.empty()) {
      return {.maker = foreign.maker, .unread = std::move(unread)};
    }
    foreign.forms.push_back(std::move(form));
  }
  return foreign;
}

}  // namespace bnq::detail
