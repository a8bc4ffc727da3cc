#include <polyak/optimizers/sgd.hpp>

#include "optimizers/checks.hpp"
#include "parts/wrappers.hpp"

namespace {

template <class Scalar>
void check_wrappers() {
  const polyak::Sgd<Scalar> sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  polyak::parts::for_each_wrapper(sgd, [](const char* name, const auto& wrapper) {
    checks::check_holders(name, wrapper);
    checks::check_sizes(name, wrapper);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("wrappers are the same for every holder, size and average", "", POLYAK_TEST_SCALARS) {
  check_wrappers<TestType>();
}
TEST_CASE("wrappers of double are the same for every holder, size and average") { check_wrappers<double>(); }
