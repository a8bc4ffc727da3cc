#include <polyak/io/detail/file.hpp>

#if defined(__linux__)

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

constexpr unsigned the_directory = ~0u;

/// A system call whose argument at this index is not 0, or has this flag, or is the descriptor of the directory, and
/// the error it is to end with.
struct Refusal {
  long call;
  int error;
  unsigned argument = 0;
  unsigned flag = 0;
};

/// Refuses the calls of this thread for good. False where the kernel does not offer that.
bool refuse(const Refusal& refusal, int directory) {
  const auto number = static_cast<std::uint32_t>(refusal.call);
  const auto error = static_cast<std::uint32_t>(refusal.error);
  const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * refusal.argument);
  const bool is_equal = refusal.flag == the_directory;
  const auto operand = is_equal ? static_cast<std::uint32_t>(directory) : refusal.flag == 0 ? ~0u : refusal.flag;
  const auto compare = static_cast<std::uint16_t>(BPF_JMP | BPF_K | (is_equal ? BPF_JEQ : BPF_JSET));
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
      BPF_JUMP(compare, operand, 0, 1),
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
    const int lowest = ::open("/dev/null", O_RDONLY);  // the directory's, which is opened when this is free again
    if (!refuse(refusal, lowest)) return;
    try {
      polyak::detail::ReplacementFile file(path, "test");
      ::close(lowest);
      file.write(std::as_bytes(std::span("nnw", 3)));
      file.overwrite(1, std::as_bytes(std::span("e", 1)));
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
  const std::string only_directory = "is in its place, but its directory cannot be brought to the disk: ";
  const Case c = GENERATE_COPY(
      Case{{SYS_fchmod, EIO}, "cannot be given the permissions of the file it replaces: Input/output error", "old"},
      Case{{SYS_write, ENOSPC}, "cannot be written: No space left on device", "old"},
      Case{{SYS_write, EDQUOT}, "cannot be written: Disk quota exceeded", "old"},
      Case{{SYS_lseek, ESPIPE}, "cannot be written: Illegal seek", "old"},
      Case{{SYS_fsync, EIO}, "cannot be brought to the disk: Input/output error", "old"},
      Case{{SYS_fsync, ENOSYS}, "cannot be brought to the disk: Function not implemented", "old"},
      Case{{SYS_close, EIO}, "cannot be closed: Input/output error", "old"},
      Case{{rename_call, EBUSY}, "cannot be moved to its place: Device or resource busy", "old"},
      Case{{SYS_openat, EROFS, 2, O_CREAT}, "cannot be written: Read-only file system", "old"},
      Case{{SYS_openat, EMFILE, 2, O_DIRECTORY}, only_directory + "Too many open files", "new"},
      Case{{SYS_fsync, EIO, 0, the_directory}, only_directory + "Input/output error", "new"});
  const files::Directory directory;
  const auto path = directory / "file";
  files::write(path, "old");
  const std::string error = error_of_replacing(path, c.refusal);
  if (error == "not offered") return;
  CHECK(error == "test: " + path.string() + ": " + c.error);
  CHECK(files::read(path) == c.content);
  CHECK(directory.count() == 1);
}

TEST_CASE("What a file system does not have, and a directory that may not be read, is done without", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  const auto refusal =
      GENERATE(Refusal{SYS_fchmod, EPERM}, Refusal{SYS_fchmod, ENOTSUP}, Refusal{SYS_fchmod, ENOSYS},
               Refusal{SYS_fsync, EPERM, 0, the_directory}, Refusal{SYS_fsync, EINVAL, 0, the_directory},
               Refusal{SYS_fsync, ENOTSUP, 0, the_directory}, Refusal{SYS_fsync, ENOSYS, 0, the_directory},
               Refusal{SYS_openat, EACCES, 2, O_DIRECTORY},
               Refusal{SYS_close, EINTR});  // gone with its descriptor, and not closed a second time
  files::write(path, "old");
  const std::string error = error_of_replacing(path, refusal);
  if (error == "not offered") return;
  CHECK(error == "nothing");
  CHECK(files::read(path) == "new");
  CHECK(directory.count() == 1);
}

#endif
