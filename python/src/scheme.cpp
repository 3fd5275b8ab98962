#include "bindings.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace bnq::python {

void bind_scheme(nb::module_& m) {
  nb::class_<Scheme>(m, "Scheme")
      .def_static("parse", &Scheme::parse, nb::arg("text"))
      .def_static(
          "of_precision", [](double precision) { return BitNetQuantizer(precision).scheme(); }, nb::arg("precision"))
      .def_static("activations", &Scheme::activations)
      .def_static("all", &Scheme::all)
      .def(
          "with_granularity", [](const Scheme& s, const char* text) { return s.with(Granularity::parse(text)); },
          nb::arg("text"))
      .def_prop_ro("name", &Scheme::to_string)
      .def_prop_ro("rule", &Scheme::rule)
      .def_prop_ro("granularity", [](const Scheme& s) { return s.granularity().to_string(); })
      .def_prop_ro("about", &Scheme::about)
      .def_prop_ro("warning", &Scheme::warning)
      .def_prop_ro("min_code", &Scheme::min_code)
      .def_prop_ro("max_code", &Scheme::max_code)
      .def_prop_ro("has_zero", &Scheme::has_zero)
      .def_prop_ro("code_bits", &Scheme::code_bits)
      .def(
          "scales_shape",
          [](const Scheme& s, const Shape& shape) { return shape_tuple(scales_shape(shape, s.granularity())); },
          nb::arg("shape"));
}

}  // namespace bnq::python
