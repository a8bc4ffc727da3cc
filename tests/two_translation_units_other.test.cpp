#include "two_translation_units.hpp"

namespace two_translation_units {

View view_of_the_other_unit() { return view(); }

Optimizer make_in_the_other_unit() {
  return Optimizer{polyak::Sgd{{.learning_rate = 0.5, .momentum = 0.5}}, polyak::Ema{{.decay = 0.75}},
                   polyak::Swa{{.period = 2}}};
}

void step_in_the_other_unit(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad) {
  optimizer.step(params, grad);
}

}  // namespace two_translation_units
