#include "bits/bits.hpp"

#include <cstdio>
#include <fstream>
#include <map>

// Prints "<scalar>,<case>,<hash>" of weights, averages and all that goes with them; or, given the folder of the
// fixtures, names the cases that are not as there:
//
//     polyak_bits > tests/bits/bits.csv
//     polyak_bits tests/bits
//
// A change that is to leave every bit alone leaves the fixtures alone. One that is to change bits makes them anew, with
// all scalars (POLYAK_TEST_ALL), and says which cases changed and why. There are two, since a fused multiply-add rounds
// once: bits.csv is of x86-64 without it, bits_fma.csv with it (-march=haswell). Neither the compiler nor its level of
// optimisation matters, as long as it fuses nothing of itself (-ffp-contract=off); glibc's cos, pow and expm1 do.

namespace {

#if defined(__FMA__)
constexpr const char* fixture = "/bits_fma.csv";
#else
constexpr const char* fixture = "/bits.csv";
#endif

int compare(const bits::Report& report, const std::string& path) {
  std::map<std::string, std::uint64_t> expected;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t comma = line.rfind(',');
    expected[line.substr(0, comma)] = std::stoull(line.substr(comma + 1), nullptr, 16);
  }
  std::vector<std::string> wrong;
  for (const auto& [name, hash] : report) {
    const auto found = expected.find(name);
    if (found == expected.end()) {
      wrong.push_back("not in the fixture: " + name);
    } else {
      if (found->second != hash) wrong.push_back("differs: " + name);
      expected.erase(found);
    }
  }
  for (const auto& [name, hash] : expected) {  // of the scalars that were tested
    const std::string scalar = name.substr(0, name.find(',') + 1);
    const auto is_of_it = [&](const auto& line) { return line.first.starts_with(scalar); };
    if (std::any_of(report.begin(), report.end(), is_of_it)) wrong.push_back("in the fixture alone: " + name);
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(wrong.size(), 12); ++i) std::printf("%s\n", wrong[i].c_str());
  std::printf("%zu of %zu cases are not as in %s\n", wrong.size(), report.size(), path.c_str());
  return wrong.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
#if !defined(__x86_64__)
  std::printf("skipped: the fixtures are of x86-64\n");
  return 77;
#endif
  bits::Report report;
  bits::add_optimizers(report);
  bits::add_averagers(report);
  bits::add_wrappers(report);
  bits::add_nestings(report);
  bits::add_sparse(report);
  if (argc > 1) return compare(report, argv[1] + std::string(fixture));
  for (const auto& [name, hash] : report) {
    std::printf("%s,%016llx\n", name.c_str(), static_cast<unsigned long long>(hash));
  }
  return 0;
}
