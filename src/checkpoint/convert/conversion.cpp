#include "checkpoint/convert/conversion.h"

#include "checkpoint/findings.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <bnq/quantize.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;

/// Floats that lose nothing as codes. Only matrices: no other tensor is a linear layer's weight.
bool is_ternary(const Source& source, const Entry& entry) {
  if (!is_quantizable(entry.dtype) || entry.shape.size() != 2) return false;
  const safetensors::Reader& shard = source.shard_of(entry.name);
  const bool found = look_at(shard.view(entry)).is_ternary();
  shard.release(entry);
  return found;
}

std::string figure(double value) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

}  // namespace

Conversion::Conversion(const std::filesystem::path& in, const ConvertOptions& options)
    : options_(options), source_(in), contents_(contents_of(source_, options.convention)) {
  require_readable(source_, contents_);
  add_quantized();
  for (const auto& [name, entry] : contents_.plain) add_plain(entry);
  require_low_bit();
  std::ranges::sort(items_, {}, &Item::name);
  for (const Item& item : items_) require_place(item);
  result.file_bytes_in = source_.file_bytes();
}

void Conversion::add_quantized() {
  for (const FileForm& form : contents_.quantized) {
    Item item{.name = form.name, .dtype = form.dtype, .shape = form.shape, .scheme = form.scheme, .form = &form};
    for (const Entry& part : form.parts()) item.nbytes += part.nbytes;
    items_.push_back(std::move(item));
    ++result.tensors;
  }
}

void Conversion::add_plain(const Entry& entry) {
  Item item{.name = entry.name, .dtype = entry.dtype, .shape = entry.shape, .nbytes = entry.nbytes};
  if (is_ternary(source_, entry)) {
    item.scheme = Scheme::parse("ternary");
    ++result.tensors;
    ++result.ternary_floats;
  } else {
    ++result.copied;
  }
  items_.push_back(std::move(item));
}

void Conversion::require_low_bit() const {
  if (result.tensors > 0) return;
  fail(ErrorKind::bad_content, {.where = text_of(source_.path()),
                                .what = "holds no low-bit tensor, and converting quantizes nothing",
                                .got = std::to_string(result.copied) + " plain tensors",
                                .need = "a quantized checkpoint, or matrices of -a, 0, +a alone",
                                .cure = "quantize it first: `bnq quantize`"});
}

void Conversion::require_place(const Item& item) const {
  if (!item.scheme) return;
  const std::string refusal = options_.to.refusal(*item.scheme, item.shape);
  if (refusal.empty()) return;
  fail(ErrorKind::unsupported, {.where = in_file(source_.path(), item.name),
                                .what = "layout " + std::string(options_.to.name()) + " cannot hold it: it " + refusal,
                                .got = item.scheme->to_string() + " " + to_string(item.shape),
                                .cure = "choose another layout; i8 holds every tensor"});
}

QuantizedTensor Conversion::codes_of(const Item& item) const {
  if (item.form != nullptr) return read_quantized(source_, *item.form);
  const safetensors::Reader& shard = source_.shard_of(item.name);
  return quantize(shard.view(*source_.find(item.name)), *item.scheme);
}

PackedTensor Conversion::pack(const Item& item, const QuantizedTensor& q) {
  const auto packed = [&] {
    try {
      return bnq::pack(q, options_.to);
    } catch (const Error& error) {
      throw Error(error.kind(), in_file(source_.path(), item.name) + ": " + error.what());
    }
  }();
  const double error = packed.scale_error();
  if (error > 0 && options_.strict) {
    fail(ErrorKind::unsupported, {.where = in_file(source_.path(), item.name),
                                  .what = "layout " + std::string(options_.to.name()) + " rounds its scale",
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
    source_.shard_of(part.name).release(*source_.find(part.name));
  }
}

}  // namespace bnq::detail
