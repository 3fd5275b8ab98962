#pragma once

// What the files of this folder share. `bnq._core` is private: the public API is the Python code over it (python/bnq).

#include <bnq/bnq.h>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string_view.h>  // in every file: each returns dtype names

#include <cstddef>
#include <cstdint>
#include <span>

namespace bnq::python {

namespace nb = nanobind;

/// A tensor of Python's, and whoever owns its memory. Made under the GIL, read without it.
struct BorrowedTensor {
  TensorView view;
  nb::object owner;
};

/// What the stubs say of a shape, and of bytes.
using ShapeTuple = nb::typed<nb::tuple, int, nb::ellipsis>;
using ByteArray = nb::typed<nb::object, nb::ndarray<nb::numpy, std::uint8_t>>;

[[nodiscard]] ShapeTuple shape_tuple(const Shape& shape);

/// For every call that works: other Python threads run meanwhile.
using ReleaseGil = nb::call_guard<nb::gil_scoped_release>;

/// A one-dimensional numpy array of uint8 over memory that `owner` keeps alive. `writable` is for tensors that nobody
/// else sees, and for frameworks that have no read-only arrays.
[[nodiscard]] ByteArray byte_array(std::span<const std::byte> bytes, nb::handle owner, bool writable);

/// A copy of a tensor without gaps.
[[nodiscard]] Tensor copy_of(const BorrowedTensor& borrowed);

/// The dtype called `name`. Throws `invalid_argument`.
[[nodiscard]] DType dtype_called(const char* name);

void bind_errors(nb::module_& m);
void bind_tensor(nb::module_& m);
void bind_scheme(nb::module_& m);
void bind_quantized_tensor(nb::module_& m);
void bind_layout(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_report(nb::module_& m);
void bind_machine(nb::module_& m);
void bind_tensor_file(nb::module_& m);
void bind_checkpoint(nb::module_& m);
void bind_inspect(nb::module_& m);
void bind_verify(nb::module_& m);

}  // namespace bnq::python
