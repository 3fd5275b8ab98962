#include "checkpoint/convert/conversion.h"

#include "checkpoint/convert/narrow.h"
#include "checkpoint/findings.h"
#include "checkpoint/foreign/online_bitnet.h"
#include "checkpoint/target/common_layout.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <bnq/quantize.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;

/// Tells nearly every other tensor by its first few values; one that begins with zeros is still to be looked at.
bool begins_ternary(const TensorView& view) {
  constexpr std::int64_t enough = 1024;
  const Findings first = look_at(TensorView(view.data(), view.dtype(), {std::min(enough, view.elements())}));
  return first.is_ternary() || first.zeros == std::min(enough, view.elements());
}

/// Floats that lose nothing as codes. Only matrices: no other tensor is a linear layer's weight.
bool is_ternary(const Source& source, const Entry& entry) {
  if (!is_quantizable(entry.dtype) || entry.shape.size() != 2) return false;
  const TensorView view = source.view(entry);
  if (!begins_ternary(view)) return false;
  const bool found = look_at(view).is_ternary();
  source.release(entry);
  return found;
}

std::string figure(double value) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

}  // namespace

Conversion::Conversion(const std::filesystem::path& in, const ConvertOptions& options)
    : options_(options), source_(in, options.gguf_types), contents_(contents_of(source_, options.convention)) {
  require_readable(source_, contents_);
  add_quantized();
  for (const auto& [name, entry] : contents_.plain) add_plain(entry);
  require_low_bit();
  std::ranges::sort(items, {}, &Item::name);
  for (Item& item : items) item.out = item.name;
  result.file_bytes_in = source_.file_bytes();
  result.layout = options_.to;
  if (options_.target) choose_layout(*options_.target);
}

void Conversion::add_quantized() {
  for (const FileForm& form : contents_.quantized) {
    Item item{.name = form.name, .dtype = form.dtype, .shape = form.shape, .scheme = form.scheme, .form = &form};
    for (const Entry& part : form.parts()) item.nbytes += part.nbytes;
    if (form.layout.holds_scales()) {
      item.scheme = narrow_scheme(read_quantized(source_, form));
      release(item);
    }
    items.push_back(std::move(item));
    ++result.tensors;
  }
}

void Conversion::add_plain(const Entry& entry) {
  Item item{.name = entry.name, .dtype = entry.dtype, .shape = entry.shape, .nbytes = entry.nbytes};
  if (is_ternary(source_, entry)) {
    require_same_scale(in_file(source_.file_of(entry.name), entry.name), contents_.model);
    item.scheme = Scheme::parse("ternary");
    ++result.tensors;
    ++result.ternary_floats;
  } else {
    ++result.copied;
  }
  items.push_back(std::move(item));
}

void Conversion::require_low_bit() const {
  if (result.tensors > 0) return;
  fail(ErrorKind::bad_content, {.where = text_of(source_.path()),
                                .what = "holds no low-bit tensor, and converting quantizes nothing",
                                .got = std::to_string(result.copied) + " plain tensors",
                                .need = "a quantized checkpoint, or matrices of -a, 0, +a alone",
                                .cure = "quantize it first: `bnq quantize`"});
}

void Conversion::choose_layout(const Target& target) {
  CommonLayout common(target);
  for (const Item& item : items) {
    if (!item.scheme) continue;
    common.add(in_file(source_.path(), item.name), *item.scheme, item.shape);
    for (std::string& difference : target.differences(*item.scheme)) {
      if (std::ranges::find(result.notes, difference) == result.notes.end()) {
        result.notes.push_back(std::move(difference));
      }
    }
  }
  result.layout = common.layout();
}

void Conversion::require_places() const {
  for (const Item& item : items) {
    const std::string refusal = item.scheme ? to().refusal(*item.scheme, item.shape) : "";
    if (refusal.empty()) continue;
    fail(ErrorKind::unsupported, {.where = in_file(source_.path(), item.name),
                                  .what = "layout " + std::string(to().name()) + " cannot hold it: it " + refusal,
                                  .got = item.scheme->to_string() + " " + to_string(item.shape),
                                  .cure = "choose another layout; i8 holds every tensor"});
  }
}

QuantizedTensor Conversion::codes_of(const Item& item) const {
  QuantizedTensor q = item.form != nullptr ? read_quantized(source_, *item.form)
                                           : quantize(source_.view(*source_.find(item.name)), *item.scheme);
  if (q.scheme() != *item.scheme) q = narrowed(q, *item.scheme);
  return item.heads > 0 ? reordered(q, item.heads, item.order) : q;
}

std::span<const std::byte> Conversion::bytes_of(const Item& item, Tensor& buffer) const {
  const Entry& entry = *source_.find(item.name);
  if (item.heads == 0) return source_.bytes(entry);
  Tensor values(entry.dtype, entry.shape);
  std::ranges::copy(source_.bytes(entry), values.bytes().begin());
  buffer = reordered(values, item.heads, item.order);
  return std::as_const(buffer).bytes();
}

PackedTensor Conversion::pack(const Item& item) {
  const auto packed = [&] {
    try {
      return bnq::pack(codes_of(item), to());
    } catch (const Error& error) {
      throw Error(error.kind(), in_file(source_.path(), item.name) + ": " + error.what());
    }
  }();
  const double error = packed.scale_error();
  if (error > 0 && options_.strict) {
    fail(ErrorKind::unsupported, {.where = in_file(source_.path(), item.name),
                                  .what = "layout " + std::string(to().name()) + " rounds its scale",
                                  .got = "a relative error of " + figure(error),
                                  .need = "none, as strict asks",
                                  .cure = "choose a layout with float32 scales, or allow the rounding"});
  }
  if (error > result.scale_error) {
    result.scale_error = error;
    result.worst_name = item.name;
  }
  return packed;
}

void Conversion::release(const Item& item) const {
  for (const Entry& part : item.form != nullptr ? item.form->parts() : std::vector{*source_.find(item.name)}) {
    source_.release(*source_.find(part.name));
  }
}

}  // namespace bnq::detail
