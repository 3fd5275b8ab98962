#include "bindings.h"

#include <nanobind/stl/vector.h>

#include <algorithm>

namespace bnq::python {
namespace {

bool is_equal(const QuantizedTensor& a, const QuantizedTensor& b) {
  return a.scheme() == b.scheme() && a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::ranges::equal(a.codes(), b.codes()) && std::ranges::equal(a.scales(), b.scales());
}

QuantizedTensor from_parts(const Scheme& scheme, const char* dtype, const BorrowedTensor& codes,
                           const BorrowedTensor& scales, QuantizeCounts counts) {
  return {scheme, dtype_called(dtype), codes.view.shape(), copy_of(codes), copy_of(scales), counts};
}

std::int64_t dequantize_to(const QuantizedTensor& q, const char* dtype, std::uintptr_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): Python passes addresses as numbers.
  return dequantize_into(q, {reinterpret_cast<void*>(address), dtype_called(dtype), q.shape()});
}

}  // namespace

void bind_quantized_tensor(nb::module_& m) {
  nb::class_<QuantizeCounts>(m, "QuantizeCounts")
      .def(nb::init<std::int64_t, std::int64_t>(), nb::arg("floored_granules"), nb::arg("prequantized_granules"))
      .def_ro("floored_granules", &QuantizeCounts::floored_granules)
      .def_ro("prequantized_granules", &QuantizeCounts::prequantized_granules);

  nb::class_<QuantizedTensor>(m, "QuantizedTensor")
      .def_static("from_parts", &from_parts, ReleaseGil(), nb::arg("scheme"), nb::arg("dtype"), nb::arg("codes"),
                  nb::arg("scales"), nb::arg("counts"))
      // A copy: a reference would keep the codes as long as anybody has the scheme.
      .def_prop_ro("scheme", &QuantizedTensor::scheme, nb::rv_policy::copy)
      .def_prop_ro("dtype", [](const QuantizedTensor& q) { return name(q.dtype()); })
      .def_prop_ro("shape", [](const QuantizedTensor& q) { return shape_tuple(q.shape()); })
      .def_prop_ro(
          "scales_shape",
          [](const QuantizedTensor& q) { return shape_tuple(scales_shape(q.shape(), q.scheme().granularity())); })
      .def_prop_ro("counts", &QuantizedTensor::counts)
      .def_prop_ro("nbytes", &QuantizedTensor::nbytes)
      .def_prop_ro("bits_per_weight", &QuantizedTensor::bits_per_weight)
      .def(
          "codes",
          [](nb::handle self, bool writable) {
            return byte_array(std::as_bytes(nb::cast<const QuantizedTensor&>(self).codes()), self, writable);
          },
          nb::arg("writable"))
      .def(
          "scales",
          [](nb::handle self, bool writable) {
            return byte_array(std::as_bytes(nb::cast<const QuantizedTensor&>(self).scales()), self, writable);
          },
          nb::arg("writable"));
  m.def("is_equal", &is_equal, ReleaseGil(), nb::arg("a"), nb::arg("b"));

  m.def(
      "quantize", [](const BorrowedTensor& values, const Scheme& scheme) { return quantize(values.view, scheme); },
      ReleaseGil(), nb::arg("values"), nb::arg("scheme"));
  m.def("dequantize_to", &dequantize_to, ReleaseGil(), nb::arg("q"), nb::arg("dtype"), nb::arg("address"),
        "Fills the caller's q.shape elements; returns how many were held at the largest finite number.");
}

}  // namespace bnq::python
