// What can go wrong while a file is written. Each time the old file has to stay whole and nothing may be left beside.
#include "raw_file.h"
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/safetensors.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <span>
#include <thread>

namespace bnq::test {
namespace {

using safetensors::Entry;
using safetensors::Metadata;
using safetensors::Reader;
using safetensors::Writer;
using Replace = Writer::Replace;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Two tensors of four bytes.
std::vector<Entry> pair() {
  return {{.name = "a", .dtype = DType::u8, .shape = {4}}, {.name = "b", .dtype = DType::f32, .shape = {}}};
}

void write_pair(Writer& writer, std::string_view a = "aaaa") {
  writer.write("a", bytes_of(a));
  writer.write("b", bytes_of("bbbb"));
}

void write_whole(const std::filesystem::path& path, Replace replace, std::string_view a = "aaaa") {
  Writer writer(path, pair(), {}, replace);
  write_pair(writer, a);
  writer.finish();
}

class WriterFailureTest : public TempDirTest {
 protected:
  std::filesystem::path path = dir / "model.safetensors";
};

TEST_F(WriterFailureTest, LeavesNothingWithoutFinish) {
  {
    Writer writer(path, pair(), {}, Replace::no);
    EXPECT_FALSE(std::filesystem::exists(path));
    write_pair(writer);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_LE(dir.entries(), 1);  // a passing file, on a file system without unnamed ones
  }
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(WriterFailureTest, RefusesToFinishWithoutATensor) {
  {
    Writer writer(path, pair(), {}, Replace::no);
    writer.write("a", bytes_of("aaaa"));
    EXPECT_BNQ_ERROR(writer.finish(), ErrorKind::invalid_argument, path.string(), "'b'");
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.write("b", bytes_of("bbbb"));  // nothing is lost by the attempt
    writer.finish();
  }
  EXPECT_EQ(stored_bytes(path, "b"), "bbbb");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, AsksForEmptyTensorsToo) {
  Writer writer(path, {{.name = "e", .dtype = DType::u8, .shape = {0}}}, {}, Replace::no);
  EXPECT_BNQ_ERROR(writer.finish(), ErrorKind::invalid_argument, "'e'");
  writer.write("e", {});
  writer.finish();
}

TEST_F(WriterFailureTest, RefusesWrongBytes) {
  Writer writer(path, pair(), {}, Replace::no);
  EXPECT_BNQ_ERROR(writer.write("a", bytes_of("aaa")), ErrorKind::invalid_argument, "'a'", "3", "4");
  EXPECT_BNQ_ERROR(writer.write("a", bytes_of("aaaaa")), ErrorKind::invalid_argument, "'a'", "5", "4");
  EXPECT_BNQ_ERROR(writer.write("a", {}), ErrorKind::invalid_argument, "'a'", "0", "4");
  EXPECT_BNQ_ERROR(writer.write("c", bytes_of("cccc")), ErrorKind::invalid_argument, "'c'");
  EXPECT_BNQ_ERROR(writer.write("\x1b[2J", {}), ErrorKind::invalid_argument, "\\x1b[2J");
  write_pair(writer);
  EXPECT_BNQ_ERROR(writer.write("a", bytes_of("AAAA")), ErrorKind::invalid_argument, "'a'");
  writer.finish();
  EXPECT_EQ(stored_bytes(path, "a"), "aaaa");
}

TEST_F(WriterFailureTest, KeepsTheFileWhateverComesAfterFinish) {
  {
    Writer writer(path, pair(), {}, Replace::no);
    write_pair(writer);
    writer.finish();
    EXPECT_THROW(writer.finish(), Error);
    EXPECT_THROW(writer.write("a", bytes_of("AAAA")), Error);
  }
  EXPECT_EQ(stored_bytes(path, "a"), "aaaa");
}

TEST_F(WriterFailureTest, RefusesBadDeclarations) {
  const auto declare = [&](std::vector<Entry> entries, const Metadata& metadata = {}) {
    const Writer writer(path, std::move(entries), metadata, Replace::no);
  };
  const Entry a{.name = "twice", .dtype = DType::u8, .shape = {1}};
  EXPECT_BNQ_ERROR(declare({a, a}), ErrorKind::invalid_argument, "'twice'");
  EXPECT_BNQ_ERROR(declare({{.name = "__metadata__", .dtype = DType::u8, .shape = {1}}}), ErrorKind::invalid_argument,
                   "__metadata__");
  EXPECT_BNQ_ERROR(declare({{.name = "a\xFF", .dtype = DType::u8, .shape = {1}}}), ErrorKind::invalid_argument,
                   "a\\xff");
  EXPECT_BNQ_ERROR(declare({{.name = "n", .dtype = DType::u8, .shape = {-1}}}), ErrorKind::invalid_argument, "-1");
  EXPECT_BNQ_ERROR(declare({{.name = "h", .dtype = DType::u8, .shape = {1LL << 62, 4}}}), ErrorKind::invalid_argument);
  EXPECT_BNQ_ERROR(declare({{.name = "h", .dtype = DType::f64, .shape = {1LL << 61}}}), ErrorKind::invalid_argument,
                   "'h'");
  EXPECT_BNQ_ERROR(declare({{.name = "h", .dtype = DType::u8, .shape = {1LL << 62}},
                            {.name = "i", .dtype = DType::u8, .shape = {1LL << 62}}}),
                   ErrorKind::invalid_argument);
  EXPECT_BNQ_ERROR(declare({}, {{"k", "v\xFF"}}), ErrorKind::invalid_argument, "v\\xff");
  EXPECT_BNQ_ERROR(declare({}, {{"k\xFF", "v"}}), ErrorKind::invalid_argument, "k\\xff");
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(WriterFailureTest, RefusesAHeaderThatNoReaderTakes) {
  const Metadata metadata{{"k", repeated("x", 100'000'001)}};
  EXPECT_BNQ_ERROR(Writer(path, {}, metadata, Replace::no), ErrorKind::invalid_argument, "100000000");
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(WriterFailureTest, KeepsAnExistingFileUnlessAsked) {
  write_file(path, "old");
  EXPECT_BNQ_ERROR(Writer(path, pair(), {}, Replace::no), ErrorKind::exists, path.string());
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, ReplacesOnlyAtTheEnd) {
  write_file(path, "old");
  {
    Writer writer(path, pair(), {}, Replace::yes);
    write_pair(writer);
    EXPECT_EQ(read_file(path), "old");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
  write_whole(path, Replace::yes);
  EXPECT_EQ(stored_bytes(path, "a"), "aaaa");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, DoesNotOverwriteWhatAppearedMeanwhile) {
  {
    Writer writer(path, pair(), {}, Replace::no);
    write_pair(writer);
    write_file(path, "another program's");
    EXPECT_BNQ_ERROR(writer.finish(), ErrorKind::exists, path.string());
  }
  EXPECT_EQ(read_file(path), "another program's");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, TwoWritersDoNotMixTheirBytes) {
  {
    Writer first(path, pair(), {}, Replace::no);
    Writer second(path, pair(), {}, Replace::no);
    write_pair(second, "2222");
    write_pair(first, "1111");
    first.finish();
    EXPECT_BNQ_ERROR(second.finish(), ErrorKind::exists, path.string());
  }
  EXPECT_EQ(stored_bytes(path, "a"), "1111");
  Writer third(path, pair(), {}, Replace::yes);
  Writer fourth(path, pair(), {}, Replace::yes);
  write_pair(third, "3333");
  write_pair(fourth, "4444");
  fourth.finish();
  EXPECT_EQ(stored_bytes(path, "a"), "4444");
  third.finish();
  EXPECT_EQ(stored_bytes(path, "a"), "3333");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, SaysWhenTheFolderIsMissing) {
  EXPECT_BNQ_ERROR(Writer(dir / "no/such/f", pair(), {}, Replace::no), ErrorKind::io, "no/such/f", "folder");
  write_file(path, "old");
  EXPECT_BNQ_ERROR(Writer(path / "below", pair(), {}, Replace::yes), ErrorKind::io, path.string());
  EXPECT_BNQ_ERROR(Writer("", pair(), {}, Replace::yes), ErrorKind::invalid_argument, "file name");
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
}

// All of it in a folder of its own: were the check broken, a device of the machine would be replaced by a file.
TEST_F(WriterFailureTest, ReplacesNothingButFiles) {
  std::filesystem::create_directory(path);
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  for (const Replace replace : {Replace::no, Replace::yes}) {
    EXPECT_BNQ_ERROR(write_whole(path, replace), ErrorKind::io, path.string(), "folder");
    EXPECT_BNQ_ERROR(write_whole(dir / "pipe", replace), ErrorKind::io, "pipe");
  }
  EXPECT_TRUE(std::filesystem::is_directory(path));
  EXPECT_TRUE(std::filesystem::is_fifo(dir / "pipe"));
  EXPECT_EQ(dir.entries(), 2);
}

TEST_F(WriterFailureTest, WritesThroughLinks) {
  std::filesystem::create_directory(dir / "store");
  const std::filesystem::path target = dir / "store/target";
  std::filesystem::create_symlink("store/target", path);
  write_whole(path, Replace::no);  // a link to nothing is no existing output
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(stored_bytes(target, "a"), "aaaa");
  EXPECT_BNQ_ERROR(write_whole(path, Replace::no), ErrorKind::exists);
  write_whole(path, Replace::yes, "AAAA");
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(stored_bytes(target, "a"), "AAAA");
  std::filesystem::create_symlink("loop", dir / "loop");
  EXPECT_BNQ_ERROR(write_whole(dir / "loop", Replace::yes), ErrorKind::io, "loop");
  std::filesystem::create_symlink(dir / "store", dir / "folder");
  EXPECT_BNQ_ERROR(write_whole(dir / "folder", Replace::yes), ErrorKind::io);
  EXPECT_EQ(dir.entries(), 4);
}

TEST_F(WriterFailureTest, RespectsTheUmask) {
  const mode_t before = umask(0027);
  write_whole(path, Replace::no);
  umask(before);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0640));
  std::filesystem::permissions(path, std::filesystem::perms(0604));
  write_whole(path, Replace::yes);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0604));
}

TEST_F(WriterFailureTest, LeavesOtherHardLinksAlone) {
  write_whole(path, Replace::no);
  std::filesystem::create_hard_link(path, dir / "twin");
  write_whole(path, Replace::yes, "AAAA");
  EXPECT_EQ(stored_bytes(dir / "twin", "a"), "aaaa");
  EXPECT_EQ(stored_bytes(path, "a"), "AAAA");
}

TEST_F(WriterFailureTest, SaysWhenAFolderIsReadOnly) {
  constexpr uid_t nobody = 65534;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
  const uid_t self = geteuid();
  if (self == 0 && seteuid(nobody) != 0) GTEST_SKIP() << "root may write everywhere";
  EXPECT_BNQ_ERROR(write_whole(path, Replace::no), ErrorKind::io, path.string(), "Permission denied");
  ASSERT_EQ(seteuid(self), 0);
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  EXPECT_EQ(dir.entries(), 0);
}

TEST_F(WriterFailureTest, SaysWhenThereIsNoSpace) {
  write_file(path, "old");
  const std::vector<Entry> petabyte{{.name = "w", .dtype = DType::u8, .shape = {1LL << 50}}};
  EXPECT_BNQ_ERROR(Writer(path, petabyte, {}, Replace::yes), ErrorKind::io, path.string());
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
}

/// Files of this process may have `bytes` bytes. Past that the system sends SIGXFSZ, which is ignored.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_ = {};
  void (*old_handler_)(int);
};

TEST_F(WriterFailureTest, SaysWhenTheFileIsTooLargeForTheProcess) {
  write_file(path, "old");
  const std::vector<Entry> large{{.name = "w", .dtype = DType::u8, .shape = {100'000}}};
  {
    const FileSizeLimit limit(10'000);
    EXPECT_BNQ_ERROR(Writer(path, large, {}, Replace::yes), ErrorKind::io, path.string(), "10000");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
}

TEST_F(WriterFailureTest, SaysWhenAWriteFails) {
  write_file(path, "old");
  const Tensor tensor(DType::u8, {100'000});
  {
    Writer writer(path, {{.name = "w", .dtype = DType::u8, .shape = {100'000}}}, {}, Replace::yes);
    const FileSizeLimit limit(10'000);  // lowered after the space was reserved
    EXPECT_BNQ_ERROR(writer.write("w", tensor.bytes()), ErrorKind::io, path.string());
    EXPECT_BNQ_ERROR(writer.finish(), ErrorKind::invalid_argument, "'w'");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(dir.entries(), 1);
}

// File systems without unnamed files: the output has a passing name beside its final one.

/// One step of a program that the kernel runs before each system call: struct sock_filter of linux/filter.h.
struct FilterStep {
  std::uint16_t code;
  std::uint8_t skip_if_true;
  std::uint8_t skip_if_false;
  std::uint32_t value;
};

/// struct sock_fprog.
struct Filter {
  std::uint16_t count;
  const FilterStep* steps;
};

/// From here on this thread, and no other, is refused unnamed files as such a file system refuses them.
bool forbid_unnamed_files() {
  constexpr std::uint16_t load = 0x20;          // BPF_LD | BPF_W | BPF_ABS: a word of struct seccomp_data
  constexpr std::uint16_t skip_equal = 0x15;    // BPF_JMP | BPF_JEQ | BPF_K
  constexpr std::uint16_t skip_any_bit = 0x45;  // BPF_JMP | BPF_JSET | BPF_K
  constexpr std::uint16_t answer = 0x06;        // BPF_RET | BPF_K
  constexpr std::uint32_t call_at = 0;          // seccomp_data: nr, arch, instruction pointer, six words of arguments
  constexpr std::uint32_t flags_at = 16 + 2 * 8;
  constexpr std::uint32_t fail = 0x0005'0000;   // SECCOMP_RET_ERRNO
  constexpr std::uint32_t allow = 0x7fff'0000;  // SECCOMP_RET_ALLOW
  constexpr std::uint32_t unnamed = O_TMPFILE & ~O_DIRECTORY;
  const std::array<FilterStep, 6> steps{{{load, 0, 0, call_at},
                                         {skip_equal, 0, 3, SYS_openat},
                                         {load, 0, 0, flags_at},
                                         {skip_any_bit, 0, 1, unnamed},
                                         {answer, 0, 0, fail | EOPNOTSUPP},
                                         {answer, 0, 0, allow}}};
  const Filter filter{steps.size(), steps.data()};
  constexpr unsigned long filter_mode = 2;  // SECCOMP_MODE_FILTER
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, filter_mode, &filter) == 0;
}

class PassingFileTest : public TempDirTest {
 protected:
  template <typename Body>
  void without_unnamed_files(const Body& body) const {
    bool forbidden = false;
    std::thread([&] {
      forbidden = forbid_unnamed_files();
      if (forbidden) body();
    }).join();
    if (!forbidden) GTEST_SKIP() << "this system lets nobody filter calls";
  }

  Writer writer(Replace replace) const {
    return {path, {{.name = "a", .dtype = DType::u8, .shape = {4}}}, {}, replace};
  }

  std::span<const std::byte> bytes = std::as_bytes(std::span("aaaa", 4));
  std::filesystem::path path = dir / "model.safetensors";
};

TEST_F(PassingFileTest, IsRenamedWhenWhole) {
  without_unnamed_files([&] {
    for (const Replace replace : {Replace::no, Replace::yes}) {
      Writer out = writer(replace);
      EXPECT_EQ(dir.entries(), replace == Replace::no ? 1 : 2);
      out.write("a", bytes);
      out.finish();
      EXPECT_EQ(stored_bytes(path, "a"), "aaaa");
      EXPECT_EQ(dir.entries(), 1);
    }
  });
}

TEST_F(PassingFileTest, IsRemovedWhenNotFinished) {
  without_unnamed_files([&] {
    { const Writer out = writer(Replace::no); }
    EXPECT_EQ(dir.entries(), 0);
  });
}

TEST_F(PassingFileTest, DoesNotOverwriteWhatAppearedMeanwhile) {
  without_unnamed_files([&] {
    {
      Writer out = writer(Replace::no);
      out.write("a", bytes);
      write_file(path, "another program's");
      EXPECT_BNQ_ERROR(out.finish(), ErrorKind::exists, path.string());
    }
    EXPECT_EQ(read_file(path), "another program's");
    EXPECT_EQ(dir.entries(), 1);
  });
}

TEST_F(PassingFileTest, ThatIsGoneIsAnErrorAndHarmsNoOldFile) {
  without_unnamed_files([&] {
    write_file(path, "old");
    {
      Writer out = writer(Replace::yes);
      out.write("a", bytes);
      for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
        if (entry.path() != path) std::filesystem::remove(entry.path());
      }
      EXPECT_BNQ_ERROR(out.finish(), ErrorKind::io, path.string());
    }
    EXPECT_EQ(read_file(path), "old");
  });
}

}  // namespace
}  // namespace bnq::test
