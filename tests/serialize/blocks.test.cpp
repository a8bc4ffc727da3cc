#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/lookahead.hpp>

#include <string>
#include <vector>

#include "serialize/resume.hpp"

using namespace polyak;
using serialize::Digest;

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct DenseLayer {
  Matrix weights = Matrix::Ones(3, 4);
  Eigen::VectorXf bias = Eigen::VectorXf::Ones(5);
};

template <class Object>
void check_sets(const Object& fresh) {
  std::vector<DenseLayer> gradients(12);
  support::Random random(7);
  for (auto& each : gradients) {
    for (float& x : each.weights.reshaped()) x = static_cast<float>(random.normal());
    each.bias = random.vector<float>(5);
  }
  serialize::check_resuming(
      fresh, DenseLayer(), gradients.size(),
      [&](Object& object, DenseLayer& layer, std::size_t t) {
        object.step(ParameterSet{layer.weights, layer.bias}, ParameterSet{gradients[t].weights, gradients[t].bias});
      },
      [](const Object& object, const DenseLayer& layer) {
        Digest digest;
        digest.add_matrix(layer.weights);
        digest.add_matrix(layer.bias);
        digest.add_object(object);
        return digest;
      });
}

const std::vector<BlockOptions> options{{.learning_rate_factor = 0.5}, {.weight_decay_factor = 0}};

}  // namespace

TEST_CASE("sets of blocks go on where they were saved", "[serialize]") {
  const AdamW<float> adam{{.learning_rate = 0.1, .blocks = options}};
  check_sets(Averaged{Accumulate{adam}, Lawa<float>{{.window = 2}}});
  check_sets(Averaged{Lookahead{Sgd<float>{{.momentum = 0.5, .blocks = options}}}, Ema{{.decay = 0.5}}});
}

TEST_CASE("the shapes of blocks are saved", "[serialize]") {
  Averaged opt{Sgd<float>{}, Ema<>{}};
  DenseLayer layer;
  layer.weights = Matrix::Random(3, 4);
  opt.step(ParameterSet{layer.weights, layer.bias}, ParameterSet{layer.weights, layer.bias});
  Averaged loaded{Sgd<float>{}, Ema<>{}};
  serialize::load(serialize::save(opt), loaded);
  CHECK(loaded.average_block(0) == opt.average_block(0));
  CHECK(loaded.average_block(0).rows() == 3);
  Eigen::MatrixXf turned = Eigen::MatrixXf::Ones(4, 4);
  const auto refused = [&](auto& optimizer) {
    return support::error_of([&] {
      optimizer.step(ParameterSet{turned, layer.bias}, ParameterSet{turned, layer.bias});
    });
  };
  CHECK(refused(loaded) == "invalid_argument: polyak::Ema: parameters must keep the size of block 0, 3x4, got 4x4");
  CHECK(refused(loaded.optimizer()) ==
        "invalid_argument: polyak::Sgd: parameters must keep the size of block 0, 3x4, got 4x4");
}

TEST_CASE("arrays are handed over by name to an archive that takes them", "[serialize]") {
  const Averaged fresh{Lookahead{Averaged{AdamW<float>{{.amsgrad = true}}, Ema<float>{}}, {.every = 2}}, Ema{},
                       Lawa<long double>{{.window = 2}}};
  auto opt = fresh;
  const serialize::Run<float> run(5, 4);
  auto theta = run.start;
  for (const auto& gradient : run.gradients) opt.step(theta, gradient);

  serialize::NamedOutput output;
  output& opt;
  const serialize::Named saved = output.saved();
  std::string names;
  for (const auto& [name, array] : saved.arrays) names += name + " " + std::to_string(array.bytes.size()) + "\n";
  CHECK(names ==
        "averager.0.average 40\n"
        "averager.1.average 80\n"
        "averager.1.iterate.0 80\n"
        "averager.1.iterate.1 80\n"
        "optimizer.optimizer.averager.0.average 20\n"
        "optimizer.optimizer.optimizer.largest 20\n"
        "optimizer.optimizer.optimizer.moment 20\n"
        "optimizer.optimizer.optimizer.square 20\n"
        "optimizer.slow 20\n");

  auto loaded = fresh;
  serialize::NamedInput input(saved);
  input& loaded;
  CHECK(input.at_end());
  CHECK(serialize::save(loaded) == serialize::save(opt));

  auto shorter = saved;
  shorter.arrays.at("optimizer.slow").count = 4;
  auto kept = fresh;
  serialize::NamedInput damaged(shorter);
  CHECK(support::error_of([&] { damaged& kept; }) ==
        "invalid_argument: polyak::Lookahead: the saved state is damaged: slow must have size 5, got 4");
}
