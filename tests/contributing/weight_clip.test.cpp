#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include "catch.hpp"

namespace polyak {

struct WeightClipOptions {
  double limit = 0.01;  ///< c > 0

  void for_each_option(const auto& visit) const { visit("limit", limit, detail::positive); }
};

// [wrapper]
/// After each step, clamps every weight to [−c, c] (Arjovsky, Chintala & Bottou 2017, for the critic of a Wasserstein
/// GAN). Averages around it see the clamped weights, averages inside those before.
template <class Optimizer>
struct WeightClip : Wrapper<WeightClip<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "polyak::WeightClip";

  /// A fold that returns where the weight goes from here; in the loop that moves the weights.
  struct Clamp {
    using moves_weights = void;
    static constexpr std::size_t width = lanes::width<float>;
    double limit;
    Clamp at(std::size_t) const noexcept { return *this; }
    template <std::size_t N, class W>
    W operator()(lanes::At<N>, W weight) const noexcept {
      const W most = lanes::all<W>(static_cast<lanes::lane_t<W>>(limit));
      return weight > most ? most : weight < -most ? -most : weight;  // NaN stays NaN
    }
  };

  explicit WeightClip(Optimizer trainer, WeightClipOptions options = {})
      : Wrapper<WeightClip, Optimizer>(std::move(trainer)), options_(options) {
    options.for_each_option(detail::OptionChecker{name});
  }

  Outcome advance(const auto& step, const auto&... folds) {
    return polyak::advance(this->optimizer_, step, Clamp{options_.limit}, folds...);
  }
  // [/wrapper]

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, name);
    options_.for_each_option(detail::OptionSerializer<Archive>{archive, name});
    detail::serialize_part(archive, "optimizer", this->optimizer_);
  }

 private:
  WeightClipOptions options_;
};

}  // namespace polyak

TEST_CASE("a wrapper for the library: WeightClip") {
  polyak::WeightClip inside{polyak::Averaged{polyak::Sgd<float>{{.learning_rate = 1}}, polyak::TailAverage{}}, {2}};
  polyak::Averaged opt{inside, polyak::TailAverage{}};
  Eigen::VectorXf theta{{1, -1}};
  for (const float g : {4.0f, -1.0f}) opt.step(theta, Eigen::VectorXf{{g, g}});
  CHECK(theta == Eigen::VectorXf{{-1, -1}});  // (−3, −5), (−2, −2), (−1, −1)
  CHECK(opt.average() == Eigen::VectorXd{{-1.5, -1.5}});
  CHECK(opt.optimizer().optimizer().average() == Eigen::VectorXd{{-2, -3}});
  CHECK_THROWS_AS((polyak::WeightClip{polyak::Sgd{}, {.limit = 0}}), std::invalid_argument);
}
