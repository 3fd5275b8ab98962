#pragma once

#include <cstddef>
#include <memory>

namespace bnq::detail {

/// Memory for a tensor, aligned to 64 bytes. It may be what was freed before. Throws std::bad_alloc.
[[nodiscard]] std::shared_ptr<std::byte> uninitialized_memory(std::size_t bytes);

/// Zeroed memory for what stays and is streamed through (weights): aligned to 64 bytes, and from 256 KB on in 2 MB
/// pages where the system has them, from which a stream is read 15 to 20 % faster. Throws std::bad_alloc.
[[nodiscard]] std::shared_ptr<std::byte> zeroed_memory(std::size_t bytes);

}  // namespace bnq::detail
