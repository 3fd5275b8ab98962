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
#include <optional>
#include <span>

namespace bnq::detail {
namespace {

using safetensors::Entry;

constexpr std::string_view packed_format = "pack-quantized";
constexpr std::array<std::string_view, 3> formats{"int-quantized", packed_format, "naive-quantized"};
constexpr std::array<std::string_view, 3> strategies{"tensor", "channel", "group"};
constexpr std::array<std::string_view, 2> reordered{"group", "dynamic"};  // two names of one thing
constexpr std::int64_t least_bits = 2;
constexpr std::int64_t most_bits = 8;
constexpr std::string_view packed_suffix = "_packed";
constexpr std::int64_t word_bits = 32;

[[noreturn]] void refuse(const Source& source, const std::string& name, std::string what, std::string got,
                         std::string need = {}) {
  fail(
      ErrorKind::bad_content,
      {.where = in_file(source.path(), name), .what = std::move(what), .got = std::move(got), .need = std::move(need)});
}

bool is_one_of(const std::string& text, std::span<const std::string_view> texts) {
  return std::ranges::find(texts, text) != texts.end();
}

std::string why_unread(const WeightGroup& group) {
  if (!is_one_of(group.format, formats)) {
    return (group.format.empty() ? "no format" : "format '" + printable(group.format) + "'") +
           " (int-quantized and pack-quantized are read)";
  }
  if (group.type != "int") return "weights of type '" + printable(group.type) + "' (int is read)";
  if (!is_one_of(group.strategy, strategies)) {
    return "strategy '" + printable(group.strategy) + "' (tensor, channel and group are read)";
  }
  if (!group.is_symmetric) return "zero points (symmetric codes are read)";
  if (is_one_of(group.order, reordered)) return "columns in another order (actorder '" + printable(group.order) + "')";
  return {};
}

std::string why_unread(const QuantizationConfig& config) {
  if (!config.unread.empty()) return config.unread;
  for (const WeightGroup& group : config.groups) {
    if (std::string unread = why_unread(group); !unread.empty()) return unread;
  }
  return {};
}

void require_groups(const Source& source, const QuantizationConfig& config) {
  const auto refuse_config = [&](const char* what, std::string got, const char* need) {
    fail(ErrorKind::bad_content,
         {.where = text_of(source.path() / config_name), .what = what, .got = std::move(got), .need = need});
  };
  if (config.groups.empty()) {
    refuse_config("does not say how the weights are quantized", "no config_groups with weights",
                  "their num_bits, strategy and symmetry");
  }
  for (const WeightGroup& group : config.groups) {
    const bool valid = group.num_bits >= least_bits && group.num_bits <= most_bits;
    if (!valid) refuse_config("states an absurd width", "num_bits " + std::to_string(group.num_bits), "2 to 8");
  }
}

/// A weight as it lies in the files.
struct Weight {
  std::string name;
  Shape shape;
  const Entry& scales;
  std::optional<std::int64_t> words = {};  ///< int32 words of a row; none: codes are bytes
};

/// Has a weight of this group this form? Layers are not looked up by their names, as the config's targets are patterns.
bool fits(const WeightGroup& group, const Weight& weight) {
  const std::int64_t rows = weight.shape[0];
  const std::int64_t depth = weight.shape[1];
  const Shape& scales = weight.scales.shape;
  if ((group.format == packed_format) != weight.words.has_value()) return false;
  if (weight.words && ceil_div(depth * group.num_bits, word_bits) != *weight.words) return false;
  if (group.strategy == "tensor") return scales == Shape{1};
  if (group.strategy == "channel") return scales == Shape{rows, 1};
  return depth % group.group_size == 0 && scales == Shape{rows, depth / group.group_size};
}

Granularity granularity_of(const WeightGroup& group) {
  if (group.strategy == "tensor") return Granularity::tensor();
  return group.strategy == "channel" ? Granularity::row() : Granularity::group(group.group_size);
}

std::string text_of(const WeightGroup& group) {
  const std::string size = group.strategy == "group" ? " of " + std::to_string(group.group_size) : "";
  return std::to_string(group.num_bits) + " bits, one scale a " + group.strategy + size + ", " + group.format;
}

/// The group of the config that a weight belongs to.
const WeightGroup& group_of(const Source& source, const QuantizationConfig& config, const Weight& weight) {
  const WeightGroup* found = nullptr;
  std::string all;
  for (const WeightGroup& group : config.groups) {
    all += (all.empty() ? "" : "; or ") + text_of(group);
    if (!fits(group, weight)) continue;
    if (found != nullptr && found->num_bits != group.num_bits) {
      refuse(source, weight.name, "several groups of the config fit it", text_of(*found) + "; and " + text_of(group));
    }
    found = &group;
  }
  if (found != nullptr) return *found;
  const std::string words = weight.words ? " in " + std::to_string(*weight.words) + " words a row" : "";
  refuse(source, weight.name, "fits no group of the config",
         to_string(weight.shape) + words + " with scales " + to_string(weight.scales.shape), all);
}

/// Codes with zero points, or in the order of another permutation, would be read as plain ones.
std::string why_unread(const Source& source, const std::string& name) {
  for (const char* const part : {"_zero_point", "_g_idx"}) {
    if (source.find(name + part) != nullptr) return "'" + printable(name) + part + "' (symmetric codes are read)";
  }
  return {};
}

Shape stated_shape(const Source& source, const std::string& name) {
  const Entry* const entry = source.find(name + "_shape");
  if (entry == nullptr || entry->dtype != DType::i64 || entry->shape != Shape{2}) {
    refuse(source, name, "its shape is not stated",
           entry == nullptr ? "no '" + printable(name) + "_shape'" : to_string(entry->shape),
           "'" + printable(name) + "_shape', i64 [2]");
  }
  Shape shape(2);
  std::memcpy(shape.data(), source.bytes(*entry).data(), entry->nbytes);
  const bool sensible = std::ranges::all_of(shape, [](std::int64_t n) { return n > 0 && n < (std::int64_t{1} << 31); });
  if (!sensible) refuse(source, name, "its stated shape is absurd", to_string(shape));
  return shape;
}

FileForm form_of(const ModelConfig& config, const WeightGroup& group, const Weight& weight) {
  return {.name = weight.name,
          .scheme = Scheme::parse("int" + std::to_string(group.num_bits) + "-given").with(granularity_of(group)),
          .layout = Layout::parse(weight.words ? "i32_ct" : "i8"),
          .dtype = original_dtype(config, weight.scales),
          .shape = weight.shape,
          .scales_dtype = weight.scales.dtype};
}

FileForm int_form(const Source& source, const ModelConfig& config, const Entry& codes) {
  const Weight weight{.name = codes.name, .shape = codes.shape, .scales = scales_of(source, codes.name)};
  if (codes.shape.size() != 2) refuse(source, codes.name, "codes of a matrix are expected", to_string(codes.shape));
  return form_of(config, group_of(source, config.quantization, weight), weight);
}

FileForm packed_form(const Source& source, const ModelConfig& config, const Entry& codes) {
  const std::string name = codes.name.substr(0, codes.name.size() - packed_suffix.size());
  const Weight weight{.name = name,
                      .shape = stated_shape(source, name),
                      .scales = scales_of(source, name),
                      .words = codes.shape.empty() ? 0 : codes.shape.back()};
  const WeightGroup& group = group_of(source, config.quantization, weight);
  if (group.num_bits == most_bits) refuse(source, name, "bnq does not read 8 bits in words", text_of(group));
  return form_of(config, group, weight);
}

}  // namespace

Foreign read_compressed_tensors(const Source& source, const ModelConfig& config) {
  const std::vector<WeightGroup>& groups = config.quantization.groups;
  Foreign foreign{.maker = "compressed-tensors", .unread = why_unread(config.quantization)};
  if (!groups.empty()) foreign.maker += " " + printable(groups.front().format);
  if (!foreign.unread.empty()) return foreign;
  require_groups(source, config.quantization);
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
