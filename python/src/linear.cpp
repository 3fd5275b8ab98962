#include "bindings.h"

#include <nanobind/stl/string.h>

#include <array>
#include <memory>
#include <optional>
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

/// DLPack 1.3's table of C functions, as far as it is read here. A framework hangs it on the type of its tensors.
struct ExchangeApi {
  std::uint32_t major;
  std::uint32_t minor;
  const void* older;
  void* unread[3];
  int (*describe)(void* tensor, nb::dlpack::dltensor* out);  ///< or none; fails with a Python error
};

/// None of another major version, whose table may be another.
const ExchangeApi* exchange_api(const nb::capsule& capsule) {
  const auto* const api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (api == nullptr) throw nb::python_error();
  return api->major == 1 ? api : nullptr;
}

std::optional<DType> float_dtype(const nb::dlpack::dtype& dtype) {
  const bool is_bfloat = dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat);
  if (dtype.lanes != 1 || !(is_bfloat || dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float))) {
    return std::nullopt;
  }
  if (dtype.bits == 16) return is_bfloat ? DType::bf16 : DType::f16;
  return dtype.bits == 32 && !is_bfloat ? std::optional(DType::f32) : std::nullopt;
}

/// Rows on the CPU without gaps between or in them.
struct Rows {
  const void* data;
  DType dtype;
  std::int64_t count;
  std::int64_t depth;
};

constexpr std::int32_t most_axes = 8;

/// What the description says if it says rows of at least one element; nothing for any other tensor.
std::optional<Rows> rows_of(const nb::dlpack::dltensor& t) {
  const auto dtype = float_dtype(t.dtype);
  if (!dtype || t.device.device_type != nb::device::cpu::value || t.ndim < 1 || t.ndim > most_axes) return std::nullopt;
  std::int64_t elements = 1;
  for (std::int32_t axis = t.ndim; axis-- > 0;) {
    if (t.strides != nullptr && t.shape[axis] > 1 && t.strides[axis] != elements) return std::nullopt;
    elements *= t.shape[axis];
  }
  if (elements <= 0 || t.data == nullptr) return std::nullopt;
  const std::int64_t depth = t.shape[t.ndim - 1];
  return Rows{static_cast<const std::byte*>(t.data) + t.byte_offset, *dtype, elements / depth, depth};
}

/// x.new_empty(*x.shape[:-1], outputs)
nb::object new_output(nb::handle x, const nb::dlpack::dltensor& t, std::int64_t outputs) {
  static PyObject* const method = PyUnicode_InternFromString("new_empty");
  std::array<nb::object, most_axes> extents;
  std::array<PyObject*, most_axes + 1> arguments{x.ptr()};
  for (std::int32_t axis = 0; axis < t.ndim; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    extents[at] = nb::int_(axis + 1 < t.ndim ? t.shape[axis] : outputs);
    arguments[at + 1] = extents[at].ptr();
  }
  PyObject* const y =
      PyObject_VectorcallMethod(method, arguments.data(), static_cast<std::size_t>(t.ndim) + 1, nullptr);
  if (y == nullptr) throw nb::python_error();
  return nb::steal(y);
}

/// The product of a tensor of torch's own type, or None where the general way has to say what is the matter.
nb::object forward_torch(const Linear& linear, nb::handle x, const nb::capsule& capsule) {
  const ExchangeApi* const api = exchange_api(capsule);
  if (api == nullptr || api->describe == nullptr) return nb::none();
  nb::dlpack::dltensor x_tensor{};
  if (api->describe(x.ptr(), &x_tensor) != 0) {  // sparse, or the wrapper of a transformation
    PyErr_Clear();
    return nb::none();
  }
  const auto rows = rows_of(x_tensor);
  if (!rows || rows->depth != linear.in_features() || linear.out_features() == 0) return nb::none();
  nb::object y = new_output(x, x_tensor, linear.out_features());
  nb::dlpack::dltensor y_tensor{};
  if (api->describe(y.ptr(), &y_tensor) != 0) throw nb::python_error();
  if (y_tensor.data == nullptr) return nb::none();
  const nb::gil_scoped_release release;
  run(linear, {rows->data, rows->dtype, Shape{rows->count, rows->depth}},
      reinterpret_cast<std::uintptr_t>(y_tensor.data) + y_tensor.byte_offset);
  return y;
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
      .def_prop_ro("nbytes", &Linear::nbytes)
      .def_prop_ro("own_nbytes", &Linear::own_nbytes)
      .def_prop_ro("in_features", &Linear::in_features)
      .def_prop_ro("out_features", &Linear::out_features)
      .def("forward", &forward, ReleaseGil(), nb::arg("x"), nb::arg("address"),
           "Fills the caller's x.shape[:-1] + [out_features] elements of x's dtype.")
      .def("forward_torch", &forward_torch, nb::arg("x"), nb::arg("exchange_api"),
           "The whole call for a tensor that is rows without gaps, or None; x is of the type that exchange_api is of.")
      .def("explain", &Linear::explain);
}

}  // namespace bnq::python
