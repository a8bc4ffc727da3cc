#if defined(__linux__)

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <polyak/io/checkpoint.hpp>

#include <Eigen/Core>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"
#include "io/tracker.hpp"

// A process that is killed while it saves leaves the old file or the new one: it is killed at its first system call, at
// its second, … until it ends by itself, before the kernel has done what was asked and after.

using namespace polyak;
using Eigen::VectorXd;
using tracker::Tracker;

namespace {

struct Run {
  VectorXd weights;
  Tracker opt;

  explicit Run(int i) : weights(VectorXd::LinSpaced(30'000, i, i + 1)), opt(tracker::example(i)) {}
  void save_to(const std::filesystem::path& path) const { save(path, named("weights", weights), named("opt", opt)); }
};

constexpr std::uint64_t not_traced = ~std::uint64_t{0};

/// What became of a child that was to be killed at its k-th stop.
struct Ending {
  bool ended = false;
  std::vector<std::uint64_t> calls;  // numbers of the system calls that were begun
};

/// Runs f in a child that stops before and after each of its system calls, and kills it at the k-th stop.
template <class F>
Ending killed_at(int k, F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    try {
      f();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  Ending outcome;
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
    outcome.calls.push_back(not_traced);
    return outcome;
  }
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (int stop = 1;; ++stop) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) != child) break;
    if (WIFEXITED(status)) {
      outcome.ended = WEXITSTATUS(status) == 0;
      break;
    }
    if (!WIFSTOPPED(status)) break;
#ifdef PTRACE_GET_SYSCALL_INFO
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      outcome.calls.push_back(info.entry.nr);
    }
#endif
    if (stop == k) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
  }
  return outcome;
}

}  // namespace

TEST_CASE("A save killed at any system call leaves the old file or the new one", "[checkpoint][crash]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const Run old_run(1), new_run(2);
  new_run.save_to(path);
  const std::string new_bytes = files::read(path);
  old_run.save_to(path);
  const std::string old_bytes = files::read(path);
  REQUIRE(old_bytes != new_bytes);

  int as_old = 0, as_new = 0, stops = 0;
  for (int k = 1;; ++k) {
    files::write(path, old_bytes);
    const Ending outcome = killed_at(k, [&] { new_run.save_to(path); });
    if (!outcome.calls.empty() && outcome.calls.front() == not_traced) {
      WARN("this system lets no process trace its child");
      return;
    }
    const std::string bytes = files::read(path);
    INFO("killed at stop " << k);
    REQUIRE((bytes == old_bytes || bytes == new_bytes));
    if (outcome.ended) {
      REQUIRE(bytes == new_bytes);
      REQUIRE(k > 1);
      stops = k - 1;
      break;
    }
    REQUIRE(k < 10'000);
    REQUIRE((as_new == 0 || bytes == new_bytes));  // once moved into place it stays
    ++(bytes == old_bytes ? as_old : as_new);

    VectorXd weights(30'000);
    Tracker opt;
    load(path, named("weights", weights), named("opt", opt));
    const Run& found = bytes == old_bytes ? old_run : new_run;
    REQUIRE(weights == found.weights);
    REQUIRE(opt == found.opt);
  }
  CHECK(stops >= 2 * 10);  // open, several writes, lseek, write, fsync, close, rename; open, fsync, close
  CHECK(as_old > as_new);
  CHECK(as_new > 0);
}

TEST_CASE("A save that is first killed before it is in place, then succeeds, leaves no trace of itself but a .tmp",
          "[checkpoint][crash]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const Run run(1);
  const Ending outcome = killed_at(9, [&] { run.save_to(path); });
  if (!outcome.calls.empty() && outcome.calls.front() == not_traced) return;
  CHECK(!std::filesystem::exists(path));
  run.save_to(path);
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    const std::string name = entry.path().filename().string();
    CHECK((name == "run.safetensors" || (name.starts_with(".polyak-") && name.ends_with(".tmp"))));
  }
}

#ifdef PTRACE_GET_SYSCALL_INFO
TEST_CASE("The bytes are on the disk before the file has its name, and the name before save returns",
          "[checkpoint][crash]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const Run run(1);
  const Ending outcome = killed_at(1'000'000, [&] { run.save_to(path); });
  if (outcome.calls.size() < 2) return;  // not traced, or a kernel that does not tell
  REQUIRE(outcome.ended);
  std::string order;
  for (const std::uint64_t call : outcome.calls) {
    if (call == SYS_write) order += 'w';
    if (call == SYS_lseek) order += 'l';
    if (call == SYS_fsync) order += 's';
#ifdef SYS_rename
    if (call == SYS_rename) order += 'r';
#endif
    if (call == SYS_renameat || call == SYS_renameat2) order += 'r';
  }
  INFO(order);
  CHECK(order.size() >= 8);
  CHECK(order.ends_with("wlwsrs"));  // the checksum last, over the zeros in its place
  CHECK(order.find_first_not_of('w') == order.size() - 5);
}
#endif

#endif
