#include "bindings.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

namespace bnq::python {

void bind_machine(nb::module_& m) {
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, nb::arg("count"));
  m.def("suggest_num_threads", &suggest_num_threads, nb::arg("count"));
  m.def("share_openmp_threads", &share_openmp_threads);
  m.def("cpu_name", &cpu_name);
  m.def("cpu_features", &cpu_features);
  m.def("kernel_names", &kernel_names);
  m.def(
      "measure_roofs",
      [](int threads) {
        const Roofs roofs = measure_roofs(threads);
        return std::make_tuple(roofs.read_gb_per_s, roofs.int8_gmac_per_s);
      },
      ReleaseGil(), nb::arg("threads"));
  m.def("active_isa", [] { return std::string(name(active_isa())); });
  m.def("available_isas", [] {
    std::vector<std::string> names;
    for (const Isa isa : available_isas()) names.emplace_back(name(isa));
    return names;
  });
}

}  // namespace bnq::python
