#include <fcntl.h>
#include <unistd.h>
#include <polyak/io/checkpoint.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

// How long a checkpoint of 2^24 doubles takes to save and to load, beside the same bytes by fwrite and fsync, and by
// fread: in turn, in the directory that is the argument. What is read is in the cache of the system.

namespace {

using Vector = Eigen::VectorXd;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + " failed");
}

void plain_write(const std::filesystem::path& path, const Vector& numbers) {
  const auto n = static_cast<std::size_t>(numbers.size());
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  require(file != nullptr, "fopen");
  require(std::fwrite(numbers.data(), sizeof(double), n, file) == n, "fwrite");
  require(std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0, "fsync");
  require(std::fclose(file) == 0, "fclose");
}

void plain_read(const std::filesystem::path& path, Vector& numbers) {
  const auto n = static_cast<std::size_t>(numbers.size());
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  require(file != nullptr, "fopen");
  require(std::fread(numbers.data(), sizeof(double), n, file) == n, "fread");
  require(std::fclose(file) == 0, "fclose");
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char* argv[]) try {
  if (argc != 2) {
    std::cerr << "usage: polyak_checkpoint_speed directory\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  const auto checkpoint = directory / "checkpoint_speed.safetensors";
  const auto plain = directory / "checkpoint_speed.plain";
  Vector numbers = Vector::Random(1 << 24);
  constexpr int repetitions = 9;

  std::vector<double> saving, writing, loading, reading;
  for (int i = 0; i < repetitions; ++i) {
    std::filesystem::remove(plain);
    std::filesystem::remove(checkpoint);
    writing.push_back(seconds([&] { plain_write(plain, numbers); }));
    saving.push_back(seconds([&] { polyak::save(checkpoint, numbers); }));
    reading.push_back(seconds([&] { plain_read(plain, numbers); }));
    loading.push_back(seconds([&] { polyak::load(checkpoint, numbers); }));
  }
  std::filesystem::remove(plain);
  std::filesystem::remove(checkpoint);

  const auto report = [](const char* what, const std::vector<double>& ours, const std::vector<double>& theirs) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / theirs[i]);
    std::printf("%s: %.0f ms, by hand %.0f ms, median of %zu ratios %.2f\n", what, 1000 * median(ours),
                1000 * median(theirs), ratios.size(), median(ratios));
  };
  report("save, 2^24 doubles", saving, writing);
  report("load, 2^24 doubles", loading, reading);
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
