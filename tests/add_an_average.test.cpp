#include <polyak/polyak.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

// The code that the guide "Add an average to your program" shows, on a framework that has never heard of polyak.

using Eigen::MatrixXf;
using Eigen::VectorXd;
using Eigen::VectorXf;

namespace their {

/// A handle of memory that handles share, as torch's.
class Tensor {
 public:
  explicit Tensor(std::vector<float> values) : data_(std::make_shared<std::vector<float>>(std::move(values))) {}
  [[nodiscard]] float* data_ptr() const { return data_->data(); }
  [[nodiscard]] std::size_t numel() const { return data_->size(); }

 private:
  std::shared_ptr<std::vector<float>> data_;
};

/// Its weights grow by 1 a step, and its running mean by 2.
class Network {
 public:
  [[nodiscard]] std::vector<Tensor> parameters() const { return {weight_, bias_}; }
  [[nodiscard]] std::vector<Tensor> buffers() const { return {running_mean_}; }
  void train_step() {
    for (const Tensor& each : parameters()) add(each, 1);
    add(running_mean_, 2);
  }
  /// Its weights are elsewhere in memory from then on.
  void load(float value) {
    weight_ = Tensor({value, value, value, value, value, value});
    bias_ = Tensor({value, value});
  }
  [[nodiscard]] float loss() const { return weight_.data_ptr()[0]; }

 private:
  static void add(const Tensor& to, float x) {
    for (float& each : std::span(to.data_ptr(), to.numel())) each += x;
  }
  Tensor weight_{{0, 0, 0, 0, 0, 0}}, bias_{{0, 0}}, running_mean_{{0, 0}};
};

/// Gives its weights by value and takes them by value, as MiniDNN's.
class Regression {
 public:
  [[nodiscard]] std::vector<std::vector<double>> get_parameters() const { return {weights_}; }
  void set_parameters(const std::vector<std::vector<double>>& weights) { weights_ = weights[0]; }
  void train_step() { weights_[0] += 1; }
  [[nodiscard]] double loss() const { return weights_[0]; }

 private:
  std::vector<double> weights_{0, 0};
};

}  // namespace their

// [tensor]
namespace their {
auto as_parameters(const Tensor& tensor) { return std::span(tensor.data_ptr(), tensor.numel()); }
}  // namespace their
// [/tensor]

namespace my {
struct Layer {
  MatrixXf W;
  VectorXf b;
};
}  // namespace my
// [layers]
namespace my {
/// The blocks of all layers in one set, each in its shape.
auto as_parameters(std::vector<Layer>& net) {
  std::vector<Eigen::Map<MatrixXf>> blocks;
  for (Layer& layer : net) {
    blocks.emplace_back(layer.W.data(), layer.W.rows(), layer.W.cols());
    blocks.emplace_back(layer.b.data(), layer.b.size(), 1);
  }
  return blocks;
}
}  // namespace my
// [/layers]

namespace {

// [loop]
void train(their::Network& net, int steps, polyak::Ema<>& ema) {
  for (int t = 0; t < steps; ++t) {
    net.train_step();              // your loop and your optimizer, as they were
    ema.update(net.parameters());  // asks anew where they are
  }
}

float loss_of_the_average(their::Network& net, polyak::Ema<>& ema) {
  auto parameters = net.parameters();
  const auto guard = ema.swap_in(parameters);  // at the end of the scope the trained weights are back, to the last bit
  return net.loss();
}
// [/loop]

// [get and set]
void train(their::Regression& net, int steps, polyak::Ema<>& ema) {
  for (int t = 0; t < steps; ++t) {
    net.train_step();
    ema.update(net.get_parameters());
  }
}

double loss_of_the_average(their::Regression& net, polyak::Ema<>& ema) {
  const auto guard = ema.swap_in([&] { return net.get_parameters(); }, [&](const auto& w) { net.set_parameters(w); });
  return net.loss();
}
// [/get and set]

// [buffers]
std::vector<their::Tensor> with_buffers(const their::Network& net) {
  std::vector<their::Tensor> all = net.parameters();
  for (const their::Tensor& statistic : net.buffers()) all.push_back(statistic);
  return all;
}
// [/buffers]

/// Uniform weights, so that averages are easy to tell.
polyak::Ema<> of_all() {
  return polyak::Ema<>{{.decay = [](std::uint64_t j) { return double(j) / double(j + 1); }}};
}

}  // namespace

TEST_CASE("an average is added to a loop over tensors of another framework") {
  their::Network net;
  polyak::Ema<> ema = of_all();
  train(net, 3, ema);
  CHECK(ema.average() == VectorXd::Constant(8, 2));
  CHECK(loss_of_the_average(net, ema) == 2);
  CHECK(net.loss() == 3);
}

TEST_CASE("a vector of layers is averaged, stepped and swapped as a set") {
  std::vector<my::Layer> net{{MatrixXf::Ones(3, 2), VectorXf::Zero(3)}, {MatrixXf::Ones(1, 3), VectorXf::Zero(1)}};
  const std::vector<my::Layer> start = net;
  std::vector<my::Layer> gradient = net;
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 0.5}}, polyak::TailAverage{}};
  opt.step(net, gradient);
  opt.step(net, gradient);
  CHECK(opt.average_block(2) == MatrixXf::Constant(1, 3, 0.25F).cast<double>());
  {
    const auto guard = opt.swap_in(net);
    CHECK(net[0].W == MatrixXf::Constant(3, 2, 0.25F));
  }
  CHECK(net[0].W == MatrixXf::Zero(3, 2));
  CHECK(net[1].b == start[1].b);
}

TEST_CASE("an average follows weights that a load has moved in memory") {
  their::Network net;
  polyak::Ema<> ema = of_all();
  train(net, 1, ema);
  net.load(4);
  train(net, 1, ema);
  CHECK(ema.average() == VectorXd::Constant(8, 3));
}

TEST_CASE("an optimizer that has its gradients is averaged with its step") {
  their::Network net;
  // [own gradient]
  polyak::Averaged opt{[&] { net.train_step(); }, polyak::Ema{{.decay = 0.99}}};
  auto parameters = net.parameters();
  opt.step(parameters);
  // [/own gradient]
  CHECK(opt.average() == VectorXd::Ones(8));
}

TEST_CASE("an average is added to weights that are got and set by value") {
  their::Regression net;
  polyak::Ema<> ema = of_all();
  train(net, 3, ema);
  CHECK(loss_of_the_average(net, ema) == 2);
  CHECK(net.loss() == 3);
}

TEST_CASE("running statistics are averaged with the weights") {
  their::Network net;
  polyak::Ema<> ema = of_all();
  for (int t = 0; t < 3; ++t) {
    net.train_step();
    ema.update(with_buffers(net));
  }
  CHECK(ema.average_block(1) == VectorXd::Constant(2, 2));
  CHECK(ema.average_block(2) == VectorXd::Constant(2, 4));
}

TEST_CASE("a flat range has no shape, a map has") {
  std::vector<float> memory{1, 2, 3, 4, 5, 6};
  polyak::Ema<> flat = of_all(), shaped = of_all();
  flat.update(memory);
  // [shape]
  shaped.update(Eigen::Map<MatrixXf>(memory.data(), 2, 3));
  // [/shape]
  CHECK(flat.average_block(0).rows() == 6);
  CHECK(shaped.average_block(0) == Eigen::MatrixXd{{1, 3, 5}, {2, 4, 6}});
}
