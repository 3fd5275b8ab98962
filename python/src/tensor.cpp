#include "bindings.h"

#include <nanobind/stl/vector.h>

#include <cstring>
#include <string>
#include <utility>

namespace bnq::python {

ShapeTuple shape_tuple(const Shape& shape) { return ShapeTuple(nb::tuple(nb::cast(shape))); }

ByteArray byte_array(std::span<const std::byte> bytes, nb::handle owner, bool writable) {
  using ReadOnly = nb::ndarray<nb::numpy, const std::uint8_t, nb::ndim<1>>;
  using Writable = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>;
  const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (writable) return ByteArray(nb::cast(Writable(const_cast<std::uint8_t*>(data), {bytes.size()}, owner)));
  return ByteArray(nb::cast(ReadOnly(data, {bytes.size()}, owner)));
}

Tensor copy_of(const BorrowedTensor& borrowed) {
  const TensorView& view = borrowed.view;
  if (!view.contiguous()) {
    throw Error(ErrorKind::invalid_argument, "bnq._core: the tensor has gaps; copy it first");
  }
  Tensor copy(view.dtype(), view.shape());
  if (copy.nbytes() > 0) std::memcpy(copy.bytes().data(), view.data(), copy.nbytes());
  return copy;
}

DType dtype_called(const char* name) {
  if (const auto dtype = parse_dtype(name)) return *dtype;
  throw Error(ErrorKind::invalid_argument, "dtype: unknown (got '" + std::string(name) + "', need f32, f16 or bf16)");
}

void bind_tensor(nb::module_& m) {
  nb::class_<BorrowedTensor>(m, "BorrowedTensor")
      .def(
          "__init__",
          [](BorrowedTensor* self, std::uintptr_t address, const char* dtype, Shape shape,
             std::vector<std::int64_t> strides, nb::object owner) {
            // NOLINTNEXTLINE(performance-no-int-to-ptr): Python passes addresses as numbers.
            const auto* const data = reinterpret_cast<const void*>(address);
            new (self)
                BorrowedTensor{{data, dtype_called(dtype), std::move(shape), std::move(strides)}, std::move(owner)};
          },
          nb::arg("address"), nb::arg("dtype"), nb::arg("shape"), nb::arg("strides"), nb::arg("owner"))
      .def_prop_ro("dtype", [](const BorrowedTensor& b) { return name(b.view.dtype()); })
      .def_prop_ro("shape", [](const BorrowedTensor& b) { return shape_tuple(b.view.shape()); });

  nb::class_<Tensor>(m, "Tensor")
      .def(
          "__init__", [](Tensor* self, const BorrowedTensor& from) { new (self) Tensor(copy_of(from)); }, ReleaseGil(),
          nb::arg("values"))
      .def_prop_ro("dtype", [](const Tensor& t) { return name(t.dtype()); })
      .def_prop_ro("shape", [](const Tensor& t) { return shape_tuple(t.shape()); })
      .def("bytes", [](nb::handle self) { return byte_array(nb::cast<Tensor&>(self).bytes(), self, true); });
}

}  // namespace bnq::python
