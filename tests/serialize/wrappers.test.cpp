#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstdint>

#include "parts/wrappers.hpp"
#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Run;

namespace {

/// A step of the user's own, with a velocity of one number, saved as cereal alone has it, or as Boost has it too.
struct Rolling {
  double speed = 0;

  void step(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
    speed = 0.5 * speed + gradient.mean();
    theta.array() -= 0.1 * speed;
  }
};
struct SavedRolling : Rolling {
  template <class Archive>
  void serialize(Archive& archive) {
    polyak::detail::serialize_value(archive, "speed", speed);
  }
};
struct VersionedRolling : Rolling {
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    polyak::detail::serialize_value(archive, "speed", speed);
  }
};

void descend(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) { theta -= 0.1 * gradient; }

/// An average of the user's own: the latest iterate.
class Latest {
 public:
  struct Fold {
    Latest* owner;
    template <class Weight>
    void before(std::size_t, std::span<const Weight>) const noexcept {}
    template <class Weight>
    void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
      for (std::size_t i = 0; i < weights.size(); ++i) {
        owner->average_[static_cast<Eigen::Index>(offset + i)] = static_cast<double>(weights[i]);
      }
    }
    void commit(Outcome&) const noexcept { ++owner->count_; }
  };
  Fold begin_fold(const Layout& layout) {
    if (count_ == 0) average_.setZero(static_cast<Eigen::Index>(layout.size()));
    return {this};
  }
  bool has_average() const noexcept { return count_ > 0; }
  const Eigen::VectorXd& average() const noexcept { return average_; }

  template <class Archive>
  void serialize(Archive& archive) {
    polyak::detail::serialize_value(archive, "count", count_);
    std::uint64_t size = static_cast<std::uint64_t>(average_.size());
    polyak::detail::serialize_value(archive, "size", size);
    polyak::detail::serialize_array(archive, "Latest", "average", average_, size);
  }

 private:
  std::uint64_t count_ = 0;
  Eigen::VectorXd average_;
};

}  // namespace

TEMPLATE_TEST_CASE("every wrapper goes on where it was saved", "[serialize]", POLYAK_TEST_SCALARS) {
  const Sgd<TestType> sgd{{.learning_rate = 0.1, .momentum = 0.5}};
  // Gradients of which some are skipped where something skips them.
  Run<TestType> bad;
  for (const std::size_t t : {0u, 4u, 11u}) bad.gradients[t][3] = static_cast<TestType>(support::infinity);
  parts::for_each_wrapper(sgd, [&](const char* name, const auto& wrapper) {
    INFO(name);
    check_resuming<TestType>(wrapper);
    check_resuming<TestType>(wrapper, bad);
  });
}

TEST_CASE("wrappers and averages in each other go on where they were saved", "[serialize]") {
  const AdamW<float> adam{{.learning_rate = 0.1}};
  check_resuming<float>(Averaged{ClipNorm{Accumulate{adam, {.micro_batches = 2}}, {.max_norm = 4}}, Ema{{.decay = 0.5}},
                                 TailAverage{{.start = 2}}});
  check_resuming<float>(
      Lookahead{Averaged{SkipNonFinite{ClipValue{adam}}, Ema{{.decay = 0.5, .bias_correction = false}}}, {.every = 3}});
}

TEST_CASE("optimizers and averagers of one's own go on where they were saved", "[serialize]") {
  check_resuming<double>(Averaged{SavedRolling{}, Ema{{.decay = 0.5}}});
  check_resuming<double>(Averaged{VersionedRolling{}, Ema{{.decay = 0.5}}});
  check_resuming<double>(Averaged{&descend, Ema{{.decay = 0.5}}});
  check_resuming<double>(Averaged{[](auto& theta, const auto& g) { theta -= 0.5 * g; }, Latest{}});
  check_resuming<double>(ClipValue{Lookahead{[](auto& theta, const auto& g) { theta -= 0.5 * g; }, {.every = 3}}});
}

TEST_CASE("what is added up is saved only while there is some", "[serialize]") {
  const auto saves = [](const char* array, auto& object) {
    serialize::NamedOutput output;
    output& object;
    return output.saved().arrays.contains(array);
  };
  Eigen::VectorXd theta = support::constant(1, 8);
  const Eigen::VectorXd gradient = support::constant(1, 1);
  Accumulate accumulate{Sgd{}, {.micro_batches = 2}};
  Lookahead lookahead{Sgd{}};
  CHECK_FALSE(saves("sum", accumulate));
  CHECK_FALSE(saves("slow", lookahead));
  accumulate.step(theta, gradient);
  lookahead.step(theta, gradient);
  CHECK(saves("sum", accumulate));
  CHECK(saves("slow", lookahead));
  accumulate.step(theta, gradient);
  CHECK_FALSE(saves("sum", accumulate));
  accumulate.reset();
  lookahead.reset();
  CHECK_FALSE(saves("sum", accumulate));
  CHECK_FALSE(saves("slow", lookahead));
}
