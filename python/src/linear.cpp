#include "bindings.h"

#include <nanobind/stl/string.h>

#include <memory>

namespace bnq::python {
namespace {

/// The elements of a float32 vector without gaps; none for an absent bias.
std::span<const float> floats(const BorrowedTensor* bias) {
  if (bias == nullptr) return {};
  if (bias->view.dtype() != DType::f32 || !bias->view.contiguous()) {
    throw Error(ErrorKind::invalid_argument, "bnq._core: the bias is not a float32 vector without gaps");
  }
  return {static_cast<const float*>(bias->view.data()), static_cast<std::size_t>(bias->view.elements())};
}

void forward(const Linear& linear, const BorrowedTensor& x, std::uintptr_t address) {
  const std::size_t scratch_bytes = linear.scratch_bytes(x.view.rows());
  const auto scratch = std::make_unique_for_overwrite<std::byte[]>(scratch_bytes);
  Shape shape = x.view.shape();
  if (!shape.empty()) shape.back() = linear.out_features();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): Python passes addresses as numbers.
  linear.forward(x.view, {reinterpret_cast<void*>(address), x.view.dtype(), shape}, {scratch.get(), scratch_bytes});
}

}  // namespace

void bind_linear(nb::module_& m) {
  nb::class_<Linear>(m, "Linear")
      .def(
          "__init__",
          [](Linear* self, const QuantizedTensor& weight, const BorrowedTensor* bias) {
            new (self) Linear(weight, floats(bias));
          },
          ReleaseGil(), nb::arg("weight"), nb::arg("bias").none())
      .def(
          "__init__",
          [](Linear* self, const PackedTensor& weight, const BorrowedTensor* bias) {
            new (self) Linear(weight, floats(bias));
          },
          ReleaseGil(), nb::arg("weight"), nb::arg("bias").none())
      .def_prop_ro("in_features", &Linear::in_features)
      .def_prop_ro("out_features", &Linear::out_features)
      .def("forward", &forward, ReleaseGil(), nb::arg("x"), nb::arg("address"),
           "Fills the caller's x.shape[:-1] + [out_features] elements of x's dtype.")
      .def("explain", &Linear::explain);
}

}  // namespace bnq::python
