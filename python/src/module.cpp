#include "bindings.h"

NB_MODULE(_core, m) {
  using namespace bnq::python;
  m.doc() = "The compiled core of bnq. Private: use the functions and classes of `bnq`.";
  nb::set_leak_warnings(false);  // objects that outlive the interpreter are Python's business; bnq never prints
  m.def("version", [] { return BNQ_VERSION; });
  bind_errors(m);
  bind_tensor(m);
  bind_scheme(m);
  bind_quantized_tensor(m);
  bind_layout(m);
  bind_linear(m);
  bind_report(m);
  bind_machine(m);
  bind_tensor_file(m);
  bind_checkpoint(m);
  bind_inspect(m);
  bind_verify(m);
}
