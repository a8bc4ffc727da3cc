#include "common/output_file.hpp"

#include <random>
#include <stdexcept>
#include <system_error>

namespace examples {

OutputFile::OutputFile(const std::filesystem::path& file) : file_(file) {
  const auto type = std::filesystem::symlink_status(file_).type();
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found) {
    throw std::runtime_error(file_.string() + ": expected a regular file to replace, found something else");
  }
  unfinished_ = file_;
  unfinished_ += ".part" + std::to_string(std::random_device{}());
  stream_.open(unfinished_, std::ios::binary);
  if (!stream_) throw std::runtime_error(file_.string() + ": cannot be written there");
}

OutputFile::~OutputFile() {
  stream_.close();
  std::error_code ignored;
  std::filesystem::remove(unfinished_, ignored);
}

const std::filesystem::path& OutputFile::finish() {
  if (stream_.is_open()) stream_.close();
  if (!stream_) throw std::runtime_error(file_.string() + ": could not be written in full");
  return unfinished_;
}

const std::filesystem::path& OutputFile::commit() {
  std::error_code error;
  std::filesystem::rename(finish(), file_, error);
  if (error) throw std::runtime_error(file_.string() + ": " + error.message());
  return file_;
}

}  // namespace examples
