#pragma once

#include "polyak/cpp20.hpp"

#if defined(_WIN32) || !__has_include(<unistd.h>)
#include "polyak::io needs the POSIX functions open, fsync and rename, which this system lacks"  // ends the compilation
#endif

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

// Reading a file, and replacing one so that it is whole whenever the process or the machine stops. Messages read
// "polyak::load: run.safetensors: rule, got value". Long, as each call of the system has its own way to fail.

namespace polyak::detail {

/// Who works on which file, for messages.
struct FileName {
  std::string_view who;
  std::string path;

  [[nodiscard]] std::string text(std::string_view what) const {
    return std::string(who).append(": ").append(path).append(": ").append(what);
  }
  /// The file is not what it should be.
  [[noreturn, gnu::cold, gnu::noinline]] void fail(std::string_view what) const {
    throw std::runtime_error(text(what));
  }
  /// The file is good, but does not fit what it is read into.
  [[noreturn, gnu::cold, gnu::noinline]] void misfit(std::string_view what) const {
    throw std::invalid_argument(text(what));
  }
  /// The system refused: std::system_error with the text of errno.
  [[noreturn, gnu::cold, gnu::noinline]] void fail_system(std::string_view what, int error = errno) const {
    throw std::system_error(error, std::generic_category(), text(what));
  }
};

/// Bytes of a file in memory; many of them in pages of 2 MiB, where there are such: to get 128 MiB in pages of 4 KiB
/// takes longer than to read them.
struct FileBytes {
  struct Free {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };

  FileBytes() = default;
  template <std::unsigned_integral N>  // on some machines narrower than the size of a file
  explicit FileBytes(N n) : size(static_cast<std::size_t>(n)) {
    constexpr std::size_t page = std::size_t{2} << 20;
    const std::size_t whole_pages = (size / page + 1) * page;
    void* const bytes = size < 8 * page ? std::malloc(size + 1) : std::aligned_alloc(page, whole_pages);
    if (!bytes) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (size >= 8 * page) static_cast<void>(::madvise(bytes, whole_pages, MADV_HUGEPAGE));
#endif
    memory.reset(static_cast<std::byte*>(bytes));
  }

  [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(memory.get()), size}; }

  std::unique_ptr<std::byte, Free> memory;
  std::size_t size = 0;
};

/// A file that is read from its beginning on.
class InputFile {
 public:
  /// Throws std::system_error where it cannot be opened, std::runtime_error where it is no regular file.
  explicit InputFile(FileName name) : name_(std::move(name)) {
    std::error_code error;
    const bool is_regular = std::filesystem::is_regular_file(name_.path, error);
    if (!error && !is_regular) name_.fail("must be a regular file, and is not");  // not opened: a pipe would wait
    errno = error.value();
    if (!error) stream_.open(name_.path, std::ios::binary);
    if (!stream_.is_open()) name_.fail_system("cannot be opened");
    // The size of what is open: another file may have taken the place of `path` by now.
    const std::streamoff size = stream_.seekg(0, std::ios::end).tellg();
    if (size < 0 || !stream_.seekg(0)) name_.fail_system("cannot be read");
    left_ = static_cast<std::uint64_t>(size);
    if (left_ > (std::numeric_limits<std::size_t>::max)() / 2) name_.fail("is larger than the memory can be");
  }

  [[nodiscard]] const FileName& name() const noexcept { return name_; }
  /// Bytes that have not been read yet.
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }

  /// The next n bytes, which are `what`. Throws std::runtime_error, before it allocates, where there are fewer.
  [[nodiscard]] FileBytes read(std::uint64_t n, std::string_view what) {
    if (n > left_) {
      name_.fail(std::string(what) + " must have " + std::to_string(n) + " bytes, and there are " +
                 std::to_string(left_));
    }
    left_ -= n;
    FileBytes bytes(n);
    if (!stream_.read(reinterpret_cast<char*>(bytes.memory.get()), static_cast<std::streamsize>(n))) {
      if (stream_.bad()) name_.fail_system("cannot be read");
      name_.fail("became shorter while it was read");
    }
    return bytes;
  }

 private:
  FileName name_;
  std::ifstream stream_;
  std::uint64_t left_ = 0;
};

/// Repeats a call that a signal has interrupted.
template <class Call>
auto uninterrupted(Call call) noexcept {
  decltype(call()) result;
  do result = call();
  while (result == -1 && errno == EINTR);
  return result;
}

