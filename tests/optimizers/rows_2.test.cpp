#include "optimizers/rows.hpp"

TEMPLATE_TEST_CASE("optimizers are the same for every holder, size and average: the second of three", "",
                   POLYAK_TEST_SCALARS) {
  checks::check_rows<1, TestType>();
}
TEST_CASE("optimizers of double are the same for every holder, size and average: the second of three") {
  checks::check_rows<1, double>();
}
TEST_CASE("optimizers can be copied, reset, given rates and options by block: the second of three") {
  checks::check_lives<1, double>();
  checks::check_lives<1, float>();
}
