#include "io/folder/output_folder.h"

#include <bnq/safetensors.h>

#include "core/fail.h"
#include "io/file_map.h"
#include "io/metadata.h"
#include "io/output_file.h"
#include "io/system_call.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cstdio>

namespace bnq::detail {
namespace {

namespace fs = std::filesystem;

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : "."; }

/// "a/b/" is the folder a/b.
fs::path without_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

/// Does a file of the folder have the bnq entry? Only such a folder may be replaced: the wrong name would cost another
/// program's files.
bool is_written_by_bnq(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".safetensors") continue;
    try {
      if (safetensors::Reader(at->path()).metadata().contains(metadata_key)) return true;
    } catch (const Error&) {  // a broken file says nothing
    }
  }
  return false;
}

void require_free_name(const fs::path& path, bool replace) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return;
  if (!replace) {
    fail(ErrorKind::exists, {.where = text_of(path),
                             .what = "the output is already there",
                             .cure = "choose another name, or ask to replace it (--force, force=True)"});
  }
  if (fs::is_directory(status) && (fs::is_empty(path, error) || is_written_by_bnq(path))) return;
  fail(ErrorKind::exists, {.where = text_of(path),
                           .what = "the output name is taken by what bnq did not write, and is not replaced",
                           .got = fs::is_directory(status) ? "a folder without a file of bnq" : "no folder",
                           .need = "a free name, or a folder that bnq wrote",
                           .cure = "move it away, or choose another name"});
}

void require_free_space(const fs::path& path, std::uint64_t size_bytes) {
  struct statvfs status = {};
  if (::statvfs(parent_of(path).c_str(), &status) != 0 || status.f_frsize == 0) return;
  if (size_bytes / status.f_frsize < status.f_bavail) return;
  fail(ErrorKind::io, {.where = text_of(path),
                       .what = "no space for the output",
                       .got = std::to_string(status.f_bavail * status.f_frsize) + " bytes free",
                       .need = std::to_string(size_bytes),
                       .cure = "make room there, or choose another folder"});
}

fs::path make_passing_folder(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  constexpr int most_tries = 1000;
  constexpr std::size_t longest_stem = 200;  // bytes; a name has at most 255
  for (int i = 0; i < most_tries; ++i) {
    const fs::path passing =
        parent_of(path) / ("." + path.filename().string().substr(0, longest_stem) + "." + std::to_string(::getpid()) +
                           "-" + std::to_string(counter.fetch_add(1)) + ".part");
    if (::mkdir(passing.c_str(), 0777) == 0) return passing;
    if (errno == EEXIST) continue;
    fail_io(path, errno == ENOENT ? "the folder does not exist" : "cannot make a folder here", errno,
            errno == ENOENT ? "make the folder around it first" : "");
  }
  fail_io(path, "no free name for a passing folder", EEXIST);
}

void flush_folder(const fs::path& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (file.open()) (void)::fsync(file.number());
}

/// Both names change places in one step, so that one whole folder always stands at `path`. Returns 0 or an errno.
int exchange(const fs::path& passing, const fs::path& path) {
#if defined(__linux__)
  if (::renameat2(AT_FDCWD, passing.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) return 0;
  return errno;
#else
  return ENOSYS;
#endif
}

int rename_new(const fs::path& from, const fs::path& to) {
#if defined(__linux__)
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#endif
  if (::access(to.c_str(), F_OK) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& path, std::uint64_t size_bytes, bool replace)
    : path_(without_slash(path)), replace_(replace) {
  if (!path_.has_filename() || path_.filename() == "." || path_.filename() == "..") {
    fail(ErrorKind::invalid_argument,
         {.where = "output", .what = "names no folder", .got = "'" + text_of(path) + "'", .need = "a folder name"});
  }
  require_free_name(path_, replace);
  require_free_space(path_, size_bytes);
  passing_ = make_passing_folder(path_);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!passing_.empty()) fs::remove_all(passing_, ignored);
}

fs::path OutputFolder::place(const std::string& name) const {
  const fs::path at = passing_ / name;
  std::error_code error;
  fs::create_directories(at.parent_path(), error);
  if (error) fail_io(at.parent_path(), "cannot make a folder", error.value());
  return at;
}

void OutputFolder::write(const std::string& name, std::string_view bytes) const {
  OutputFile file(place(name), bytes.size(), false);
  file.write_at(0, std::as_bytes(std::span(bytes)));
  file.commit();
}

void OutputFolder::copy(const fs::path& from, const std::string& name) const {
  const FileMap map(from);
  write(name, {reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()});
}

void OutputFolder::commit() {
  flush_folder(passing_);
  std::error_code ignored;
  if (replace_ && fs::exists(fs::symlink_status(path_, ignored))) {
    require_free_name(path_, replace_);
    const int error = exchange(passing_, path_);  // what was there has the passing name now, and goes
    if (error != 0) fail_io(path_, "cannot take the place of the folder", error, "move it away");
    fs::remove_all(passing_, ignored);
  } else if (const int error = rename_new(passing_, path_); error != 0) {
    if (error == EEXIST) require_free_name(path_, false);
    fail_io(path_, "cannot give the folder its name", error);
  }
  passing_.clear();
  flush_folder(parent_of(path_));
}

}  // namespace bnq::detail
