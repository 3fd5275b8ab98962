#include "io/file_map.h"

#include "io/system_call.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

namespace bnq::detail {

FileMap::FileMap(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a FIFO would wait for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.open()) fail_io(path, "cannot open the file", errno);
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) fail_io(path, "cannot read the file's size", errno);
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorKind::io, {.where = text_of(path),
                         .what = "not a regular file",
                         .got = S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket",
                         .need = "a file of tensors"});
  }
  if (status.st_size == 0) return;  // an empty mapping is no mapping; the reader refuses it as too short
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (memory == MAP_FAILED) fail_io(path, "cannot map the file into memory", errno);
  (void)::madvise(memory, size, MADV_SEQUENTIAL);
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

FileMap::~FileMap() {
  if (!bytes_.empty()) (void)::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void FileMap::release(std::span<const std::byte> part) const noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size()) / page * page;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address rounded to a page
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace bnq::detail
