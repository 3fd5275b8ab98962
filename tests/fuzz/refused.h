#pragma once

#include <bnq/error.h>

#include <cstdlib>

namespace bnq::test {

/// Runs `read`. Hostile bytes may be refused as bad content (or as unsupported), and in no other way.
template <typename Read>
void only_refuses(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_content && error.kind() != ErrorKind::unsupported) std::abort();
  }
}

}  // namespace bnq::test
