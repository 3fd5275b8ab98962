#include "io/output_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

namespace bnq::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* make_room = "make room there, or choose another folder";

/// Where `path` leads to, link by link. A link to nothing leads to the file it would make.
fs::path resolved(const fs::path& path) {
  constexpr int most_links = 40;  // as Linux itself follows
  fs::path at = path;
  for (int links = 0; links < most_links; ++links) {
    std::error_code error;
    if (!fs::is_symlink(at, error)) return at;
    const fs::path target = fs::read_symlink(at, error);
    if (error) fail_io(path, "cannot follow the link", error.value());
    at = at.parent_path() / target;
  }
  fail_io(path, "cannot follow the link", ELOOP);
}

void require_file_name(const fs::path& path) {
  if (path.has_filename()) return;
  fail(ErrorKind::invalid_argument,
       {.where = "output", .what = "names no file", .got = "'" + text_of(path) + "'", .need = "a file name"});
}

/// Permissions of the file that will be replaced; nothing when there is none.
struct Existing {
  bool present = false;
  mode_t mode = 0;
};

Existing look_at(const fs::path& path, bool replace) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    fail_io(path, "cannot write here", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorKind::io, {.where = text_of(path),
                         .what = "the output name is taken by something that is no regular file",
                         .got = S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket",
                         .need = "a file name"});
  }
  if (!replace) {
    fail(ErrorKind::exists, {.where = text_of(path),
                             .what = "the output is already there",
                             .cure = "choose another name, or ask to replace it (--force, force=True)"});
  }
  return {true, status.st_mode & 07777};
}

/// Offers `make` names beside `path` until one is free, and gives that one. `make` returns 0 or an errno.
template <typename Make>
fs::path passing_name(const fs::path& path, const Make& make) {
  static std::atomic<unsigned> counter{0};
  constexpr int most_tries = 1000;
  constexpr std::size_t longest_stem = 200;  // bytes; a file name has at most 255
  for (int i = 0; i < most_tries; ++i) {
    const fs::path passing =
        path.parent_path() / ("." + path.filename().string().substr(0, longest_stem) + "." +
                              std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1)) + ".part");
    const int error = make(passing);
    if (error == 0) return passing;
    if (error == EEXIST) continue;
    fail_io(path, error == ENOENT ? "the folder does not exist" : "cannot make a file in this folder", error,
            error == ENOENT ? "make the folder first" : "");
  }
  fail_io(path, "no free name for a passing file", EEXIST);
}

/// By this name an unnamed file is linked to another.
std::string process_name(int file) { return "/proc/self/fd/" + std::to_string(file); }

