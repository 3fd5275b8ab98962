#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

namespace bnq::test {

/// Bytes that lie flush against a page which may be neither read nor written: one byte too far is a crash.
class GuardedBuffer {
 public:
  enum class Guard { before, behind };

  explicit GuardedBuffer(std::size_t bytes, Guard guard = Guard::behind) : bytes_(bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t room = (bytes + page - 1) / page * page;
    mapped_bytes_ = room + 2 * page;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED) throw std::bad_alloc();
    auto* const first = static_cast<std::byte*>(mapped_) + page;
    if (room > 0 && mprotect(first, room, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = guard == Guard::before ? first : first + (room - bytes);
  }
  ~GuardedBuffer() { munmap(mapped_, mapped_bytes_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  [[nodiscard]] std::byte* data() { return data_; }
  [[nodiscard]] std::span<std::byte> bytes() { return {data_, bytes_}; }

  void assign(std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  }

 private:
  std::size_t bytes_;
  std::size_t mapped_bytes_ = 0;
  void* mapped_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace bnq::test
