#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "polyak/detail/io/file_error.hpp"
#include "polyak/detail/io/replacement_file.hpp"

namespace polyak::detail {

/// A whole file in memory.
class FileBytes {
 public:
  /// Throws std::system_error where it cannot be read, std::runtime_error where it is no regular file or does not begin
  /// with `magic`, which is `what`; no more than its size is allocated, and nothing for a foreign file.
  FileBytes(const FileName& name, std::string_view magic, std::string_view what) {
    // Not blocking, so that a pipe is refused rather than waited for.
    const auto open = [&] { return ::open(name.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); };
    const Descriptor file(uninterrupted(open));
    struct stat status {};
    if (!file.is_open() || ::fstat(file.get(), &status) != 0) name.fail_system("cannot be opened");
    if (!S_ISREG(status.st_mode)) name.fail("must be a regular file, and is not");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > std::numeric_limits<std::size_t>::max() / 2) name.fail("is larger than the memory can be");
    size_ = static_cast<std::size_t>(size);

    char head[16] = {};
    const std::size_t length = std::min(magic.size(), size_);
    read(name, file, reinterpret_cast<std::byte*>(head), length);
    if (std::string_view(head, length) != magic) {
      name.fail(std::string("must begin as ").append(what).append(", and does not; it has ") + std::to_string(size_) +
                " bytes");
    }
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(size_);
    std::memcpy(bytes_.get(), head, length);
    read(name, file, bytes_.get() + length, size_ - length);
  }

  [[nodiscard]] std::span<const std::byte> get() const noexcept { return {bytes_.get(), size_}; }

 private:
  static void read(const FileName& name, const Descriptor& file, std::byte* to, std::size_t n) {
    while (n > 0) {
      const auto got = uninterrupted([&] { return ::read(file.get(), to, std::min(n, std::size_t{1} << 30)); });
      if (got < 0) name.fail_system("cannot be read");
      if (got == 0) name.fail("became shorter while it was read");
      to += got;
      n -= static_cast<std::size_t>(got);
    }
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace polyak::detail
