#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "polyak/io/detail/file_error.hpp"
#include "polyak/io/detail/replacement_file.hpp"

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
    bytes_.reset(allocate(size_));
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

  /// A large file in pages of 2 MiB, where there are such: to get 128 MiB in pages of 4 KiB takes three times as long
  /// as to read them.
  static std::byte* allocate(std::size_t size) {
    void* memory = nullptr;
#ifdef MADV_HUGEPAGE
    constexpr std::size_t page = std::size_t{2} << 20;
    if (size >= 8 * page) {
      const std::size_t whole_pages = (size + page - 1) / page * page;
      memory = std::aligned_alloc(page, whole_pages);
      if (memory) static_cast<void>(::madvise(memory, whole_pages, MADV_HUGEPAGE));
    }
#endif
    if (!memory) memory = std::malloc(std::max<std::size_t>(size, 1));
    if (!memory) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
  }

  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };

  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t size_ = 0;
};

}  // namespace polyak::detail
