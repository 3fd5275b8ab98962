// Packed tensors of a GGUF file whose type is one of bnq's layouts (docs/formats/gguf.rst). A file does not say in
// which order the codes of i2_s lie; those that bnq wrote have one.

#include "checkpoint/foreign/foreign.h"
#include "core/fail.h"
#include "io/gguf/reader.h"
#include "io/system_call.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <array>

namespace bnq::detail {
namespace {

constexpr std::array<std::string_view, 3> orders{"i2_s", "i2_s_arm", "i2_s_1x4"};

/// The layout of an i2_s tensor.
Layout chosen_order(const Source& source, const gguf::Entry& entry) {
  for (const std::string& name : source.gguf_types()) {
    if (std::ranges::find(orders, name) != orders.end()) return Layout::parse(name);
  }
  if (source.gguf()->metadata().find(gguf::writer_key) != nullptr) return Layout::parse(orders.front());
  fail(ErrorKind::bad_content,
       {.where = in_file(source.path(), entry.name),
        .what = "i2_s has three orders of codes, and no file says which it has",
        .cure = "say which it is: --gguf-type i2_s (all published files), i2_s_arm (written on ARM) or i2_s_1x4"});
}

std::optional<Layout> layout_of(const Source& source, const gguf::Entry& entry) {
  if (entry.type->name == orders.front()) return chosen_order(source, entry);
  for (const Layout& layout : Layout::all()) {
    if (layout.name() == entry.type->name && layout.row().ggml) return layout;
  }
  return {};
}

}  // namespace

Foreign read_gguf(const Source& source) {
  const auto architecture = source.gguf()->metadata().text("general.architecture");
  Foreign foreign{.maker = "GGUF" + (architecture ? " " + printable(std::string(*architecture)) : "")};
  for (const gguf::Entry& entry : source.gguf()->tensors()) {
    if (entry.type->dtype) continue;
    const std::optional<Layout> layout = layout_of(source, entry);
    if (!layout) {
      foreign.unread = "type " + gguf::name_and_id(*entry.type) + " of '" + printable(entry.name) + "'";
      continue;
    }
    const auto& ggml = layout->row().ggml;
    foreign.forms.push_back({.name = entry.name,
                             .scheme = Scheme::parse(ggml ? ggml->scheme : "ternary-absmean:tensor"),
                             .layout = *layout,
                             .dtype = DType::f32,
                             .shape = entry.shape});
  }
  for (const FileForm& form : foreign.forms) {
    const std::string refusal = form.layout.refusal(form.scheme, form.shape);
    if (refusal.empty()) continue;
    fail(ErrorKind::bad_content, {.where = in_file(source.path(), form.name),
                                  .what = "layout " + std::string(form.layout.name()) + " " + refusal});
  }
  return foreign;
}

}  // namespace bnq::detail
