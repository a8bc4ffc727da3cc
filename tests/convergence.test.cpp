#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <Eigen/Cholesky>

#include <cmath>
#include <cstdint>

#include "catch.hpp"
#include "support.hpp"

// What it is all for, on a quadratic whose optimum is known: curvatures from 1 down to 1/100 in 20 dimensions, turned
// so that no coordinate has its own.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr Eigen::Index n = 20;

struct Quadratic {
  MatrixXd hessian;
  VectorXd optimum;

  explicit Quadratic(std::uint64_t seed) {
    support::Random random(seed);
    VectorXd axis = random.vector(n).normalized();
    const MatrixXd turn = MatrixXd::Identity(n, n) - 2 * axis * axis.transpose();
    const VectorXd curvatures = VectorXd::LinSpaced(n, 0, -2).unaryExpr([](double e) { return std::pow(10, e); });
    hessian = turn * curvatures.asDiagonal() * turn;
    optimum = random.vector(n);
  }
  VectorXd gradient(const VectorXd& theta) const { return hessian * (theta - optimum); }
  double distance(const VectorXd& theta) const { return (theta - optimum).norm(); }
};

}  // namespace

TEST_CASE("SGD finds the optimum of an ill-conditioned quadratic") {
  const Quadratic f(30);
  for (const auto& options : {SgdOptions{.learning_rate = 1}, SgdOptions{.learning_rate = 0.5, .momentum = 0.9},
                              SgdOptions{.learning_rate = 0.5, .momentum = 0.9, .nesterov = true}}) {
    Averaged opt{Sgd(options), Ema{{.decay = 0.9}}, TailAverage{{.start = 4000}}};
    VectorXd theta = VectorXd::Zero(n);
    CHECK(f.distance(theta) > 1);
    for (int t = 0; t < 5000; ++t) opt.step(theta, f.gradient(theta));
    CHECK(f.distance(theta) < 1e-10);
    CHECK(f.distance(opt.average<0>()) < 1e-10);
    CHECK(f.distance(opt.average<1>()) < 1e-10);
  }
}

TEST_CASE("weight decay pulls the optimum to where theory puts it") {
  const Quadratic f(31);
  const double lambda = 0.1;
  Sgd sgd{{.learning_rate = 0.5, .momentum = 0.9, .weight_decay = lambda}};
  VectorXd theta = VectorXd::Zero(n);
  for (int t = 0; t < 3000; ++t) sgd.step(theta, f.gradient(theta));
  const VectorXd expected = (f.hessian + lambda * MatrixXd::Identity(n, n)).ldlt().solve(f.hessian * f.optimum);
  CHECK((theta - expected).norm() < 1e-10);
}

TEST_CASE("under noise the averages are nearer to the optimum than the last iterate") {
  double last = 0;
  double tail = 0;
  double ema = 0;
  double swa = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Quadratic f(40 + seed);
    support::Random random(50 + seed);
    Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{{.start = 5000}}, Ema{{.decay = 0.999}},
                 Swa{{.start = 5000, .period = 10}}};
    VectorXd theta = VectorXd::Zero(n);
    for (int t = 0; t < 20'000; ++t) opt.step(theta, f.gradient(theta) + random.vector(n));
    last += f.distance(theta);
    tail += f.distance(opt.average<0>());
    ema += f.distance(opt.average<1>());
    swa += f.distance(opt.average<2>());
  }
  INFO("distances: last " << last / 5 << ", tail " << tail / 5 << ", ema " << ema / 5 << ", swa " << swa / 5);
  CHECK(last / 5 > 1);
  CHECK(tail < 0.5 * last);
  CHECK(swa < 0.5 * last);
  CHECK(ema < 0.75 * last);
}
