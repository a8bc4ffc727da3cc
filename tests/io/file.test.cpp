#include <polyak/io/detail/file.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "catch.hpp"
#include "io/files.hpp"

// Files that are read, and files that take the place of others whole.

using polyak::detail::InputFile;
using polyak::detail::ReplacementFile;

namespace {

std::string text_of(const polyak::detail::FileBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.memory.get()), bytes.size};
}

void write(ReplacementFile& file, const std::string& text) { file.write(std::as_bytes(std::span(text))); }

void replace(const std::filesystem::path& path, const std::string& text) {
  ReplacementFile file(path, "test");
  write(file, text);
  file.commit();
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("A file appears when it is committed, and not before", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  files::write(path, "old");
  {
    ReplacementFile file(path, "test");
    write(file, "new");
    CHECK(files::read(path) == "old");
    CHECK(directory.count() == 2);
  }
  CHECK(files::read(path) == "old");
  CHECK(directory.count() == 1);
  replace(path, "new");
  CHECK(files::read(path) == "new");
  CHECK(directory.count() == 1);
}

TEST_CASE("Writes of every size arrive in order", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  std::string all;
  ReplacementFile file(path, "test");
  for (const std::size_t n : {0u, 1u, 1000u, 65'535u, 1u, 65'536u, 3u, 200'000u, 70'000u, 64u, 65'536u}) {
    std::string some(n, 'x');
    for (std::size_t i = 0; i < n; ++i) some[i] = static_cast<char>(i * 31 + n);
    write(file, some);
    all += some;
  }
  file.commit();
  CHECK(files::read(path) == all);
}

TEST_CASE("What was written is written over, and what follows it stays", "[io]") {
  const files::Directory directory;
  for (const std::size_t n : {10u, 65'536u, 200'000u}) {
    std::string all(n, 'x');
    ReplacementFile file(directory / "file", "test");
    write(file, all);
    write(file, "end");
    file.overwrite(3, std::as_bytes(std::span("four", 4)));
    file.commit();
    CHECK(files::read(directory / "file") == all.replace(3, 4, "four") + "end");
  }
}

TEST_CASE("A file is read piece by piece, and not beyond its end", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  files::write(path, "magic and more");
  InputFile file({"test", path.string()});
  CHECK(file.left() == 14);
  CHECK(text_of(file.read(5, "the magic")) == "magic");
  CHECK(text_of(file.read(0, "nothing")).empty());
  const std::string error = "test: " + path.string() + ": the rest must have ";
  CHECK(files::runtime_error_of([&] { (void)file.read(10, "the rest"); }) == error + "10 bytes, and there are 9");
  CHECK(files::runtime_error_of([&] { (void)file.read(~std::uint64_t{0}, "the rest"); }) ==
        error + "18446744073709551615 bytes, and there are 9");
  CHECK(text_of(file.read(9, "the rest")) == " and more");
  CHECK(file.left() == 0);
}

TEST_CASE("A file that has less than it said is refused", "[io]") {
  // What the kernel makes up while it is read says 4096 bytes and has fewer.
  const std::filesystem::path path = "/sys/kernel/uevent_seqnum";
  std::error_code error;
  if (std::filesystem::file_size(path, error) != 4096) return;
  InputFile file({"test", path.string()});
  CHECK(files::runtime_error_of([&] { (void)file.read(4096, "all"); }) ==
        "test: " + path.string() + ": became shorter while it was read");
}

TEST_CASE("A file is given back, and none is left open", "[io]") {
  const files::Directory directory;
  const auto open = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  if (!std::filesystem::exists("/proc/self/fd")) return;
  const auto before = open();
  replace(directory / "file", "x");
  { ReplacementFile abandoned(directory / "file", "test"); }
  CHECK(text_of(InputFile({"test", (directory / "file").string()}).read(1, "all")) == "x");
  CHECK(open() == before);
}

TEST_CASE("A process without standard input writes to descriptor 0 as to any other", "[io]") {
  const files::Directory directory;
  const int kept = ::dup(0);
  ::close(0);
  const std::string error = files::runtime_error_of([&] { replace(directory / "file", "x"); });
  const bool closed = ::fcntl(0, F_GETFD) == -1;
  if (kept >= 0) {
    ::dup2(kept, 0);
    ::close(kept);
  }
  CHECK(error == "nothing");
  CHECK(closed);
  CHECK(files::read(directory / "file") == "x");
}

TEST_CASE("A call that a signal has interrupted is made again, one that failed is not", "[io]") {
  const auto interrupted = [](int times, int error) {
    int calls = 0;
    const int result = polyak::detail::uninterrupted([&] {
      errno = error;
      return calls++ < times ? -1 : 7;
    });
    return std::pair(result, calls);
  };
  CHECK(interrupted(0, EINTR) == std::pair(7, 1));
  CHECK(interrupted(3, EINTR) == std::pair(7, 4));
  CHECK(interrupted(3, EIO) == std::pair(-1, 1));
}

TEST_CASE("A name that is taken is passed over, a hundred of them are not", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  const std::string prefix = directory.path().string() + "/.polyak-" + std::to_string(::getpid()) + '-';
  const auto error_with_taken = [&](std::size_t n) {
    std::string name;
    {
      const ReplacementFile file(path, "test");
      name = std::filesystem::directory_iterator(directory.path())->path().string();
    }
    REQUIRE(name.starts_with(prefix));
    REQUIRE(name.ends_with(".tmp"));
    const std::size_t number = std::stoul(name.substr(prefix.size()));
    for (std::size_t i = 1; i <= n; ++i) files::write(prefix + std::to_string(number + i) + ".tmp", "taken");
    const std::string error = files::runtime_error_of([&] { ReplacementFile(path, "test"); });
    CHECK(directory.count() == static_cast<std::ptrdiff_t>(n));  // and each is left to whom it belongs
    for (std::size_t i = 1; i <= n; ++i) std::filesystem::remove(prefix + std::to_string(number + i) + ".tmp");
    return error;
  };
  CHECK(error_with_taken(99) == "nothing");
  CHECK(error_with_taken(100) == "system: test: " + path.string() + ": cannot be written: File exists");
}

TEST_CASE("Two writers of one file do not meet; the last to commit wins", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  ReplacementFile first(path, "test"), second(path, "test");
  write(first, "first");
  write(second, "second");
  second.commit();
  CHECK(files::read(path) == "second");
  first.commit();
  CHECK(files::read(path) == "first");
  CHECK(directory.count() == 1);
}

TEST_CASE("Permissions are those of the file replaced, or of the umask", "[io]") {
  const files::Directory directory;
  const mode_t mask = ::umask(027);
  replace(directory / "new", "x");
  ::umask(mask);
  CHECK(mode_of(directory / "new") == 0640);
  for (const mode_t mode : {0600u, 0664u, 0444u}) {
    REQUIRE(::chmod((directory / "new").c_str(), mode) == 0);
    replace(directory / "new", "y");
    CHECK(mode_of(directory / "new") == mode);
  }
}

TEST_CASE("A link stays, and what it points to is replaced", "[io]") {
  const files::Directory directory;
  std::filesystem::create_directory(directory / "elsewhere");
  const auto target = directory / "elsewhere" / "file";
  files::write(target, "old");
  std::filesystem::create_symlink("elsewhere/file", directory / "link");
  std::filesystem::create_symlink("link", directory / "link_to_link");
  replace(directory / "link_to_link", "new");
  CHECK(std::filesystem::is_symlink(directory / "link"));
  CHECK(std::filesystem::is_symlink(directory / "link_to_link"));
  CHECK(files::read(target) == "new");
  CHECK(directory.count() == 3);

  std::filesystem::create_symlink("nowhere", directory / "dangling");
  CHECK(files::runtime_error_of([&] { replace(directory / "dangling", "new"); }) ==
        "system: test: " + (directory / "dangling").string() +
            ": is a link that leads to no file: No such file or directory");
  CHECK(!std::filesystem::exists(directory / "nowhere"));
}

TEST_CASE("A path without a directory is in the current one", "[io]") {
  const files::Directory directory;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  const std::string error = files::runtime_error_of([] { replace("file", "x"); });
  std::filesystem::current_path(before);
  CHECK(error == "nothing");
  CHECK(files::read(directory / "file") == "x");
}

TEST_CASE("A name may be as long as names can be", "[io]") {
  const files::Directory directory;
  std::string errors;
  for (std::size_t n = 243; n <= 255; ++n) {
    const auto path = directory / std::string(n, 'n');
    for (const std::string text : {"old", "new"}) {
      const std::string error = files::runtime_error_of([&] { replace(path, text); });
      if (error != "nothing" || files::read(path) != text) errors += std::to_string(n) + ": " + error + '\n';
    }
  }
  CHECK(errors.empty());
  CHECK(directory.count() == 13);
  const auto path = directory / std::string(256, 'n');
  CHECK(files::runtime_error_of([&] { replace(path, "x"); }) ==
        "system: test: " + path.string() + ": cannot be looked at: File name too long");
}

TEST_CASE("A directory that is gone is said to be", "[io]") {
  const files::Directory directory;
  std::filesystem::create_directory(directory / "gone");
  const auto path = directory / "gone" / "file";
  ReplacementFile file(path, "test");
  write(file, "x");
  std::filesystem::remove_all(directory / "gone");
  const std::string who = "system: test: " + path.string() + ": ";
  CHECK(files::runtime_error_of([&] { file.commit(); }) ==
        who + "cannot be moved to its place: No such file or directory");
  CHECK(files::runtime_error_of([&] { replace(path, "x"); }) == who + "cannot be written: No such file or directory");
}

TEST_CASE("What cannot be replaced is said, and left alone", "[io]") {
  const files::Directory directory;
  std::filesystem::create_directory(directory / "folder");
  CHECK(files::runtime_error_of([&] { replace(directory / "folder", "x"); }) ==
        "test: " + (directory / "folder").string() + ": must be a regular file to be replaced, and is not");
  CHECK(files::runtime_error_of([&] { replace("/dev/null", "x"); }) ==
        "test: /dev/null: must be a regular file to be replaced, and is not");
  const auto absent = directory / "absent/file";
  CHECK(files::runtime_error_of([&] { replace(absent, "x"); }) ==
        "system: test: " + absent.string() + ": cannot be written: No such file or directory");
  const auto beyond = directory / "file/beyond";
  files::write(directory / "file", "x");
  CHECK(files::runtime_error_of([&] { replace(beyond, "x"); }) ==
        "system: test: " + beyond.string() + ": cannot be looked at: Not a directory");
  CHECK(directory.count() == 2);
}

TEST_CASE("A disk that takes no more leaves the old file and nothing else", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  files::write(path, "old");
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  for (const std::size_t n : {std::size_t{1000}, std::size_t{300'000}}) {  // in commit, in write
    const rlimit small{500, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const std::string error = files::runtime_error_of([&] { replace(path, std::string(n, 'x')); });
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(error == "system: test: " + path.string() + ": cannot be written: File too large");
    CHECK(files::read(path) == "old");
    CHECK(directory.count() == 1);
  }
  ::signal(SIGXFSZ, handler);
}
