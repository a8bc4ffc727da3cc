#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/parameters.hpp>
#include <polyak/wrappers/clip_norm.hpp>

#include <array>
#include <cstddef>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::Map;
using MatrixXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::VectorXd;
using support::error_of;

/// Types of others, who have never heard of polyak.
namespace foreign {

/// A handle of shared memory, as torch's.
class Tensor {
 public:
  explicit Tensor(std::size_t size, double value) : data_(std::make_shared<std::vector<double>>(size, value)) {}
  double* data_ptr() const { return data_->data(); }
  std::size_t numel() const { return data_->size(); }

 private:
  std::shared_ptr<std::vector<double>> data_;
};

struct Image {
  int rows, cols;
  std::vector<double> pixels;
};

struct Net {
  MatrixXd w = MatrixXd::Ones(2, 3);
  VectorXd b = VectorXd::Ones(2);
};

struct Deep {
  std::list<Net> nets;
};

// One line each is all it takes.
auto as_parameters(const Tensor& tensor) { return std::span(tensor.data_ptr(), tensor.numel()); }
auto as_parameters(Image& image) { return Map<RowMajorXd>(image.pixels.data(), image.rows, image.cols); }
auto as_parameters(Net& net) { return ParameterSet{net.w, net.b}; }
auto as_parameters(const Net& net) { return ParameterSet{net.w, net.b}; }

std::vector<Map<MatrixXd>> as_parameters(Deep& deep) {
  std::vector<Map<MatrixXd>> blocks;
  for (Net& net : deep.nets) blocks.emplace_back(net.w.data(), 2, 3);
  return blocks;
}

struct Copied {
  VectorXd b;
};
VectorXd as_parameters(const Copied& copied) { return copied.b; }

}  // namespace foreign

namespace {

/// Two blocks of 1, 1, 1 and 1, 1 go to 0.5, then to 0.25, each its own gradient; every reader finds them.
template <class P, class Coordinates>
void halves(P&& params, const Coordinates& coordinates) {
  const auto all_are = [&](double x) {
    for (const double each : coordinates()) CHECK(each == x);
  };
  TailAverage alone;
  Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{}};
  for (int t = 0; t < 2; ++t) {
    opt.step(params, params);
    alone.update(params);
  }
  all_are(0.25);
  CHECK(opt.average() == VectorXd::Constant(opt.average().size(), 0.375));
  CHECK(alone.average() == opt.average());
  {
    const auto guard = opt.swap_in(params);
    all_are(0.375);
  }
  all_are(0.25);
  CHECK(opt.average_or(params) == opt.average());
  opt.copy_average_to(params);
  all_are(0.375);

  Averaged whole{ClipNorm{support::whole_step(Sgd{{.learning_rate = 0.5}}), {.max_norm = 1e9}}, TailAverage{}};
  whole.step(params, params);
  all_are(0.1875);
}

template <class Average, class Get, class Set>
concept SwapsIn = requires(Average& average, Get get, Set set) { average.swap_in(get, set); };

auto of_each(const auto& blocks) {
  std::vector<double> all;
  for (const auto& block : blocks) all.insert(all.end(), block.data(), block.data() + block.size());
  return all;
}

}  // namespace

TEST_CASE("a set is any forward range of blocks") {
  std::list<VectorXd> list{VectorXd::Ones(3), VectorXd::Ones(2)};
  halves(list, [&] { return of_each(list); });
  std::forward_list<std::vector<double>> forward{{1, 1, 1}, {1, 1}};
  halves(forward, [&] { return of_each(forward); });
  std::list<MatrixXd> matrices(2, MatrixXd::Ones(2, 2));
  halves(matrices, [&] { return of_each(matrices); });
}

