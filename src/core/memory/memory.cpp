#include "core/memory/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

namespace bnq::detail {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21U;  // bytes
constexpr std::align_val_t line{64};                      // bytes

/// A mapping of its own that begins on a huge page; what the alignment costs is given back at once.
std::shared_ptr<std::byte> map_memory(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() - 2 * huge_page) throw std::bad_alloc();
  const std::size_t size = (bytes + 4095) / 4096 * 4096;
  const std::size_t reserved = size + huge_page;
  void* const mapped = ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(mapped) % huge_page) % huge_page;
  std::byte* const memory = begin + before;
  if (before > 0) (void)::munmap(begin, before);
  if (before < huge_page) (void)::munmap(memory + size, huge_page - before);
#if defined(MADV_HUGEPAGE)
  (void)::madvise(memory, size, MADV_HUGEPAGE);  // a refusal costs only speed
#endif
  return {memory, [size](std::byte* p) { (void)::munmap(p, size); }};
}

}  // namespace

std::shared_ptr<std::byte> zeroed_memory(std::size_t bytes) {
  if (bytes >= huge_page) return map_memory(bytes);
  auto* const memory = static_cast<std::byte*>(::operator new(bytes, line));
  std::shared_ptr<std::byte> owned(memory, [](std::byte* p) { ::operator delete(p, line); });
  std::memset(memory, 0, bytes);
  return owned;
}

}  // namespace bnq::detail
