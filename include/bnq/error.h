#pragma once

#include <bnq/export.h>

#include <stdexcept>
#include <string>

namespace bnq {

/// Who has to act when something goes wrong.
enum class ErrorKind {
  invalid_argument,  ///< the caller asked for something that has no meaning
  unsupported,       ///< meaningful, but this function or layout cannot hold it; the message names what can
  bad_content,       ///< the data is broken, lies about itself, or holds NaN or infinity
  io,                ///< the system failed: file missing, no space, no permission
  exists,            ///< the output is already there and replacing it was not asked for
  interrupted,       ///< a progress callback asked to stop; nothing was left behind
};

/// The only exception bnq throws on purpose. A failed call leaves its outputs untouched, and files absent.
///
/// Messages have one grammar: *where: what (got X, need Y); what to do*.
class BNQ_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message);

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace bnq
