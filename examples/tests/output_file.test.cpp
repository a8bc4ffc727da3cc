#include "common/output_file.hpp"

#include <fstream>
#include <iterator>
#include <string>

#include "catch.hpp"
#include "temporary_directory.hpp"

using namespace examples;

namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::ptrdiff_t files_in(const std::filesystem::path& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), {});
}

}  // namespace

TEST_CASE("an output file replaces the old one whole, or not at all") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "curves.csv";
  std::ofstream(file) << "old";
  {
    OutputFile output(file);
    output.stream() << "new";
    CHECK(content(file) == "old");
  }
  CHECK(content(file) == "old");
  CHECK(files_in(directory.path()) == 1);

  OutputFile output(file);
  output.stream() << "new";
  output.commit();
  CHECK(content(file) == "new");
  CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("an output file that cannot be written in full leaves the old one") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "curves.csv";
  std::ofstream(file) << "old";
  {
    OutputFile output(file);
    output.stream() << "new";
    output.stream().setstate(std::ios::badbit);  // as a full disk does
    CHECK_THROWS_WITH(output.commit(), Catch::Matchers::EndsWith("could not be written in full"));
  }
  CHECK(content(file) == "old");
  CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("a place that no file can take is refused at once") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(OutputFile(directory.path()),
                    Catch::Matchers::EndsWith("expected a regular file to replace, found something else"));
  std::filesystem::create_symlink("elsewhere", directory.path() / "link");
  CHECK_THROWS_WITH(OutputFile(directory.path() / "link"),
                    Catch::Matchers::EndsWith("expected a regular file to replace, found something else"));
  CHECK_THROWS_WITH(OutputFile(directory.path() / "no" / "such" / "place"),
                    Catch::Matchers::EndsWith("cannot be written there"));
}
