#include "bindings.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

namespace bnq::python {

void bind_tensor_file(nb::module_& m) {
  m.def("save", &save, ReleaseGil(), nb::arg("path"), nb::arg("tensors"), nb::arg("replace"));
  m.def(
      "load",
      [](const std::filesystem::path& path, const std::string& scales, const std::vector<std::string>& gguf_types) {
        return load(path, parse_scale_convention(scales), gguf_types);
      },
      ReleaseGil(), nb::arg("path"), nb::arg("scales"), nb::arg("gguf_types"));
}

}  // namespace bnq::python
