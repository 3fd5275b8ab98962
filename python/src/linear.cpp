#include "bindings.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

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

/// Scratch of this thread, kept between its calls; what is too large to keep is given back at the end.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) {
    if (bytes > most_kept) {
      own_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      bytes_ = {own_.get(), bytes};
      return;
    }
    thread_local std::vector<std::byte> kept;
    if (kept.size() < bytes) kept.resize(bytes);
    bytes_ = kept;
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  static constexpr std::size_t most_kept = std::size_t{1} << 20;

  std::unique_ptr<std::byte[]> own_;
  std::span<std::byte> bytes_;
};

void run(const Linear& linear, const TensorView& x, std::uintptr_t address) {
  const Scratch scratch(linear.scratch_bytes(x.rows()));
  Shape shape = x.shape();
  if (!shape.empty()) shape.back() = linear.out_features();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): Python passes addresses as numbers.
  linear.forward(x, {reinterpret_cast<void*>(address), x.dtype(), std::move(shape)}, scratch.bytes());
}

void forward(const Linear& linear, const BorrowedTensor& x, std::uintptr_t address) { run(linear, x.view, address); }

/// For `elements` that lie in rows of in_features without gaps.
void forward_rows(const Linear& linear, std::uintptr_t x, const char* dtype, std::int64_t elements, std::uintptr_t y) {
  const std::int64_t depth = std::max<std::int64_t>(1, linear.in_features());
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  run(linear, {reinterpret_cast<const void*>(x), dtype_called(dtype), Shape{elements / depth, depth}}, y);
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
      .def("forward_rows", &forward_rows, ReleaseGil(), nb::arg("x"), nb::arg("dtype"), nb::arg("elements"),
           nb::arg("y"),
           "The same for rows without gaps at the address x: quicker, as nothing has to be said about shapes.")
      .def("explain", &Linear::explain);
}

}  // namespace bnq::python
