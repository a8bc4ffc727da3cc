#include <polyak/io/detail/replacement_file.hpp>

#if defined(__linux__)

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <thread>

#include "catch.hpp"
#include "io/files.hpp"

// What a file system may refuse, of which a temporary directory refuses nothing: the kernel is asked to refuse it.

namespace {

#if defined(SYS_rename)
constexpr long rename_call = SYS_rename;
#else
constexpr long rename_call = SYS_renameat;
#endif

/// A system call whose argument at this index is not 0, or has this flag, and the error it is to end with.
struct Refusal {
  long call;
  int error;
  unsigned argument = 0;
  unsigned flag = 0;
};

/// Refuses the calls of this thread for good. False where the kernel does not offer that.
bool refuse(const Refusal& refusal) {
  const auto number = static_cast<std::uint32_t>(refusal.call);
  const auto error = static_cast<std::uint32_t>(refusal.error);
  const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * refusal.argument);
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, refusal.flag == 0 ? ~0u : refusal.flag, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// What comes of replacing a file while a system call is refused: "nothing", or the error.
std::string error_of_replacing(const std::filesystem::path& path, const Refusal& refusal) {
  std::string result = "not offered";
  std::thread thread([&] {
    if (!refuse(refusal)) return;
    try {
      polyak::detail::ReplacementFile file(path, "test");
      file.write(std::as_bytes(std::span("new", 3)));
      file.commit();
      result = "nothing";
    } catch (const std::system_error& error) {
      result = error.what();
    }
  });
  thread.join();
  return result;
}

struct Case {
  Refusal refusal;
  std::string error;
  std::string content;
};

}  // namespace

TEST_CASE("Where a file system refuses a step of a replacement, that is said and the old file stays", "[io]") {
  const Case c = GENERATE(Case{{SYS_fchmod, EPERM},
                               "cannot be given the permissions of the file it replaces: Operation not permitted",
                               "old"},
                          Case{{SYS_write, ENOSPC}, "cannot be written: No space left on device", "old"},
                          Case{{SYS_fsync, EIO}, "cannot be brought to the disk: Input/output error", "old"},
                          Case{{SYS_close, EIO}, "cannot be closed: Input/output error", "old"},
                          Case{{rename_call, EBUSY}, "cannot be moved to its place: Device or resource busy", "old"},
                          Case{{SYS_openat, EROFS, 2, O_CREAT}, "cannot be written: Read-only file system", "old"},
                          Case{{SYS_openat, EMFILE, 2, O_DIRECTORY},
                               "is in its place, but its directory cannot be brought to the disk: Too many open files",
                               "new"});
  const files::Directory directory;
  const auto path = directory / "file";
  files::write(path, "old");
  const std::string error = error_of_replacing(path, c.refusal);
  if (error == "not offered") return;
  CHECK(error == "test: " + path.string() + ": " + c.error);
  CHECK(files::read(path) == c.content);
  CHECK(directory.count() == 1);
}

TEST_CASE("A directory that may be written to but not read takes a replacement, and so does a close cut short",
          "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  const std::string error = error_of_replacing(path, {SYS_openat, EACCES, 2, O_DIRECTORY});
  if (error == "not offered") return;
  CHECK(error == "nothing");
  CHECK(files::read(path) == "new");
  // What is gone with its descriptor is not closed a second time.
  CHECK(error_of_replacing(path, {SYS_close, EINTR}) == "nothing");
}

#endif
