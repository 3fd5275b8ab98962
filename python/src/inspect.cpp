#include "progress.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <utility>

namespace bnq::python {

void bind_inspect(nb::module_& m) {
  nb::class_<InspectedTensor>(m, "InspectedTensor")
      .def_ro("name", &InspectedTensor::name)
      .def_prop_ro("dtype", [](const InspectedTensor& t) { return name(t.dtype); })
      .def_prop_ro("shape", [](const InspectedTensor& t) { return shape_tuple(t.shape); })
      .def_ro("nbytes", &InspectedTensor::nbytes)
      .def_ro("scheme", &InspectedTensor::scheme)
      .def_ro("layout", &InspectedTensor::layout)
      .def_ro("minimum", &InspectedTensor::minimum)
      .def_ro("maximum", &InspectedTensor::maximum)
      .def_ro("zero_share", &InspectedTensor::zero_share)
      .def_ro("nan_count", &InspectedTensor::nan_count)
      .def_ro("inf_count", &InspectedTensor::inf_count)
      .def_ro("all_zero", &InspectedTensor::all_zero)
      .def_ro("already_ternary", &InspectedTensor::already_ternary);
  nb::class_<Inspection>(m, "Inspection")
      .def_ro("tensors", &Inspection::tensors)
      .def_ro("file_bytes", &Inspection::file_bytes)
      .def_ro("written_by", &Inspection::written_by)
      .def_ro("unread", &Inspection::unread);
  m.def(
      "inspect",
      [](const std::filesystem::path& path, const std::string& scales, const std::vector<std::string>& gguf_types,
         nb::object callback) {
        const ScaleConvention convention = parse_scale_convention(scales);
        return PythonProgress(std::move(callback)).run([&](const Progress& progress) {
          return inspect_checkpoint(path, progress, convention, gguf_types);
        });
      },
      nb::arg("path"), nb::arg("scales"), nb::arg("gguf_types"), nb::arg("progress").none());
}

}  // namespace bnq::python
