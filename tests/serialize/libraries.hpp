#pragma once

#include <polyak/polyak.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "serialize/resume.hpp"

/// What the archives of other libraries are tried on, and what must hold of them.

namespace serialize {

/// Saves after each step of a run, loads into a fresh object by way of the library's text or bytes, and goes on.
template <class Scalar, class Object, class Save, class Load>
void check_library(const Object& fresh, const Save& save_as_text, const Load& load_from_text) {
  using Vector = typename Run<Scalar>::Vector;
  const Run<Scalar> run(37, 5);
  Object whole = fresh;
  Vector theta = run.start;
  for (std::size_t t = 0; t <= run.gradients.size(); ++t) {
    const std::string text = save_as_text(whole);
    Object resumed = fresh;
    load_from_text(text, resumed);
    CHECK(save(resumed) == save(whole));
    if (t == run.gradients.size()) break;
    Vector its_theta = theta;
    whole.step(theta, run.gradients[t]);
    resumed.step(its_theta, run.gradients[t]);
    CHECK(support::same_bits(its_theta, theta));
    CHECK(save(resumed) == save(whole));
  }
}

/// Tries objects that have all there is to save between them: numbers of every size, options as text, parts of parts,
/// vectors, windows, callables.
template <class Save, class Load>
void check_library_on_averaged(const Save& save_as_text, const Load& load_from_text) {
  using namespace polyak;
  const SwaAnneal schedule({.before = LinearWarmup({.steps = 3, .then = 0.1}), .start = 4, .anneal_steps = 2});
  check_library<float>(Averaged{ClipNorm{Adam<float>{{.learning_rate = schedule, .amsgrad = true}}, {.max_norm = 3}},
                                Ema<long double>{{.decay = DecayWarmup({.limit = 0.9})}}, Lawa<float>{{.window = 2}}},
                       save_as_text, load_from_text);
}
template <class Save, class Load>
void check_library_on_others(const Save& save_as_text, const Load& load_from_text) {
  using namespace polyak;
  const auto momentum = [](std::uint64_t t) { return t < 2 ? 0.5 : 0.9; };
  check_library<double>(Averaged{Accumulate{Sgd{{.momentum = momentum}}, {.micro_batches = 2}}, AnytimeTailAverage{}},
                        save_as_text, load_from_text);
  check_library<Eigen::half>(Averaged{Lookahead{Sgd<Eigen::half>{}, {.every = 2}}, Swa<Eigen::half>{}}, save_as_text,
                             load_from_text);
}

/// What text could lose: NaN with its bits, infinities, the sign of zero, subnormals.
template <class Save, class Load>
void check_library_on_odd_numbers(const Save& save_as_text, const Load& load_from_text) {
  Eigen::VectorXd odd(8);
  odd << support::infinity, -support::infinity, -0.0, 5e-324, -2.2e-310, std::bit_cast<double>(0x7ff0'0000'0000'0001),
      std::bit_cast<double>(0xfff8'dead'beef'0001), 0.1;
  polyak::TailAverage<> average, loaded;
  average.update(odd);
  REQUIRE(support::same_bits(average.average(), odd));
  load_from_text(save_as_text(average), loaded);
  CHECK(support::same_bits(loaded.average(), odd));
}

/// A sparse model, and what the caller's table is averaged in.
template <class Save, class Load>
void check_library_on_sparse(const Save& save_as_text, const Load& load_from_text) {
  using namespace polyak;
  const SparseAdagrad fresh({.features = 9, .outputs = 2, .l2 = 0.01, .l1 = 0.01}, Ema{{.decay = 0.5}});
  auto model = fresh, resumed = fresh;
  const int indices[] = {1, 5, 7};
  const double values[] = {1, -2, 0.5};
  const SparseRow row{indices, values};
  const std::vector<double> derivatives{0.5, -0.25};
  for (int t = 0; t < 3; ++t) model.step(row, derivatives);
  load_from_text(save_as_text(model), resumed);
  model.step(row, derivatives);
  resumed.step(row, derivatives);
  CHECK(save(resumed) == save(model));

  Eigen::MatrixXd table = Eigen::MatrixXd::Ones(4, 3);
  RowAverage average{table, Ema{{.decay = 0.5}}};
  RowAverage loaded = average;
  for (int t = 0; t < 3; ++t) average.step(table, std::vector{t}, [&] { table.row(t) *= 0.5; });
  load_from_text(save_as_text(average), loaded);
  CHECK(loaded.average(table) == average.average(table));
  CHECK(save(loaded) == save(average));
}

template <class Save, class Load>
void check_library_on_schedule(const Save& save_as_text, const Load& load_from_text) {
  polyak::Cosine cosine({.initial = 0.1, .steps = 10}), same = cosine, other({.initial = 0.1, .steps = 11});
  const std::string text = save_as_text(cosine);
  load_from_text(text, same);
  CHECK(support::error_of([&] { load_from_text(text, other); }) ==
        "invalid_argument: polyak::Cosine: steps must be 10 as in the saved state, got 11");
}

}  // namespace serialize
