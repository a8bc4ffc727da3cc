#include <polyak/io/detail/file_bytes.hpp>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>

#include "catch.hpp"
#include "io/files.hpp"

namespace {

std::string bytes_of(const std::filesystem::path& path, const std::string& magic) {
  const polyak::detail::FileBytes file({"test", path.string()}, magic, "a file of ours");
  std::string text(file.get().size(), '\0');
  if (!text.empty()) std::memcpy(text.data(), file.get().data(), text.size());
  return text;
}

}  // namespace

TEST_CASE("A file is read to its last byte, whatever of it is the magic", "[io]") {
  const files::Directory directory;
  const auto path = directory / "file";
  for (const std::string content : {"", "m", "magic", "magic!", "magic and more"}) {
    files::write(path, content);
    CHECK(bytes_of(path, "") == content);
    CHECK(bytes_of(path, content.substr(0, 5)) == content);
    if (content.size() < 5) {
      CHECK(files::runtime_error_of([&] { bytes_of(path, "magic"); }) ==
            "test: " + path.string() + ": must begin as a file of ours, and does not; it has " +
                std::to_string(content.size()) + " bytes");
    }
  }
}

TEST_CASE("A file that has less than it said is refused", "[io]") {
  // What the kernel makes up while it is read says 4096 bytes and has fewer.
  const std::filesystem::path path = "/sys/kernel/uevent_seqnum";
  std::error_code error;
  if (std::filesystem::file_size(path, error) != 4096) return;
  CHECK(files::runtime_error_of([&] { bytes_of(path, ""); }) ==
        "test: " + path.string() + ": became shorter while it was read");
}
