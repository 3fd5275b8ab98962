#include "core/memory/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>

namespace bnq::detail {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21U;  // bytes
constexpr std::align_val_t line{64};                      // bytes

void ask_for_huge_pages(std::byte* begin, std::size_t bytes) {
#if defined(MADV_HUGEPAGE)
  (void)::madvise(begin, bytes, MADV_HUGEPAGE);  // a refusal costs only speed
#endif
}

std::size_t bytes_to_huge_page(const std::byte* from) {
  return (huge_page - reinterpret_cast<std::uintptr_t>(from) % huge_page) % huge_page;
}

/// A mapping of its own that begins and ends on a huge page; what the alignment costs is given back at once.
std::shared_ptr<std::byte> map_memory(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() - 2 * huge_page) throw std::bad_alloc();
  const std::size_t size = (bytes + huge_page - 1) / huge_page * huge_page;
  void* const mapped = ::mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before = bytes_to_huge_page(begin);
  std::byte* const memory = begin + before;
  if (before > 0) (void)::munmap(begin, before);
  if (before < huge_page) (void)::munmap(memory + size, huge_page - before);
  ask_for_huge_pages(memory, size);
  return {memory, [size](std::byte* p) { (void)::munmap(p, size); }};
}

/// Cuts memory from large mappings, piece after piece, so that tensors smaller than a huge page share some. The pages
/// of a piece go back to the system with it, the mapping with its last piece.
class Pieces {
 public:
  static constexpr std::size_t smallest = huge_page / 8;
  static constexpr std::size_t largest = 8 * huge_page;

  std::shared_ptr<std::byte> cut(std::size_t bytes) {
    const std::size_t size = (bytes + page - 1) / page * page;
    const std::lock_guard lock(mutex_);
    if (mapping_ == nullptr || mapping_bytes - used_ < size) {
      mapping_ = map_memory(mapping_bytes);
      used_ = 0;
    }
    std::byte* const piece = mapping_.get() + used_;
    used_ += size;
    return {piece, [size, mapping = mapping_](std::byte* p) { (void)::madvise(p, size, MADV_DONTNEED); }};
  }

 private:
  static constexpr std::size_t mapping_bytes = 2 * largest;
  static constexpr std::size_t page = 4096;  // bytes; where pages are larger, they go back with the mapping only

  std::mutex mutex_;
  std::shared_ptr<std::byte> mapping_;
  std::size_t used_ = 0;
};

}  // namespace

std::shared_ptr<std::byte> uninitialized_memory(std::size_t bytes) {
  auto* const memory = static_cast<std::byte*>(::operator new(bytes, line));
  std::shared_ptr<std::byte> owned(memory, [](std::byte* p) { ::operator delete(p, line); });
  // Tens of thousands of small pages cost more time than what is written into them.
  if (bytes >= 2 * huge_page) {
    const std::size_t before = bytes_to_huge_page(memory);
    ask_for_huge_pages(memory + before, (bytes - before) / huge_page * huge_page);
  }
  return owned;
}

std::shared_ptr<std::byte> zeroed_memory(std::size_t bytes) {
  static auto* const pieces = new Pieces;  // never deleted: memory may end after the program's statics
  if (bytes > Pieces::largest) return map_memory(bytes);
  if (bytes >= Pieces::smallest) return pieces->cut(bytes);
  auto memory = uninitialized_memory(bytes);
  std::memset(memory.get(), 0, bytes);
  return memory;
}

}  // namespace bnq::detail
