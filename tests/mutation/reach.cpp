// Tells which mutants each test case of the tests reaches, and how long it takes, in the file POLYAK_MUTATION_REACH.

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "switches.hpp"

namespace {

using namespace polyak_mutation;

class Reach : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    TestEventListenerBase::testCaseStarting(info);
    start_ = std::chrono::steady_clock::now();
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    TestEventListenerBase::testCaseEnded(stats);
    const char* path = std::getenv("POLYAK_MUTATION_REACH");
    if (!path) return;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start_;
    std::ofstream file(path, std::ios::app);
    file << time.count() << '\t' << stats.totals.assertions.failed << '\t' << stats.testInfo.name << '\t';
    for (int id = 0; id < int(std::size(reached)); ++id) {
      if (reached[id]) file << id << ' ';
    }
    file << '\n';
    std::fill(std::begin(reached), std::end(reached), 0);
  }

 private:
  std::chrono::steady_clock::time_point start_;
};
CATCH_REGISTER_LISTENER(Reach)

}  // namespace