TEST_CASE("a set is any forward range of pointers to blocks") {
  std::array<VectorXd, 2> blocks;
  const auto reset = [&] { blocks = {VectorXd::Ones(3), VectorXd::Ones(2)}; };
  const auto read = [&] { return of_each(blocks); };
  reset();
  std::vector<VectorXd*> pointers{&blocks[0], &blocks[1]};
  halves(pointers, read);
  reset();
  std::vector<std::reference_wrapper<VectorXd>> references{blocks[0], blocks[1]};
  halves(references, read);
  reset();
  halves(std::list{&blocks[0], &blocks[1]}, read);  // which may be temporary
  STATIC_REQUIRE(Parameters<std::vector<VectorXd*>>);
  STATIC_REQUIRE(Parameters<std::vector<std::reference_wrapper<VectorXd>>>);
  STATIC_REQUIRE(Parameters<std::array<Map<VectorXd>, 2>>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<const VectorXd*>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<std::reference_wrapper<const VectorXd>>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<double*>&>);
  STATIC_REQUIRE(Parameters<std::unique_ptr<VectorXd>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::unique_ptr<VectorXd>>);
  STATIC_REQUIRE_FALSE(ReadableParameters<double (&)(double)>);
  STATIC_REQUIRE_FALSE(ReadableParameters<double (*)(double)>);

  std::vector<std::unique_ptr<VectorXd>> unique;
  unique.push_back(std::make_unique<VectorXd>(VectorXd::Ones(3)));
  unique.push_back(std::make_unique<VectorXd>(VectorXd::Ones(2)));
  halves(unique, [&] { return of_each(std::array{*unique[0], *unique[1]}); });
  std::vector<std::shared_ptr<std::vector<double>>> shared{std::make_shared<std::vector<double>>(3, 1.0)};
  halves(shared, [&] { return *shared[0]; });
  STATIC_REQUIRE_FALSE(Parameters<std::vector<std::unique_ptr<VectorXd>>>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<VectorXd>>);
  STATIC_REQUIRE_FALSE(Parameters<std::list<VectorXd>>);
}

TEST_CASE("a type of another library says by one line what it is") {
  const auto reader = [](const foreign::Tensor& of) {
    return [&of] { return std::vector<double>(of.data_ptr(), of.data_ptr() + of.numel()); };
  };
  const foreign::Tensor tensor(5, 1);
  halves(tensor, reader(tensor));
  const std::vector<foreign::Tensor> tensors{foreign::Tensor(3, 1), foreign::Tensor(2, 1)};
  halves(tensors, reader(tensors[1]));
  const foreign::Tensor w(3, 1), b(2, 1), other(4, 1);
  halves(ParameterSet{w, b}, reader(w));
  halves(std::vector{&other}, reader(other));

  foreign::Net net;
  halves(net, [&] { return of_each(std::vector<MatrixXd>{net.w, net.b}); });
  foreign::Deep deep{std::list<foreign::Net>(3)};
  Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{}};
  opt.step(deep, std::vector<MatrixXd>(3, MatrixXd::Ones(2, 3)));
  CHECK(deep.nets.back().w == MatrixXd::Constant(2, 3, 0.5));
  CHECK(opt.average_block(1) == deep.nets.back().w);

  STATIC_REQUIRE(std::same_as<scalar_of<foreign::Net&>, double>);
  STATIC_REQUIRE_FALSE(Parameters<foreign::Tensor>);  // whose handle may be the last
  STATIC_REQUIRE_FALSE(Parameters<foreign::Net>);
  STATIC_REQUIRE_FALSE(Parameters<const foreign::Net&>);
  STATIC_REQUIRE_FALSE(ReadableParameters<foreign::Copied&>);
  // A copy of a handle keeps no weights aside.
  const auto get = [&] { return tensors; };
  const auto set = [](const auto&) {};
  STATIC_REQUIRE_FALSE(SwapsIn<TailAverage<>, decltype(get), decltype(set)>);
}

TEST_CASE("a function that takes no const object is enough to read one") {
  foreign::Deep deep{std::list<foreign::Net>(2)};
  std::vector<foreign::Image> images{{1, 2, {1, 2}}, {1, 1, {3}}};
  TailAverage of_deep, of_images;
  of_deep.update(std::as_const(deep));
  of_images.update(std::as_const(images));
  CHECK(of_deep.average() == VectorXd::Ones(12));
  CHECK(of_images.average() == VectorXd{{1, 2, 3}});
  CHECK(of_images.average_or(images) == of_images.average());
  images[1].pixels[0] = 7;
  of_images.copy_average_to(images);
  CHECK(images[1].pixels[0] == 3);
  { const auto guard = of_images.swap_in(images); }
  STATIC_REQUIRE(Parameters<foreign::Deep&>);
  STATIC_REQUIRE(ReadableParameters<const foreign::Deep&>);
  STATIC_REQUIRE_FALSE(Parameters<const foreign::Deep&>);
  STATIC_REQUIRE(Parameters<foreign::Image&>);
  STATIC_REQUIRE(ReadableParameters<const foreign::Image&>);
  STATIC_REQUIRE_FALSE(Parameters<const foreign::Image&>);
  STATIC_REQUIRE_FALSE(Parameters<const std::vector<foreign::Image>&>);
}

