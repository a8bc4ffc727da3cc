#include <polyak/averaged.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/rate_weighted_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/sparse/sparse_row.hpp>
#include <polyak/sparse/sparse_sgd.hpp>
#include <polyak/wrappers/clip_norm.hpp>

#include <array>
#include <cstdint>
#include <vector>

#include "weights.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;

namespace {

/// The largest so far is .5, .5, 1, 1.
double rates(std::uint64_t t) { return std::array{0.5, 0.25, 1.0, 0.0}[t]; }

/// Of the weights 9, 8, 6, 2, which the rates and the gradients make.
template <class Averager>
double average_of_steps(Averager averager) {
  Averaged opt{ClipNorm{Sgd{{.learning_rate = rates}}, {.max_norm = 100}}, std::move(averager)};
  VectorXd theta = VectorXd::Constant(1, 10);
  for (const double gradient : {2, 4, 2, 5}) opt.step(theta, VectorXd::Constant(1, gradient));
  return opt.average()[0];
}

}  // namespace

TEST_CASE("RateWeightedAverage weighs iterates by the largest rate so far, and by the step") {
  // θ = 9, 8, 6, 6
  CHECK(close(average_of_steps(RateWeightedAverage{}), (9 * .25 + 8 * .25 + 6 + 6) / 2.5, 1e-15));
  CHECK(close(average_of_steps(RateWeightedAverage{{.rate_power = 1}}), (9 * .5 + 8 * .5 + 6 + 6) / 3, 1e-15));
  CHECK(close(average_of_steps(RateWeightedAverage{{.rate_power = 0}}), (9 + 8 + 6 + 6) / 4., 1e-15));
  CHECK(close(average_of_steps(RateWeightedAverage{{.rate_power = 1, .step_power = 1}}),
              (9 * .5 + 8 * 1. + 6 * 3 + 6 * 4) / 8.5, 1e-15));
  CHECK(average_of_steps(Guarded{RateWeightedAverage{}}) == average_of_steps(RateWeightedAverage{}));
}

TEST_CASE("alone it has no rate to go by") {
  CHECK(close(weights::of_powers_of_two(RateWeightedAverage{}), 15.0 / 4, 1e-15));
  CHECK(close(weights::of_powers_of_two(RateWeightedAverage{{.step_power = 1}}), 49.0 / 10, 1e-15));
  RateWeightedAverage average;
  average.set_rate(0.5);
  average.update(std::array{1.0});
  average.set_rate(1);
  average.update(std::array{6.0});
  CHECK(average.average()[0] == 5);  // (1/4 · 1 + 1 · 6)/(5/4)
}

TEST_CASE("steps at a rate of 0 before all others have no weight") {
  Averaged opt{Sgd{{.learning_rate = [](std::uint64_t t) { return t < 2 ? 0.0 : 1.0; }}}, RateWeightedAverage{}};
  VectorXd theta = VectorXd::Constant(1, 3);
  for (int t = 0; t < 4; ++t) opt.step(theta, VectorXd::Ones(1));
  CHECK(opt.average()[0] == 1.5);  // of 2 and 1
  CHECK(opt.averager().count() == 4);
}

TEST_CASE("sparse models say their rate too") {
  SparseSgd<RateWeightedAverage<>> model{{.features = 1, .learning_rate = rates, .intercept = false}};
  const std::vector<int> index{0};
  const std::vector<double> one{1};
  for (const double gradient : {2, 4, 2, 5}) model.step(SparseRow{index, one}, gradient);
  // w = −1, −2, −4, −4
  CHECK(close(model.predict_average(SparseRow{index, one}), -(1 * .25 + 2 * .25 + 4 + 4) / 2.5, 1e-15));
}
