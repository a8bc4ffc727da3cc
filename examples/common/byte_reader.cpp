#include "common/byte_reader.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace examples {

namespace {

constexpr std::array<std::uint8_t, 2> gzip_magic = {0x1f, 0x8b};

struct Format {
  std::string_view magic, name;
};
constexpr Format other_formats[] = {
    {"BZh", "bzip2"},
    {"\xfd\x37\x7aX", "xz"},
    {"\x28\xb5\x2f\xfd", "Zstandard"},
    {"PK\x03\x04", "a ZIP archive"},
    {"\xff\xfe", "UTF-16"},
    {"\xfe\xff", "UTF-16"},
    {"\xef\xbb\xbf", "a byte order mark"},
};

}  // namespace

struct ByteReader::Gzip {
  Gzip() {
    constexpr int gzip_only = 16;
    if (inflateInit2(&stream, MAX_WBITS + gzip_only) != Z_OK) throw std::runtime_error("zlib cannot be started");
  }
  ~Gzip() { inflateEnd(&stream); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  z_stream stream{};
  std::array<std::uint8_t, 1 << 16> packed;
  bool ended = false;
};

ByteReader::ByteReader(std::istream& stream, std::string name) : stream_(stream), name_(std::move(name)) {
  const std::size_t n = read_raw(first_);
  if (n == first_.size() && first_ == gzip_magic) gzip_ = std::make_unique<Gzip>();
  first_count_ = n;
}

ByteReader::~ByteReader() = default;

std::size_t ByteReader::read_raw(std::span<std::uint8_t> out) {
  const std::size_t known = std::min(out.size(), first_count_ - first_read_);
  std::copy_n(first_.begin() + static_cast<std::ptrdiff_t>(first_read_), known, out.begin());
  first_read_ += known;
  out = out.subspan(known);
  stream_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (stream_.bad()) throw std::runtime_error(name_ + ": cannot be read");
  return known + static_cast<std::size_t>(stream_.gcount());
}

bool ByteReader::refill() {
  z_stream& z = gzip_->stream;
  z.next_in = gzip_->packed.data();
  z.avail_in = static_cast<uInt>(read_raw(gzip_->packed));
  return z.avail_in > 0;
}

void ByteReader::next_member() {
  z_stream& z = gzip_->stream;
  while ((z.avail_in > 0 || refill()) && *z.next_in == 0) {  // what pads a file to whole blocks
    ++z.next_in;
    --z.avail_in;
  }
  if (z.avail_in == 0) {
    gzip_->ended = true;
  } else if (*z.next_in != gzip_magic[0] || inflateReset(&z) != Z_OK) {
    throw std::runtime_error(name_ + ": expected the file to end with its gzip data, found more bytes");
  }
}

std::size_t ByteReader::read(std::span<std::uint8_t> out) {
  const std::size_t n = read_on(out);
  if (!std::exchange(at_start_, false)) return n;
  const std::string_view start(reinterpret_cast<const char*>(out.data()), n);
  for (const Format& format : other_formats) {
    if (!start.starts_with(format.magic)) continue;
    throw std::runtime_error(name_ + ": expected plain bytes or gzip, found " + std::string(format.name));
  }
  return n;
}

std::size_t ByteReader::read_on(std::span<std::uint8_t> out) {
  if (!gzip_) return read_raw(out);

  std::size_t done = 0;
  z_stream& z = gzip_->stream;
  while (done < out.size() && !gzip_->ended) {
    if (z.avail_in == 0 && !refill()) {
      throw std::runtime_error(name_ + ": expected more gzip data, found the end of the file");
    }
    const std::size_t room = std::min<std::size_t>(out.size() - done, std::numeric_limits<uInt>::max());
    z.next_out = out.data() + done;
    z.avail_out = static_cast<uInt>(room);
    const int status = inflate(&z, Z_NO_FLUSH);
    done += room - z.avail_out;
    if (status == Z_STREAM_END) {
      next_member();
    } else if (status != Z_OK) {
      throw std::runtime_error(name_ + ": expected valid gzip data, found damage" +
                               (z.msg != nullptr ? " (" + std::string(z.msg) + ")" : std::string()));
    }
  }
  return done;
}

}  // namespace examples
