#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <cstdio>
#include <cstring>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

int main() {
  Eigen::VectorXd theta = Eigen::VectorXd::Constant(3, 10);
  const Eigen::VectorXd grad = Eigen::VectorXd::Ones(3);
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = 0.01}}, polyak::Ema{{.decay = 0.99}}};
  for (int t = 0; t < 10; ++t) opt.step(theta, grad);
  std::printf("theta %.3f, average %.3f\n", theta[0], opt.average()[0]);

  Eigen::VectorXd loaded(3);
  polyak::save("consumer.safetensors", polyak::named("opt", opt));
  polyak::load_average("consumer.safetensors", "opt", loaded);
  if (loaded != opt.average()) return 1;

  const char* version = TEXT(POLYAK_VERSION_MAJOR) "." TEXT(POLYAK_VERSION_MINOR) "." TEXT(POLYAK_VERSION_PATCH);
  if (std::strcmp(version, EXPECTED_VERSION) != 0) return 1;
  return opt.average()[0] > theta[0] && opt.average()[0] < 10 ? 0 : 1;
}
