// Compiles without a warning that users who add polyak's folder to their build may have on.
#include <polyak/polyak.hpp>

#include <span>
#include <vector>

template <class Scalar>
void train() {
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using namespace polyak;
  Vector theta(2), gradient(2);
  Matrix weights(2, 2), weights_gradient(2, 2);
  const auto step = [&](auto opt) {
    opt.step(theta, gradient);
    opt.step(theta, Scalar(2) * gradient);
    opt.step(ParameterSet{weights, theta}, ParameterSet{weights_gradient, gradient});
    opt.reset();
  };
  step(Sgd<Scalar>{{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}});
  step(Adam<Scalar>{});
  step(AdamW<Scalar>{});
  step(NAdam<Scalar>{});
  step(RMSprop<Scalar>{});
  step(Adagrad<Scalar>{});
  step(Lion<Scalar>{});
  step(SkipNonFinite{ClipNorm{ClipValue{Lookahead{Accumulate{Sgd<Scalar>{}}}}}});
  step(Averaged{Sgd<Scalar>{}, Ema{}, Swa{}, TailAverage{}, PolynomialAverage{}, PowerEma{}, AnytimeTailAverage{},
                Lawa{}, Guarded{Ema{}}, GainAverage{{.gain = [](auto) { return 0.5; }}}});
  const auto average = [&](auto averager) {
    averager.start_from(theta);
    averager.update(theta);
    averager.copy_average_to(theta);
    const auto guard = averager.swap_in(theta);
    return averager.average_or(theta);
  };
  average(Ema<Compensated<float>>{});
  average(Guarded{Ema<Scalar>{}});
  Lawa<Scalar> lawa;
  lawa.update(std::vector<Vector>{theta, theta});
  Published<Scalar> published;
  published.publish(lawa);
}

void train_sparse() {
  polyak::SparseSgd model{{.features = 4, .l1 = 0.1}};
  polyak::SparseAdagrad adaptive{{.features = 4}};
  const std::vector<int> indices{1, 3};
  const std::vector<double> values{0.5, 2.0};
  const polyak::SparseRow row{std::span(indices), std::span(values)};
  const auto slope = [](double score) { return score - 1; };
  model.step(row, slope);
  adaptive.step(row, slope);
}

template void train<float>();
template void train<double>();
template void train<long double>();
template void train<Eigen::half>();
template void train<Eigen::bfloat16>();
