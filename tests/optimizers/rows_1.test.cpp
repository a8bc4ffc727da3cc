#include "optimizers/rows.hpp"

TEMPLATE_TEST_CASE("optimizers are the same for every holder, size and average: the first of three", "",
                   POLYAK_TEST_SCALARS) {
  checks::check_rows<0, TestType>();
}
TEST_CASE("optimizers of double are the same for every holder, size and average: the first of three") {
  checks::check_rows<0, double>();
}
TEST_CASE("optimizers can be copied, reset, given rates and options by block: the first of three") {
  checks::check_lives<0, double>();
  checks::check_lives<0, float>();
}