/// A file without a name is gone with this process, however that ends. Not open where the system has none, or where it
/// could not be named later. The umask applies, as for any new file.
Descriptor open_unnamed(const fs::path& path) {
#if defined(O_TMPFILE)
  Descriptor file(::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
  if (file.open() && ::access(process_name(file.number()).c_str(), F_OK) == 0) return file;
#endif
  return Descriptor();
}

/// For those systems: a file of a name that nobody else has.
Descriptor open_named(const fs::path& path, fs::path& passing) {
  Descriptor file;
  passing = passing_name(path, [&](const fs::path& name) {
    file = Descriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    return file.open() ? 0 : errno;
  });
  return file;
}

int link_unnamed(int file, const fs::path& to) {
  return ::linkat(AT_FDCWD, process_name(file).c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/// Writing past this limit would end the process with a signal.
void require_below_limit(const fs::path& path, std::uint64_t size_bytes) {
  struct rlimit limit = {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (size_bytes <= static_cast<std::uint64_t>(limit.rlim_cur)) return;
  fail(ErrorKind::io, {.where = text_of(path),
                       .what = "the output is larger than this process may write",
                       .got = std::to_string(size_bytes) + " bytes",
                       .need = std::to_string(limit.rlim_cur) + " or fewer",
                       .cure = "raise the limit (ulimit -f)"});
}

/// For file systems that cannot reserve.
void require_free_space(const fs::path& path, int file, std::uint64_t size_bytes) {
  struct statvfs status = {};
  if (::fstatvfs(file, &status) != 0) return;
  const std::uint64_t free_blocks = size_bytes / status.f_frsize;
  if (free_blocks <= status.f_bavail) return;
  fail(ErrorKind::io, {.where = text_of(path),
                       .what = "no space for the output",
                       .got = std::to_string(status.f_bavail * status.f_frsize) + " bytes free",
                       .need = std::to_string(size_bytes),
                       .cure = make_room});
}

/// The disk begins now, not when all is written and `commit` waits for it. Only a hint: errors come with the flush.
void start_to_flush([[maybe_unused]] int file, [[maybe_unused]] std::uint64_t offset, [[maybe_unused]] ssize_t bytes) {
#if defined(__linux__)
  (void)::sync_file_range(file, static_cast<off_t>(offset), bytes, SYNC_FILE_RANGE_WRITE);
#endif
}

}  // namespace

OutputFile::OutputFile(const fs::path& path, std::uint64_t size_bytes, bool replace)
    : path_(resolved(path)), replace_(replace) {
  require_file_name(path_);
  const Existing existing = look_at(path_, replace);
  require_below_limit(path_, size_bytes);
  file_ = open_unnamed(path_);
  if (!file_.open()) file_ = open_named(path_, passing_);
  try {
    if (existing.present && ::fchmod(file_.number(), existing.mode) != 0)
      fail_io(path_, "cannot set permissions", errno);
    reserve(size_bytes);
  } catch (...) {  // the destructor of an object that was not made does not run
    if (!passing_.empty()) (void)::unlink(passing_.c_str());
    throw;
  }
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      passing_(std::exchange(other.passing_, {})),
      file_(std::move(other.file_)),
      replace_(other.replace_) {}

OutputFile::~OutputFile() {
  if (!passing_.empty()) (void)::unlink(passing_.c_str());
}

void OutputFile::reserve(std::uint64_t size_bytes) {
  const auto size = static_cast<off_t>(size_bytes);
  if (size == 0) return;
#if defined(__linux__)
  if (::fallocate(file_.number(), 0, 0, size) == 0) return;
  if (errno == ENOSPC) fail_io(path_, "no space for " + std::to_string(size_bytes) + " bytes", errno, make_room);
  if (errno != EOPNOTSUPP && errno != ENOSYS) fail_io(path_, "cannot reserve space", errno);
#endif
  require_free_space(path_, file_.number(), size_bytes);
  if (::ftruncate(file_.number(), size) != 0) fail_io(path_, "cannot set the size of the file", errno);
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  constexpr std::size_t piece_bytes = std::size_t{1}
                                      << 20U;  // the disk and other threads that write take turns with us
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), piece_bytes);
    const ssize_t written = ::pwrite(file_.number(), bytes.data(), size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(path_, "cannot write", errno, errno == ENOSPC ? make_room : "");
    start_to_flush(file_.number(), offset, written);
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::commit() {
  if (::fsync(file_.number()) != 0) fail_io(path_, "cannot flush the file to the disk", errno);
  const int error = give_name();
  if (error == EEXIST) (void)look_at(path_, false);
  if (error != 0) fail_io(path_, "cannot give the file its name", error);
  passing_.clear();
  (void)file_.close();  // what it holds is on the disk
  flush_folder(folder_of(path_));
}

void write_whole(const std::filesystem::path& path, std::string_view text, bool replace) {
  OutputFile file(path, text.size(), replace);
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

int OutputFile::give_name() {
  if (passing_.empty()) {
    const int error = link_unnamed(file_.number(), path_);
    if (error != EEXIST || !replace_) return error;
    // A link replaces nothing; a rename does, in one step.
    passing_ = passing_name(path_, [&](const fs::path& name) { return link_unnamed(file_.number(), name); });
  }
  if (!file_.close()) return errno;
  if (!replace_) return rename_new(passing_, path_);
  return ::rename(passing_.c_str(), path_.c_str()) == 0 ? 0 : errno;
}

}  // namespace bnq::detail
