#pragma once

#include <bnq/layout.h>
#include <bnq/safetensors.h>

#include "io/source.h"
#include "layout/layout_row.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bnq::detail {

/// How one quantized tensor lies in a safetensors file (docs/formats/safetensors.rst): its codes in a layout under its
/// own name (and the layout's suffix), its scales under NAME_scale, and where the layout hides it, its NAME_shape.
struct FileForm {
  std::string name;
  Scheme scheme;
  Layout layout;  ///< one of those with a file_suffix; of a GGUF file one that holds its scales
  DType dtype;    ///< of the float tensor it came from
  Shape shape;
  bool has_inverse_scale = false;   ///< the file holds 1 / scale, rounded, as a client wants it
  float scale = 0;                  ///< with has_inverse_scale: the one scale, as the metadata has it; 0: it has none
  DType scales_dtype = DType::f32;  ///< as stored; other programs round them

  [[nodiscard]] std::string codes_name() const { return name + std::string(layout.row().file_suffix.value_or("")); }
  [[nodiscard]] std::string scales_name() const { return name + "_scale"; }
  [[nodiscard]] std::string shape_name() const { return name + "_shape"; }
  [[nodiscard]] bool states_shape() const { return !layout.row().file_suffix.value_or("").empty(); }

  /// The entries of the file that belong to it.
  [[nodiscard]] std::vector<safetensors::Entry> parts() const;
};

/// The form of a tensor that is to be written: the first layout of the table that holds it.
[[nodiscard]] FileForm file_form(std::string name, const Scheme& scheme, DType dtype, Shape shape);

/// Throws `bad_content` naming file and tensor when a part is missing or has another dtype or shape than the form says.
/// Parts may lie in several shards: other programs cut between them. Looks at the header only: no size that the form
/// states is used before this.
void require_parts(const Source& source, const FileForm& form);

/// `pack(q, layout)` for a file: takes the codes over where they are the layout's bytes already.
[[nodiscard]] PackedTensor pack_for_file(QuantizedTensor&& q, const Layout& layout);

/// Sets `form.scale` where the file cannot hold it.
void write_tensor(safetensors::Writer& writer, FileForm& form, const PackedTensor& packed);

/// Borrows the codes from the mapping. Throws `bad_content` naming file and tensor when a part is missing or has
/// another dtype, shape or value than the form says.
[[nodiscard]] PackedTensor read_tensor(const Source& source, const FileForm& form);

/// The same, as values.
[[nodiscard]] QuantizedTensor read_quantized(const Source& source, const FileForm& form);

/// "FILE: tensor 'NAME'", made safe to print.
[[nodiscard]] std::string in_file(const std::filesystem::path& path, const std::string& name);

}  // namespace bnq::detail
