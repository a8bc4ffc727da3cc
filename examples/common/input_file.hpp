#pragma once

#include <filesystem>
#include <fstream>

namespace examples {

/// Opens a file for reading as bytes; throws std::runtime_error that names it where it is missing, not a file or closed
/// to us.
[[nodiscard]] std::ifstream open_input(const std::filesystem::path& file);

}  // namespace examples