/// An open file.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() { static_cast<void>(close()); }

  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  /// False with errno where what was written may be lost. Not repeated on EINTR: the descriptor is gone then too.
  [[nodiscard]] bool close() noexcept {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0 || errno == EINTR;
  }

 private:
  int descriptor_;
};

/// A file that takes the place of `path` whole or not at all, whenever the process or the machine stops: it is written
/// beside its place as .polyak-<process>-<number>.tmp, brought to the disk, renamed into place, and then the directory
/// is brought to the disk too. Without commit() nothing is left behind (a killed process leaves the temporary file).
///
/// A link is followed: what it points to is replaced, and it must point to a file. Permissions of a file that is
/// replaced are kept, where the file system has such; its owner is not. Throws std::system_error, std::runtime_error
/// where there is something other than a regular file.
class ReplacementFile {
 public:
  ReplacementFile(const std::filesystem::path& path, std::string_view who)
      : name_{who, path.string()}, place_(resolve(path)) {
    struct stat old {};
    const bool replaces = ::stat(place_.c_str(), &old) == 0;
    if (!replaces && errno != ENOENT) name_.fail_system("cannot be looked at");
    if (replaces && !S_ISREG(old.st_mode)) name_.fail("must be a regular file to be replaced, and is not");
    open(replaces ? S_IRUSR | S_IWUSR : S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH);
    if (replaces && ::fchmod(file_.get(), old.st_mode & 07777) != 0 && !is_unsupported(errno)) {
      name_.fail_system("cannot be given the permissions of the file it replaces");
    }
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = uninterrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
      if (written < 0) name_.fail_system("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  /// Writes over what was written from `offset` on.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (::lseek(file_.get(), static_cast<off_t>(offset), SEEK_SET) < 0) name_.fail_system("cannot be written");
    write(bytes);
  }

  void commit() {
    if (!to_disk(file_.get())) name_.fail_system("cannot be brought to the disk");
    if (!file_.close()) name_.fail_system("cannot be closed");
    if (::rename(temporary_.path.c_str(), place_.c_str()) != 0) name_.fail_system("cannot be moved to its place");
    temporary_.path.clear();
    const std::filesystem::path parent = place_.parent_path();
    const char* const directory = parent.empty() ? "." : parent.c_str();
    const Descriptor opened(uninterrupted([&] { return ::open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (!opened.is_open() && errno == EACCES) return;  // it may be written to but not read
    if (!opened.is_open() || (!to_disk(opened.get()) && !is_unsupported(errno))) {
      name_.fail_system("is in its place, but its directory cannot be brought to the disk");
    }
  }

 private:
  /// What file systems of a network and FUSE say of a call that they do not have.
  [[nodiscard]] static bool is_unsupported(int error) noexcept {
    return error == EPERM || error == ENOTSUP || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
  }
  /// False with errno. On macOS fsync leaves the bytes in the cache of the disk.
  [[nodiscard]] static bool to_disk(int descriptor) noexcept {
#ifdef F_FULLFSYNC
    if (uninterrupted([&] { return ::fcntl(descriptor, F_FULLFSYNC); }) != -1) return true;
#endif
    return uninterrupted([&] { return ::fsync(descriptor); }) == 0;
  }

  std::filesystem::path resolve(const std::filesystem::path& path) const {
    std::error_code error;
    if (!std::filesystem::is_symlink(path, error)) return path;
    std::filesystem::path place = std::filesystem::canonical(path, error);
    if (error) name_.fail_system("is a link that leads to no file", error.value());
    return place;
  }

  void open(mode_t mode) {
    static constinit std::atomic<std::uint64_t> number = 0;
    for (int attempt = 0; attempt < 100; ++attempt) {
      // Not after the file, whose name may be as long as a name can be.
      const std::string name = ".polyak-" + std::to_string(::getpid()) + '-' + std::to_string(++number) + ".tmp";
      std::string path = place_.parent_path() / name;
      const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
      file_ = Descriptor(uninterrupted([&] { return ::open(path.c_str(), flags, mode); }));
      if (file_.is_open()) return temporary_.path.swap(path);
      if (errno != EEXIST) break;
    }
    name_.fail_system("cannot be written");
  }

  /// What is removed in the end, where it has a name.
  struct Temporary {
    ~Temporary() {
      if (!path.empty()) static_cast<void>(::unlink(path.c_str()));
    }
    std::string path;
  };

  FileName name_;
  std::filesystem::path place_;
  Temporary temporary_;
  Descriptor file_{-1};  // closed first
};

}  // namespace polyak::detail
