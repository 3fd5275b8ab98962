#include "progress.h"

namespace bnq::python {

bool PythonProgress::may_go_on(std::uint64_t done, std::uint64_t total) noexcept {
  const nb::gil_scoped_acquire acquired;
  try {
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    return callback_.is_none() || !callback_(done, total).is(nb::handle(Py_False));
  } catch (...) {
    raised_ = std::current_exception();
    return false;
  }
}

}  // namespace bnq::python
