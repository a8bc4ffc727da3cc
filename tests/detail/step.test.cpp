#include <polyak/detail/step.hpp>

#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using polyak::Averaged;
using polyak::Sgd;
using polyak::detail::check_overlap;
using support::error_of;

TEST_CASE("a gradient may be the parameters or lie beside them, but not across them") {
  const std::vector<double> memory(10);
  const auto overlap = [&](std::size_t params, std::size_t grad, std::size_t n) {
    return error_of(
        [&] { check_overlap<double>(std::span(memory).subspan(params, n), std::span(memory).subspan(grad, n), "A"); });
  };
  const std::string refused = "invalid_argument: A: the gradient must not overlap the parameters";
  CHECK(overlap(0, 0, 10) == "nothing");
  CHECK(overlap(0, 5, 5) == "nothing");
  CHECK(overlap(5, 0, 5) == "nothing");
  CHECK(overlap(0, 7, 3) == "nothing");
  CHECK(overlap(3, 3, 0) == "nothing");
  CHECK(overlap(0, 4, 5) == refused);
  CHECK(overlap(4, 0, 5) == refused);
  CHECK(overlap(0, 1, 9) == refused);
  CHECK(overlap(1, 0, 9) == refused);
}

TEST_CASE("an overlapping gradient is refused by every step and moves nothing") {
  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  const auto before = memory;
  const auto params = std::span(memory).first(4);
  const auto grad = std::span(memory).last(4);
  Sgd sgd{{.momentum = 0.5}};
  Averaged averaged{sgd};
  CHECK(error_of([&] { sgd.step(params, grad); }) ==
        "invalid_argument: polyak::Sgd: the gradient must not overlap the parameters");
  CHECK(error_of([&] { averaged.step(params, grad); }) ==
        "invalid_argument: polyak::Averaged: the gradient must not overlap the parameters");
  CHECK(memory == before);
  CHECK(sgd.steps() == 0);
  CHECK(averaged.averager().steps() == 0);

  averaged.step(std::span(memory).first(3), std::span(memory).last(3));
  CHECK(averaged.averager().steps() == 1);
}

TEST_CASE("the parameters are a gradient of their own: that of half their square") {
  for (const Eigen::Index n : {1, 7, 511, 512, 513, 5000}) {
    Eigen::VectorXd theta = support::Random(1).vector(n);
    const Eigen::VectorXd start = theta;
    Averaged opt{Sgd{{.learning_rate = 0.5}}, polyak::TailAverage{}};
    opt.step(theta, theta);
    opt.step(theta, theta);
    CHECK(theta == start / 4);
    CHECK(opt.average() == 0.375 * start);
  }
}
