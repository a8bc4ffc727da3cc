#include "optimizers/rows.hpp"

TEMPLATE_TEST_CASE("optimizers are the same for every holder, size and average: the third of three", "",
                   POLYAK_TEST_SCALARS) {
  checks::check_rows<2, TestType>();
}
TEST_CASE("optimizers of double are the same for every holder, size and average: the third of three") {
  checks::check_rows<2, double>();
}
TEST_CASE("optimizers can be copied, reset, given rates and options by block: the third of three") {
  checks::check_lives<2, double>();
  checks::check_lives<2, float>();
}
