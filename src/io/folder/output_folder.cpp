#include "io/folder/output_folder.h"

#include <bnq/safetensors.h>

#include "core/fail.h"
#include "io/digest.h"
#include "io/file_map.h"
#include "io/metadata.h"
#include "io/output_file.h"
#include "io/system_call.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace bnq::detail {
namespace {

namespace fs = std::filesystem;

/// "a/b/" is the folder a/b.
fs::path without_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

/// Does a file of the folder say so? Only such a folder may be replaced: the wrong name would cost another
/// program's files.
bool is_written_by_bnq(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".safetensors") continue;
    try {
      const safetensors::Reader file(at->path());
      const safetensors::Metadata& metadata = file.metadata();
      if (metadata.contains(metadata_key) || metadata.contains(dequantized_key)) return true;
    } catch (const Error&) {  // a broken file says nothing
    }
  }
  return false;
}

/// A file of the folder that would be lost if the folder were replaced; empty when there is none.
std::string stranger_in(const fs::path& folder, const std::vector<std::string>& files) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().lexically_relative(folder).string();
    const bool is_ours = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") ||
                         at->is_directory(error) || std::ranges::find(files, name) != files.end();
    if (!is_ours) return name;
  }
  return {};
}

void require_free_name(const fs::path& path, const OutputFolder::Options& options) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return;
  if (!options.replace) {
    fail(ErrorKind::exists, {.where = text_of(path),
                             .what = "the output is already there",
                             .cure = "choose another name, or ask to replace it (--force, force=True)"});
  }
  std::string got = "no folder, but a file or a link";
  if (fs::is_directory(status)) {
    if (fs::is_empty(path, error)) return;
    const std::string stranger = stranger_in(path, options.files);
    if (stranger.empty() && is_written_by_bnq(path)) return;
    got = stranger.empty() ? "a folder without a file of bnq" : "a folder with '" + printable(stranger) + "'";
  }
  fail(ErrorKind::exists, {.where = text_of(path),
                           .what = "the output name is taken by what bnq did not write, and is not replaced",
                           .got = got,
                           .need = "a free name, or a folder that bnq wrote",
                           .cure = "move it away, or choose another name"});
}

void require_free_space(const fs::path& path, std::uint64_t size_bytes) {
  struct statvfs status = {};
  if (::statvfs(folder_of(path).c_str(), &status) != 0 || status.f_frsize == 0) return;
  if (size_bytes / status.f_frsize < status.f_bavail) return;
  fail(ErrorKind::io, {.where = text_of(path),
                       .what = "no space for the output",
                       .got = std::to_string(status.f_bavail * status.f_frsize) + " bytes free",
                       .need = std::to_string(size_bytes),
                       .cure = "make room there, or choose another folder"});
}

constexpr const char* lock_name = ".lock";
constexpr std::string_view note_ending = ".finished";

fs::path partial_path(const fs::path& path) {
  constexpr std::size_t longest_stem = 200;  // bytes; a name has at most 255
  return folder_of(path) / ("." + path.filename().string().substr(0, longest_stem) + ".partial");
}

/// A process that was killed holds its lock until the system has cleared it away.
bool takes_lock(int file) {
  constexpr int tries = 20;
  constexpr std::chrono::milliseconds pause(50);
  for (int i = 0; i < tries; ++i) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    std::this_thread::sleep_for(pause);
  }
  return false;
}

/// The lock of a partial folder, which is made if it is not there. A process that ends, however, gives it back.
Descriptor lock_partial(const fs::path& path, const fs::path& partial) {
  if (::mkdir(partial.c_str(), 0777) != 0 && errno != EEXIST) {
    fail_io(path, errno == ENOENT ? "the folder does not exist" : "cannot make a folder here", errno,
            errno == ENOENT ? "make the folder around it first" : "");
  }
  const fs::path name = partial / lock_name;
  Descriptor lock(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!lock.open()) fail_io(partial, "cannot lock the folder", errno);
  struct stat mine = {};
  struct stat there = {};
  const bool is_locked = takes_lock(lock.number());
  // Whoever had it may have given the folder its name, or taken it away, since it was opened.
  const bool is_current = ::fstat(lock.number(), &mine) == 0 && ::stat(name.c_str(), &there) == 0 &&
                          mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
  if (is_locked && is_current) return lock;
  fail(ErrorKind::io, {.where = text_of(path),
                       .what = "another process is writing this output",
                       .cure = "wait for it, or choose another name"});
}

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  }
  return bytes;
}

/// Removes all but the lock and what `keep` names. It is bnq's own folder.
void clean_folder(const fs::path& folder, const std::vector<std::string>& keep) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name == lock_name || std::ranges::find(keep, name) != keep.end()) continue;
    fs::remove_all(at->path(), error);
  }
  if (error) fail_io(folder, "cannot clean the folder", error.value());
}

