// What a user's file with one optimizer and one average asks of the compiler.
#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/optimizers/adam.hpp>

bool step(polyak::Averaged<polyak::AdamW<float>, polyak::Ema<>>& opt, Eigen::VectorXf& theta,
          const Eigen::VectorXf& gradient) {
  return opt.step(theta, gradient);
}
