#pragma once

#include "bindings.h"

#include <exception>
#include <utility>

namespace bnq::python {

/// A bnq::Progress that asks Python: `callback(done_bytes, total_bytes)`, or None; and whether Ctrl-C was pressed.
class PythonProgress {
 public:
  explicit PythonProgress(nb::object callback) : callback_(std::move(callback)) {}

  /// `work(progress)` without the GIL. What the callback raised, or Ctrl-C, stops the work and is thrown on; a callback
  /// that returns False makes bnq throw `interrupted`.
  template <typename Work>
  auto run(const Work& work) {
    const nb::gil_scoped_release released;
    const Progress progress = [this](std::uint64_t done, std::uint64_t total) { return may_go_on(done, total); };
    try {
      return work(progress);
    } catch (const Error&) {
      if (raised_) std::rethrow_exception(raised_);
      throw;
    }
  }

 private:
  bool may_go_on(std::uint64_t done, std::uint64_t total) noexcept;

  nb::object callback_;
  std::exception_ptr raised_;
};

}  // namespace bnq::python
