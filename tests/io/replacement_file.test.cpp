#include <polyak/io/detail/file_bytes.hpp>
#include <polyak/io/detail/replacement_file.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "catch.hpp"
#include "io/files.hpp"

using polyak::detail::ReplacementFile;

namespace {

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

TEST_CASE("A file is given back, and none is left open", "[io]") {
  const files::Directory directory;
  const auto open = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  if (!std::filesystem::exists("/proc/self/fd")) return;
  const auto before = open();
  replace(directory / "file", "x");
  { ReplacementFile abandoned(directory / "file", "test"); }
  CHECK(polyak::detail::FileBytes({"test", (directory / "file").string()}, "", "a file").get().size() == 1);
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
  const std::string prefix = path.string() + '.' + std::to_string(::getpid()) + '-';
  const auto error_with_taken = [&](std::size_t n) {
    std::string name;
    {
      const ReplacementFile file(path, "test");
      name = std::filesystem::directory_iterator(directory.path())->path().string();
    }
    REQUIRE(name.starts_with(prefix));
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
