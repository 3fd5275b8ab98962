#include "progress.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <optional>
#include <utility>

namespace bnq::python {
namespace {

Verification verify_files(const std::filesystem::path& original, const std::filesystem::path& quantized,
                          const Gates& gates, const std::string& scales, nb::object callback) {
  const ScaleConvention convention = parse_scale_convention(scales);
  return PythonProgress(std::move(callback)).run([&](const Progress& progress) {
    return verify_checkpoint(original, quantized, gates, progress, convention);
  });
}

}  // namespace

void bind_verify(nb::module_& m) {
  nb::class_<Gates>(m, "Gates")
      .def(
          "__init__",
          [](Gates* self, std::optional<double> min_sqnr_db, std::optional<double> min_cosine) {
            new (self) Gates{min_sqnr_db, min_cosine};
          },
          nb::arg("min_sqnr_db").none(), nb::arg("min_cosine").none());
  nb::class_<VerifiedTensor>(m, "VerifiedTensor")
      .def_ro("name", &VerifiedTensor::name)
      .def_ro("scheme", &VerifiedTensor::scheme)
      .def_ro("report", &VerifiedTensor::report)
      .def_ro("reproduced", &VerifiedTensor::reproduced)
      .def_ro("gate_missed", &VerifiedTensor::gate_missed)
      .def_ro("bytes_before", &VerifiedTensor::bytes_before)
      .def_ro("bytes_after", &VerifiedTensor::bytes_after);
  nb::class_<Verification>(m, "Verification")
      .def_ro("tensors", &Verification::tensors)
      .def_ro("missing", &Verification::missing)
      .def_ro("extra", &Verification::extra)
      .def_ro("file_bytes_before", &Verification::file_bytes_before)
      .def_ro("file_bytes_after", &Verification::file_bytes_after)
      .def_ro("worst_sqnr_db", &Verification::worst_sqnr_db)
      .def_ro("median_sqnr_db", &Verification::median_sqnr_db)
      .def_ro("worst_name", &Verification::worst_name)
      .def_ro("lossless", &Verification::lossless)
      .def_ro("reproduced", &Verification::reproduced)
      .def_ro("gates_met", &Verification::gates_met)
      .def_ro("written_by", &Verification::written_by)
      .def_ro("is_foreign", &Verification::is_foreign)
      .def_ro("verdict", &Verification::verdict);
  m.def(
      "save_html_report",
      [](const std::filesystem::path& path, const std::filesystem::path& original,
         const std::filesystem::path& quantized, const Verification& verification,
         bool replace) { save_html_report(path, original, quantized, verification, replace); },
      ReleaseGil(), nb::arg("path"), nb::arg("original"), nb::arg("quantized"), nb::arg("verification"),
      nb::arg("replace"));
  m.def("verify", &verify_files, nb::arg("original"), nb::arg("quantized"), nb::arg("gates"), nb::arg("scales"),
        nb::arg("progress").none());
}

}  // namespace bnq::python
