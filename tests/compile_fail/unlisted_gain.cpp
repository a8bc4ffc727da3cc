#include <polyak/polyak.hpp>

#include <cstdint>
#include <string_view>

struct GainOptions {
  std::uint64_t start = 0;
  std::uint64_t every = 1;
};

struct Gain {
  using Options = GainOptions;
  struct State {};
  static constexpr std::string_view name = "Gain";
  Options options;
  double operator()(std::uint64_t k, State&) const { return k == 1 ? 1 : 0.5; }
};

void average(const Eigen::VectorXd& theta) { polyak::Averager<Gain>({}).update(theta); }