std::string note_name(const std::string& name) { return "." + name + std::string(note_ending); }

/// Shards and their notes: all else of an earlier run is made again.
std::vector<std::string> worth_keeping(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (const std::string& file : files) {
    if (!file.ends_with(".safetensors")) continue;
    names.push_back(file);
    names.push_back(note_name(file));
  }
  return names;
}

[[noreturn]] void fail_unfinished(const fs::path& path, const fs::path& partial) {
  fail(ErrorKind::exists, {.where = text_of(path),
                           .what = "an earlier run was cut off and left a part of it",
                           .got = "'" + text_of(partial) + "'",
                           .cure = "go on with it (--resume, resume=True), start anew (--force), or remove it"});
}

/// Both names change places in one step, so that one whole folder always stands at `path`. Returns 0 or an errno.
int exchange(const fs::path& partial, const fs::path& path) {
#if defined(__linux__)
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) return 0;
  return errno;
#else
  return ENOSYS;
#endif
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& path, const Options& options)
    : path_(without_slash(path)), options_(options) {
  if (!path_.has_filename() || path_.filename() == "." || path_.filename() == "..") {
    fail(ErrorKind::invalid_argument,
         {.where = "output", .what = "names no folder", .got = "'" + text_of(path) + "'", .need = "a folder name"});
  }
  require_free_name(path_, options);
  const fs::path partial = partial_path(path_);
  std::error_code ignored;
  const bool was_there = fs::exists(fs::symlink_status(partial, ignored));
  const std::uint64_t there = options.resume ? bytes_in(partial) : 0;
  require_free_space(path_, options.size_bytes - std::min(there, options.size_bytes));
  if (was_there && !fs::exists(fs::symlink_status(partial / lock_name, ignored))) {
    fail(ErrorKind::exists, {.where = text_of(partial),
                             .what = "the name of the partial output is taken by what bnq did not write",
                             .cure = "move it away"});
  }
  lock_ = lock_partial(path_, partial);
  if (was_there && !options.resume && !options.replace) fail_unfinished(path_, partial);
  partial_ = partial;
  clean_folder(partial_, options.resume ? worth_keeping(options.files) : std::vector<std::string>());
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!partial_.empty() && !options_.resume) fs::remove_all(partial_, ignored);
}

fs::path OutputFolder::place(const std::string& name) const {
  const fs::path at = partial_ / name;
  std::error_code error;
  fs::create_directories(at.parent_path(), error);
  if (error) fail_io(at.parent_path(), "cannot make a folder", error.value());
  return at;
}

bool OutputFolder::has_finished(const std::string& name, const std::string& work) const {
  const fs::path file = partial_ / name;
  const fs::path note = partial_ / note_name(name);
  std::error_code ignored;
  if (!options_.resume || !fs::exists(fs::symlink_status(file, ignored))) return false;
  try {
    const FileMap map(note);
    const std::string text(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size());
    if (text == work + "\n" + digest_of(safetensors::Reader(file)) + "\n") return true;
  } catch (const Error&) {  // not whole, not ours: made again
  }
  fs::remove_all(note, ignored);
  std::error_code error;
  fs::remove_all(file, error);
  if (error) fail_io(file, "cannot remove what an earlier run left", error.value());
  return false;
}

void OutputFolder::note_finished(const std::string& name, const std::string& work, const std::string& digest) const {
  write(note_name(name), work + "\n" + digest + "\n");
}

void OutputFolder::write(const std::string& name, std::string_view bytes) const {
  write_whole(place(name), bytes, true);  // what an earlier run left is written anew
}

void OutputFolder::copy(const fs::path& from, const std::string& name) const {
  const FileMap map(from);
  write(name, {reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()});
}

void OutputFolder::remove_notes() const {
  std::vector<fs::path> notes{partial_ / lock_name};
  for (const fs::directory_entry& entry : fs::directory_iterator(partial_)) {
    if (entry.path().filename().string().ends_with(note_ending)) notes.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& note : notes) fs::remove(note, ignored);
}

void OutputFolder::commit() {
  remove_notes();
  flush_folder(partial_);
  std::error_code ignored;
  if (options_.replace && fs::exists(fs::symlink_status(path_, ignored))) {
    require_free_name(path_, options_);
    const int error = exchange(partial_, path_);  // what was there has the hidden name now, and goes
    if (error != 0) fail_io(path_, "cannot take the place of the folder", error, "move it away");
    fs::remove_all(partial_, ignored);
  } else if (const int error = rename_new(partial_, path_); error != 0) {
    if (error == EEXIST) require_free_name(path_, {});
    fail_io(path_, "cannot give the folder its name", error);
  }
  partial_.clear();
  flush_folder(folder_of(path_));
}

}  // namespace bnq::detail
