// A training loop that was there before polyak, with an optimizer of its own. polyak adds the average, and only that:
// the lines marked "polyak" are all that changes.

#include <polyak/polyak.hpp>

#include <cmath>
#include <cstdlib>
#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"
#include "common/table.hpp"

namespace {

/// Adam (Kingma & Ba 2015), as anyone might have written it.
class Adam {
 public:
  explicit Adam(float rate, Eigen::Index size)
      : rate_(rate), mean_(Eigen::ArrayXf::Zero(size)), square_(Eigen::ArrayXf::Zero(size)) {}

  void step(Eigen::VectorXf& theta, const Eigen::VectorXf& gradient) {
    constexpr float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    ++t_;
    mean_ += (1 - beta1) * (gradient.array() - mean_);
    square_ += (1 - beta2) * (gradient.array().square() - square_);
    const float unbias1 = 1 - std::pow(beta1, t_), unbias2 = 1 - std::pow(beta2, t_);
    theta.array() -= rate_ * (mean_ / unbias1) / ((square_ / unbias2).sqrt() + epsilon);
  }

 private:
  float rate_;
  float t_ = 0;
  Eigen::ArrayXf mean_;
  Eigen::ArrayXf square_;
};

}  // namespace

int main() {
  const examples::TrainTest digits = examples::load_digits();
  examples::SoftmaxRegression model(digits.train);
  examples::MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights();
  Adam adam(0.03f, theta.size());
  polyak::Ema ema{{.decay = 0.995}};  // polyak

  examples::Table table({"epoch", "test loss, last iterate", "test loss, average"});
  for (int epoch = 1; epoch <= 10; ++epoch) {
    for (std::uint64_t i = 0; i < batches.steps_per_epoch(); ++i) {
      adam.step(theta, model.gradient(theta, batches.next()));
      ema.update(theta);  // polyak
    }
    table.add_row({std::to_string(epoch), examples::fixed(evaluate(theta, digits.test).loss, 4),
                   examples::fixed(evaluate(ema.average(), digits.test).loss, 4)});  // polyak
  }
  std::cout << table;

  // Evaluation code that knows only the live weights gets the average swapped in; the guard gives theta back.
  const double trained = evaluate(theta, digits.test).loss;
  double averaged = 0;
  {
    const auto guard = ema.swap_in(theta);  // polyak
    averaged = evaluate(theta, digits.test).loss;
  }
  const bool restored = evaluate(theta, digits.test).loss == trained;
  std::cout << "\nswapped in: " << examples::fixed(averaged, 4) << ", back again: " << examples::fixed(trained, 4)
            << '\n';
  return averaged < trained && restored ? EXIT_SUCCESS : EXIT_FAILURE;
}
