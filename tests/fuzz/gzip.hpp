#pragma once

#include <zlib.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "fuzz.hpp"

namespace fuzz {

/// A gzip member that holds `plain`; packed little, to be fast.
inline std::string gzip_member(std::string_view plain) {
  z_stream z{};
  constexpr int gzip = 16, least_window = 9, least_memory = 1;
  require(deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, gzip + least_window, least_memory, Z_DEFAULT_STRATEGY) == Z_OK,
          "zlib starts");
  std::string source(plain);
  std::string packed(deflateBound(&z, plain.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(source.data());
  z.avail_in = static_cast<uInt>(source.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  require(deflate(&z, Z_FINISH) == Z_STREAM_END, "zlib packs");
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

/// In two members, cut in the middle.
inline std::string gzip(std::string_view plain) {
  return gzip_member(plain.substr(0, plain.size() / 2)) + gzip_member(plain.substr(plain.size() / 2));
}

inline bool is_gzip(std::string_view file) { return file.starts_with("\x1f\x8b"); }

/// What a file may unpack to: deflate makes at most 1032 bytes of one.
inline std::size_t most_bytes_in(std::string_view file) { return is_gzip(file) ? 1032 * file.size() : file.size(); }

}  // namespace fuzz
