#include "io/file_form.h"

#include "core/elements.h"
#include "core/fail.h"
#include "io/system_call.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;

std::string described(DType dtype, const Shape& shape) { return std::string(name(dtype)) + " " + to_string(shape); }

/// The shard with the codes, if they are there, and the tensor.
std::string where_of(const Source& source, const FileForm& form) {
  const std::string codes = form.codes_name();
  return in_file(source.find(codes) == nullptr ? source.path() : source.file_of(codes), form.name);
}

/// The entry `need` of the files, if it is there as the form says.
std::span<const std::byte> part_bytes(const Source& source, const FileForm& form, const Entry& need) {
  const Entry* const entry = source.find(need.name);
  const std::string where = where_of(source, form);
  if (entry == nullptr) {
    fail(ErrorKind::bad_content, {.where = where,
                                  .what = "a part is missing",
                                  .need = "'" + printable(need.name) + "', " + described(need.dtype, need.shape)});
  }
  if (entry->dtype != need.dtype || entry->shape != need.shape) {
    fail(ErrorKind::bad_content, {.where = where,
                                  .what = "'" + printable(need.name) + "' does not fit " + form.scheme.to_string() +
                                          " " + to_string(form.shape) + " in layout " + std::string(form.layout.name()),
                                  .got = described(entry->dtype, entry->shape),
                                  .need = described(need.dtype, need.shape)});
  }
  return source.bytes(*entry);
}

/// The stored scales, widened.
Tensor scales_of(const Entry& part, std::span<const std::byte> bytes) {
  Tensor scales(DType::f32, part.shape);
  if (!bytes.empty()) read_elements(TensorView(bytes.data(), part.dtype, part.shape), 0, scales.data<float>());
  return scales;
}

float inverse_of(const FileForm& form) {
  const float inverse = 1.0F / form.scale;
  if (std::isfinite(inverse)) return inverse;
  fail(ErrorKind::unsupported, {.where = "tensor '" + printable(form.name) + "'",
                                .what = "its scale has no finite reciprocal, which is what the client's form holds",
                                .got = std::to_string(form.scale),
                                .cure = "keep this tensor"});
}

/// The scale of which a client's form holds the reciprocal: the metadata's, or its own reciprocal where that has none.
float scale_from_inverse(const Source& source, const FileForm& form, float stored) {
  const auto refuse = [&](const char* what, std::string need) {
    fail(ErrorKind::bad_content, {.where = where_of(source, form),
                                  .what = "'" + printable(form.scales_name()) + "' " + what,
                                  .got = std::to_string(stored),
                                  .need = std::move(need)});
  };
  if (form.scale != 0) {
    if (stored != inverse_of(form)) refuse("disagrees with the bnq metadata", std::to_string(inverse_of(form)));
    return form.scale;
  }
  const float scale = 1.0F / stored;
  if (!std::isfinite(scale) || scale <= 0) refuse("holds the reciprocal of no scale", "a positive number");
  return scale;
}

/// Runs `read`; what the data did wrong is reported as bad content of this file and tensor.
template <typename Read>
auto blaming_file(const Source& source, const FileForm& form, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(ErrorKind::bad_content, where_of(source, form) + ": " + error.what());
  }
}

}  // namespace

std::vector<Entry> FileForm::parts() const {
  std::vector<Entry> entries;
  entries.push_back(
      {.name = codes_name(), .dtype = layout.storage_dtype(), .shape = layout.storage_shape(scheme, shape)});
  if (!layout.holds_scales()) {
    entries.push_back(
        {.name = scales_name(), .dtype = scales_dtype, .shape = scales_shape(shape, scheme.granularity())});
  }
  if (states_shape()) {
    entries.push_back({.name = shape_name(), .dtype = DType::i64, .shape = {static_cast<std::int64_t>(shape.size())}});
  }
  for (Entry& entry : entries) {
    entry.nbytes = static_cast<std::uint64_t>(element_count(entry.shape)) * size_bytes(entry.dtype);
  }
  return entries;
}

FileForm file_form(std::string name, const Scheme& scheme, DType dtype, Shape shape) {
  for (const Layout& layout : Layout::all()) {
    if (layout.refusal(scheme, shape).empty()) return {std::move(name), scheme, layout, dtype, std::move(shape)};
  }
  fail(ErrorKind::unsupported, {.where = "tensor '" + printable(name) + "'",
                                .what = "no layout holds " + scheme.to_string() + " " + to_string(shape)});
}

void require_parts(const Source& source, const FileForm& form) {
  for (const Entry& part : form.parts()) (void)part_bytes(source, form, part);
}

PackedTensor pack_for_file(QuantizedTensor&& q, const Layout& layout) {
  if (!layout.row().bytes_are_codes) return pack(q, layout);
  const auto owner = std::make_shared<const QuantizedTensor>(std::move(q));
  Tensor scales(DType::f32, scales_shape(owner->shape(), owner->scheme().granularity()));
  std::ranges::copy(owner->scales(), scales.data<float>().begin());
  const auto bytes = std::as_bytes(owner->codes());
  return {layout, owner->scheme(), owner->dtype(), owner->shape(), bytes, owner, std::move(scales)};
}

void write_tensor(safetensors::Writer& writer, FileForm& form, const PackedTensor& packed) {
  writer.write(form.codes_name(), packed.data());
  if (form.has_inverse_scale) {
    form.scale = packed.scales().front();
    const float inverse = inverse_of(form);
    writer.write(form.scales_name(), std::as_bytes(std::span(&inverse, 1)));
  } else {
    writer.write(form.scales_name(), std::as_bytes(packed.scales()));
  }
  if (form.states_shape()) writer.write(form.shape_name(), std::as_bytes(std::span(form.shape)));
}

PackedTensor read_tensor(const Source& source, const FileForm& form) {
  const std::vector<Entry> parts = form.parts();
  const auto codes = part_bytes(source, form, parts[0]);
  if (form.layout.holds_scales()) {
    return blaming_file(source, form, [&] {
      return PackedTensor(form.layout, form.scheme, form.dtype, form.shape, codes, source.owner_of(form.codes_name()));
    });
  }
  Tensor scales = scales_of(parts[1], part_bytes(source, form, parts[1]));
  if (form.has_inverse_scale) {
    float& scale = scales.data<float>().front();
    scale = scale_from_inverse(source, form, scale);
  }
  if (form.states_shape()) {
    const auto stated = part_bytes(source, form, parts[2]);
    const auto need = std::as_bytes(std::span(form.shape));
    if (std::memcmp(stated.data(), need.data(), need.size()) != 0) {
      fail(ErrorKind::bad_content, {.where = where_of(source, form),
                                    .what = "'" + printable(form.shape_name()) + "' states another shape",
                                    .need = to_string(form.shape)});
    }
  }
  return blaming_file(source, form, [&] {
    return PackedTensor(form.layout, form.scheme, form.dtype, form.shape, codes, source.owner_of(form.codes_name()),
                        std::move(scales));
  });
}

QuantizedTensor read_quantized(const Source& source, const FileForm& form) {
  const PackedTensor packed = read_tensor(source, form);
  return blaming_file(source, form, [&] { return unpack(packed); });
}

std::string in_file(const std::filesystem::path& path, const std::string& name) {
  return text_of(path) + ": tensor '" + printable(name) + "'";
}

}  // namespace bnq::detail
