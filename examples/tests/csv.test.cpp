#include "common/csv.hpp"

#include <sstream>
#include <string>

#include "catch.hpp"
#include "common/data_sets.hpp"

using namespace examples;
using namespace std::string_literals;

namespace {

CsvTable table_from(const std::string& text) {
  std::istringstream stream(text);
  return read_csv(stream, "file");
}

}  // namespace

TEST_CASE("CSV is read by rows and columns") {
  for (const std::string end : {"\n", "\r\n"}) {
    const CsvTable table = table_from("label,a,b" + end + "1,2,-3" + end + "4,5,6");
    CHECK(table.columns == std::vector<std::string>{"label", "a", "b"});
    REQUIRE(table.rows() == 2);
    CHECK(table.at(0, 2) == -3);
    CHECK(table.at(1, 0) == 4);
  }
}

TEST_CASE("malformed CSV is refused by line") {
  CHECK_THROWS_WITH(table_from(""), "file:1: expected a line of column names, found the end of the file");
  CHECK_THROWS_WITH(table_from("a,b\n"), "file:2: expected a row of numbers, found the end of the file");
  CHECK_THROWS_WITH(table_from("a,b\n1,2\n3\n"), "file:3: expected 2 cells, found 1");
  CHECK_THROWS_WITH(table_from("a,b\n1,2,3\n"), "file:2: expected 2 cells, found 3");
  CHECK_THROWS_WITH(table_from("a,b\n1,x\n"), "file:2: expected a whole number, found x");
  CHECK_THROWS_WITH(table_from("a,b\n1,2.5\n"), "file:2: expected a whole number, found 2.5");
  CHECK_THROWS_WITH(table_from("a,b\n1,\xff\0x\n"s), "file:2: expected a whole number, found \\xff\\x00x");
  CHECK_THROWS_WITH(table_from("a,b\n1,\n"), "file:2: expected a whole number, found an empty cell");
  CHECK_THROWS_WITH(table_from("a,b\n1,99999999999\n"), "file:2: expected a whole number, found 99999999999");
}

TEST_CASE("the digits are the UCI test set") {
  const TrainTest digits = load_digits();
  CHECK(digits.train.samples() == 1437);
  CHECK(digits.test.samples() == 360);
  CHECK(digits.train.inputs.rows() == 65);
  CHECK(digits.train.inputs.minCoeff() == 0);
  CHECK(digits.train.inputs.maxCoeff() == 1);
  CHECK(digits.train.inputs.row(64).isOnes());

  std::vector<int> count(10);
  for (const Dataset* part : {&digits.train, &digits.test}) {
    for (const int label : part->labels) ++count.at(static_cast<std::size_t>(label));
  }
  CHECK(count == std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});  // as UCI gives it
}