TEST_CASE("a foreign matrix has its own storage order") {
  foreign::Image image{2, 3, std::vector<double>(6)};
  const MatrixXd columns{{1, 2, 3}, {4, 5, 6}};
  Sgd{{.learning_rate = 1}}.step(image, columns);
  CHECK(image.pixels == std::vector<double>{-1, -2, -3, -4, -5, -6});
  CHECK(error_of([&] { Sgd{}.step(image, MatrixXd(columns.transpose())); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 2x3, got 3x2");
}

TEST_CASE("an optimizer that steps whole is given the foreign type itself") {
  Averaged opt{[](foreign::Net& net, const foreign::Net& grad) { net.w -= grad.w; }, TailAverage{}};
  foreign::Net net;
  const foreign::Net grad;
  opt.step(net, grad);
  CHECK(net.w == MatrixXd::Zero(2, 3));
  CHECK(opt.average()[7] == 1);
}

#if defined(POLYAK_TEST_COUNTS_ALLOCATIONS)
TEST_CASE("no step of such sets allocates after the first") {
  std::list<VectorXd> list{VectorXd::Ones(3), VectorXd::Ones(2)};
  std::vector<VectorXd*> pointers{&list.front(), &list.back()};
  foreign::Net net;
  Averaged opt{Sgd{}, TailAverage{}}, other = opt;
  const auto step = [&] {
    opt.step(pointers, list);
    other.step(net, net);
  };
  step();
  CHECK(allocation_counter::allocations_in(step) == 0);
}
#endif

#if !defined(__clang__) || __clang_major__ >= 16  // before, clang cannot compile the views of libstdc++
TEST_CASE("views are sets, also as temporaries") {
  std::map<std::string, VectorXd> named{{"b", VectorXd::Ones(2)}, {"w", VectorXd::Ones(3)}};
  halves(named | std::views::values, [&] { return of_each(named | std::views::values); });
  std::vector<std::vector<VectorXd>> layers(2, {VectorXd::Ones(2), VectorXd::Ones(1)});
  halves(layers | std::views::join, [&] { return of_each(layers | std::views::join); });
  std::vector<foreign::Net> nets(3);
  halves(nets | std::views::transform(&foreign::Net::b), [&] { return of_each(std::array{nets[0].b, nets[2].b}); });

  using Owning = decltype(std::vector<VectorXd>() | std::views::all);
  STATIC_REQUIRE_FALSE(Parameters<Owning>);
  // A view goes, its blocks stay.
  TailAverage tail;
  tail.update(named | std::views::values);
  named.at("b").setZero();
  {
    const auto guard = tail.swap_in(named | std::views::values);
    CHECK(named.at("b")[0] == tail.average()[0]);
  }
  CHECK(named.at("b")[0] == 0);
  tail.copy_average_to(named | std::views::values);
  CHECK(named.at("b")[0] == tail.average()[0]);
}
#endif

template <class T>
concept IsUpdatedBy = requires(TailAverage<>& average, T& params) { average.update(params); };

TEST_CASE("what cannot be read as const is no set of parameters, and a setter takes what the getter gives") {
  std::list<VectorXd> list{VectorXd::Ones(3), VectorXd::Ones(2)};
#if !defined(__clang__) || __clang_major__ >= 16
  auto all = list | std::views::all;
  auto rest = list | std::views::drop(1);  // finds its beginning when it is asked for it
  STATIC_REQUIRE(IsUpdatedBy<decltype(all)>);
  STATIC_REQUIRE_FALSE(IsUpdatedBy<decltype(rest)>);
#endif
  const auto get = [&] { return list.front(); };
  const auto set = [&](const VectorXd& x) { list.front() = x; };
  const auto other = [](int) {};
  STATIC_REQUIRE(SwapsIn<TailAverage<>, decltype(get), decltype(set)>);
  STATIC_REQUIRE_FALSE(SwapsIn<TailAverage<>, decltype(get), decltype(other)>);
}
