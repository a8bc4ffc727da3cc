#pragma once

#if !__has_include(<unistd.h>)
#error "polyak: files are replaced by the POSIX functions open, fsync and rename, which this system lacks"
#endif

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "polyak/io/detail/file_error.hpp"

namespace polyak::detail {

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

/// Repeats a call that a signal has interrupted.
template <class Call>
auto uninterrupted(Call call) noexcept {
  decltype(call()) result;
  do result = call();
  while (result == -1 && errno == EINTR);
  return result;
}

/// False with errno. On macOS fsync leaves the bytes in the cache of the disk.
[[nodiscard]] inline bool to_disk(int descriptor) noexcept {
#ifdef F_FULLFSYNC
  if (uninterrupted([&] { return ::fcntl(descriptor, F_FULLFSYNC); }) != -1) return true;
#endif
  return uninterrupted([&] { return ::fsync(descriptor); }) == 0;
}

/// A file that takes the place of `path` whole or not at all, whenever the process or the machine stops: it is written
/// beside its place as path.<process>-<number>.tmp, brought to the disk, renamed into place, and then the directory is
/// brought to the disk too. Without commit() nothing is left behind (a killed process leaves the temporary file).
///
/// A link is followed: what it points to is replaced, and it must point to a file. Permissions of a file that is
/// replaced are kept, its owner is not. Throws std::system_error, std::runtime_error where there is something other
/// than a regular file.
class ReplacementFile {
 public:
  ReplacementFile(const std::filesystem::path& path, std::string_view who)
      : name_{who, path.string()}, place_(resolve(path)) {
    struct stat old {};
    const bool replaces = ::stat(place_.c_str(), &old) == 0;
    if (!replaces && errno != ENOENT) name_.fail_system("cannot be looked at");
    if (replaces && !S_ISREG(old.st_mode)) name_.fail("must be a regular file to be replaced, and is not");
    open(replaces ? S_IRUSR | S_IWUSR : S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH);
    if (replaces && ::fchmod(file_.get(), old.st_mode & 07777) != 0) {
      const int error = errno;
      discard();
      name_.fail_system("cannot be given the permissions of the file it replaces", error);
    }
  }
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;
  ~ReplacementFile() { discard(); }

  [[nodiscard]] const FileName& name() const noexcept { return name_; }

  void write(std::span<const std::byte> bytes) {
    if (bytes.size() > capacity - used_) flush();
    if (bytes.size() >= capacity) return write_through(bytes);
    std::copy(bytes.begin(), bytes.end(), buffer_.get() + used_);
    used_ += bytes.size();
  }

  void commit() {
    flush();
    if (!to_disk(file_.get())) name_.fail_system("cannot be brought to the disk");
    if (!file_.close()) name_.fail_system("cannot be closed");
    if (::rename(temporary_.c_str(), place_.c_str()) != 0) name_.fail_system("cannot be moved to its place");
    temporary_.clear();
    sync_directory();
  }

 private:
  static constexpr std::size_t capacity = 64 * 1024;

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
      temporary_ = place_.string() + '.' + std::to_string(::getpid()) + '-' + std::to_string(++number) + ".tmp";
      const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
      file_ = Descriptor(uninterrupted([&] { return ::open(temporary_.c_str(), flags, mode); }));
      if (file_.is_open()) return;
      if (errno != EEXIST) break;
    }
    name_.fail_system("cannot be written");
  }

  void flush() {
    write_through({buffer_.get(), used_});
    used_ = 0;
  }
  void write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = uninterrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
      if (written < 0) name_.fail_system("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void sync_directory() const {
    const std::filesystem::path parent = place_.parent_path();
    const char* const directory = parent.empty() ? "." : parent.c_str();
    const Descriptor opened(uninterrupted([&] { return ::open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    // EACCES: it may be written to but not read; EINVAL: a file system that has nothing to bring.
    if (!opened.is_open() && errno == EACCES) return;
    if (!opened.is_open() || (!to_disk(opened.get()) && errno != EINVAL)) {
      name_.fail_system("is in its place, but its directory cannot be brought to the disk");
    }
  }

  void discard() noexcept {
    static_cast<void>(file_.close());
    if (!temporary_.empty()) static_cast<void>(::unlink(temporary_.c_str()));
  }

  FileName name_;
  std::filesystem::path place_;
  std::string temporary_;
  Descriptor file_{-1};
  std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(capacity);
  std::size_t used_ = 0;
};

}  // namespace polyak::detail
