// File systems without unnamed files: the output then has a passing name beside its final one.
#include "support/expect_error.h"
#include "tensor_sets.h"

#include <bnq/safetensors.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <thread>

namespace bnq::test {
namespace {

using safetensors::Writer;
using Replace = Writer::Replace;

/// From here on this thread, and no other, is refused unnamed files as such a file system refuses them.
bool forbid_unnamed_files() {
  constexpr auto number_at = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  constexpr auto flags_at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t));
  constexpr std::uint32_t unnamed = O_TMPFILE & ~O_DIRECTORY;
  std::array<sock_filter, 6> steps{
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags_at), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, unnamed, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{.len = steps.size(), .filter = steps.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
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
