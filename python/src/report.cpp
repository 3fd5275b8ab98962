#include "bindings.h"

namespace bnq::python {

void bind_report(nb::module_& m) {
  nb::class_<Report>(m, "Report")
      .def_ro("elements", &Report::elements)
      .def_ro("signal", &Report::signal)
      .def_ro("noise", &Report::noise)
      .def_ro("sqnr_db", &Report::sqnr_db)
      .def_ro("cosine", &Report::cosine)
      .def_ro("max_abs_error", &Report::max_abs_error)
      .def_ro("zero_share", &Report::zero_share)
      .def_ro("saturated_share", &Report::saturated_share)
      .def_ro("bits_per_weight", &Report::bits_per_weight)
      .def_ro("floored_granules", &Report::floored_granules)
      .def_ro("prequantized_granules", &Report::prequantized_granules)
      .def_ro("granules", &Report::granules)
      .def_ro("lossless", &Report::lossless);
  m.def(
      "report", [](const BorrowedTensor& original, const QuantizedTensor& q) { return report(original.view, q); },
      ReleaseGil(), nb::arg("original"), nb::arg("q"));
}

}  // namespace bnq::python
