#include "bindings.h"

#include <exception>

namespace bnq::python {
namespace {

/// The class of bnq.errors for a kind of error.
const char* class_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "InvalidArgumentError";
    case ErrorKind::unsupported:
      return "UnsupportedError";
    case ErrorKind::bad_content:
      return "BadContentError";
    case ErrorKind::io:
      return "IoError";
    case ErrorKind::exists:
      return "ExistsError";
    case ErrorKind::interrupted:
      return "Interrupted";
  }
  return "Error";
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    const nb::object type = nb::module_::import_("bnq.errors").attr(class_name(error.kind()));
    PyErr_SetString(type.ptr(), error.what());
  }
}

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate); }

}  // namespace bnq::python
