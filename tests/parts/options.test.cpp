#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/schedules.hpp"
#include "parts/wrappers.hpp"
#include "support.hpp"

// What the options of every part take, what they refuse and in which words.

using namespace polyak;

namespace {

/// Constructs a part with each of its options set to each number in turn: construct_with(option, number).
void check_options(const std::string& part, std::span<const parts::Option> options,
                   const std::function<void(const parts::Option&, double)>& construct_with) {
  for (const auto& option : options) {
    if (option.set == nullptr) continue;
    const auto error = [&](double x) { return support::error_of([&] { construct_with(option, x); }); };
    for (const double x : option.range.good) {
      INFO(part << " " << option.name << " " << x);
      CHECK(error(x) == "nothing");
    }
    const std::string refused = "invalid_argument: polyak::" + part + ": " + option.name + " " + option.range.rule;
    for (const double x : option.range.bad) CHECK(error(x) == refused + ", got " + detail::to_text(x));
    if (!option.is_real) continue;
    CHECK(error(support::not_a_number) == refused + ", got nan");
    CHECK(error(support::infinity) == refused + ", got inf");
    CHECK(error(-support::infinity) == refused + ", got -inf");
  }
}

template <class Row, class Construct>
void check_row(Row row, const Construct& construct) {
  construct(parts::base<Row>());
  check_options(row.name, row.options, [&](const parts::Option& option, double x) {
    auto options = parts::base<Row>();
    option.set(&options, x);
    construct(options);
  });
}

}  // namespace

TEST_CASE("optimizers refuse options out of range") {
  parts::for_each(parts::optimizers, [](auto row) {
    using Optimizer = typename decltype(row)::template type<double>;
    check_row(row, [](const auto& options) { Optimizer optimizer(options); });
  });
}

TEST_CASE("averagers refuse options out of range") {
  parts::for_each(parts::averagers, [](auto row) {
    using Averager = typename decltype(row)::template type<default_shadow>;
    check_row(row, [](const auto& options) { Averager averager(options); });
  });
}

TEST_CASE("wrappers refuse options out of range") {
  parts::for_each(parts::wrappers, [](auto row) {
    check_row(row, [](const auto& options) { (void)parts::wrapped<decltype(row)>(polyak::Sgd<double>(), options); });
  });
}

TEST_CASE("schedules refuse options out of range") {
  const auto check = [](auto row) {
    check_row(row, [](const auto& options) { (void)parts::made<decltype(row)>(options); });
  };
  parts::for_each(parts::schedules, check);
  parts::for_each(parts::decays, check);
}

namespace {

/// The names in an Options struct's own table, and in the row.
template <class Row>
void check_names(Row row) {
  using Options = typename Row::Options;
  if constexpr (requires(const Options& o) { o.for_each_option(detail::OptionChecker()); }) {
    std::set<std::string> stated, tested;
    const auto options = parts::base<Row>();
    options.for_each_option([&](std::string_view name, const auto&, const auto&...) { stated.emplace(name); });
    for (const parts::Option& option : row.options) {
      const std::string_view option_name = option.name;
      // Those of blocks are the same for all optimizers, and a relative width becomes a gamma.
      if (option_name.find("block") == option_name.npos && option_name != "relative_width") tested.emplace(option_name);
    }
    INFO(row.name);
    CHECK(stated == tested);
  }
}

}  // namespace

TEST_CASE("the table of parts has every option that a part states, and no other") {
  const auto check = [](auto row) { check_names(row); };
  parts::for_each(parts::optimizers, check);
  parts::for_each(parts::averagers, check);
  parts::for_each(parts::wrappers, check);
  parts::for_each(parts::schedules, check);
  parts::for_each(parts::decays, check);
}
