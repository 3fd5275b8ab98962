#include "bindings.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <utility>

namespace bnq::python {
namespace {

/// A Python object that the last copy lets go, on whatever thread that is; at the end of the program nobody does.
std::shared_ptr<const void> kept(const nb::object& owner) {
  const nb::gil_scoped_acquire gil;
  return {nb::object(owner).release().ptr(), [](PyObject* object) {
            if (!nb::is_alive()) return;
            const nb::gil_scoped_acquire again;
            nb::handle(object).dec_ref();
          }};
}

/// The bytes of a tensor without gaps, where they are.
std::span<const std::byte> bytes_of(const BorrowedTensor& borrowed) {
  const TensorView& view = borrowed.view;
  if (!view.contiguous()) {
    throw Error(ErrorKind::invalid_argument, "bnq._core: the tensor has gaps; copy it first");
  }
  return {static_cast<const std::byte*>(view.data()),
          static_cast<std::size_t>(view.elements()) * size_bytes(view.dtype())};
}

void bind_packed_tensor(nb::module_& m) {
  nb::class_<PackedTensor>(m, "PackedTensor")
      .def_static(
          "from_parts",
          [](const Layout& layout, const Scheme& scheme, const char* dtype, Shape shape, const BorrowedTensor& data,
             const BorrowedTensor* scales, bool copy) -> PackedTensor {
            if (!copy && scales != nullptr) {
              return {layout,         scheme,           dtype_called(dtype), std::move(shape),
                      bytes_of(data), kept(data.owner), copy_of(*scales)};
            }
            const auto bytes = std::make_shared<const Tensor>(copy_of(data));
            const DType type = dtype_called(dtype);
            if (scales == nullptr) return {layout, scheme, type, std::move(shape), bytes->bytes(), bytes};
            return {layout, scheme, type, std::move(shape), bytes->bytes(), bytes, copy_of(*scales)};
          },
          ReleaseGil(), nb::arg("layout"), nb::arg("scheme"), nb::arg("dtype"), nb::arg("shape"), nb::arg("data"),
          nb::arg("scales").none(), nb::arg("copy"))
      .def_prop_ro("layout", &PackedTensor::layout, nb::rv_policy::copy)
      .def_prop_ro("scheme", &PackedTensor::scheme, nb::rv_policy::copy)
      .def_prop_ro("dtype", [](const PackedTensor& p) { return name(p.dtype()); })
      .def_prop_ro("shape", [](const PackedTensor& p) { return shape_tuple(p.shape()); })
      .def_prop_ro("scales_shape",
                   [](const PackedTensor& p) {
                     return shape_tuple(p.layout().holds_scales() ? Shape{0}
                                                                  : scales_shape(p.shape(), p.scheme().granularity()));
                   })
      .def_prop_ro("scale_error", &PackedTensor::scale_error)
      .def_prop_ro("nbytes", &PackedTensor::nbytes)
      .def_prop_ro("bits_per_weight", &PackedTensor::bits_per_weight)
      .def(
          "data",
          [](nb::handle self, bool writable) {
            return byte_array(nb::cast<const PackedTensor&>(self).data(), self, writable);
          },
          nb::arg("writable"))
      .def(
          "scales",
          [](nb::handle self, bool writable) {
            return byte_array(std::as_bytes(nb::cast<const PackedTensor&>(self).scales()), self, writable);
          },
          nb::arg("writable"));
}

void bind_target(nb::module_& m) {
  nb::class_<Target>(m, "Target")
      .def_static("parse", &Target::parse, nb::arg("name"))
      .def_static("all", &Target::all)
      .def_prop_ro("name", &Target::name)
      .def_prop_ro("about", &Target::about)
      .def_prop_ro("reads",
                   [](const Target& t) {
                     switch (t.reads()) {
                       case Target::Reads::folder:
                         return "folder";
                       case Target::Reads::gguf:
                         return "gguf";
                       case Target::Reads::operands:
                         break;
                     }
                     return "operands";
                   })
      .def_prop_ro("schemes", &Target::schemes)
      .def("refusal", nb::overload_cast<const Scheme&>(&Target::refusal, nb::const_), nb::arg("scheme"))
      .def("refusal", nb::overload_cast<const Scheme&, const Shape&>(&Target::refusal, nb::const_), nb::arg("scheme"),
           nb::arg("shape"))
      .def(
          "require",
          [](const Target& t, const std::string& where, const Scheme& scheme, const std::optional<Shape>& shape) {
            shape ? t.require(where, scheme, *shape) : t.require(where, scheme);
          },
          nb::arg("where"), nb::arg("scheme"), nb::arg("shape").none())
      .def("layout", &Target::layout, nb::arg("scheme"), nb::arg("shape"))
      .def("differences", &Target::differences, nb::arg("scheme"));
  m.def(
      "quantizer_text",
      [](const Scheme& scheme, const Target* target) {
        return BitNetQuantizer(scheme, target ? std::optional(*target) : std::nullopt).to_string();
      },
      nb::arg("scheme"), nb::arg("target").none());
}

}  // namespace

void bind_layout(nb::module_& m) {
  nb::class_<Layout>(m, "Layout")
      .def_static("parse", &Layout::parse, nb::arg("name"))
      .def_static("all", &Layout::all)
      .def_prop_ro("name", &Layout::name)
      .def_prop_ro("about", &Layout::about)
      .def_prop_ro("holds_scales", &Layout::holds_scales)
      .def_prop_ro("is_read_only", &Layout::is_read_only)
      .def_prop_ro("storage_dtype", [](const Layout& l) { return name(l.storage_dtype()); })
      .def(
          "storage_shape",
          [](const Layout& l, const Scheme& scheme, const Shape& shape) {
            return shape_tuple(l.storage_shape(scheme, shape));
          },
          nb::arg("scheme"), nb::arg("shape"))
      .def("refusal", &Layout::refusal, nb::arg("scheme"), nb::arg("shape"));
  bind_packed_tensor(m);
  bind_target(m);
  m.def(
      "pack", [](const QuantizedTensor& q, const Layout* layout) { return layout ? pack(q, *layout) : pack(q); },
      ReleaseGil(), nb::arg("q"), nb::arg("layout").none());
  m.def("unpack", &unpack, ReleaseGil(), nb::arg("p"));
}

}  // namespace bnq::python
