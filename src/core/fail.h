#pragma once

#include <bnq/error.h>

#include <string>

namespace bnq::detail {

/// The parts of an error message, in the order they are printed; empty ones are left out:
/// *where: what (got X, need Y); cure*.
struct Message {
  std::string where;  ///< the function, or file and tensor
  std::string what;   ///< what is wrong
  std::string got = {};
  std::string need = {};
  std::string cure = {};  ///< what to do about it
};

[[nodiscard]] std::string text_of(const Message& message);

[[noreturn]] void fail(ErrorKind kind, const Message& message);

/// Text from a file or a user made safe to print: control characters and invalid UTF-8 become \xNN, long text is cut.
[[nodiscard]] std::string printable(const std::string& text);

}  // namespace bnq::detail
