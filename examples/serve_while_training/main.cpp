// One thread trains and publishes its average now and then; another one serves it meanwhile.

#include <polyak/polyak.hpp>

#include <atomic>
#include <iostream>
#include <thread>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

using namespace examples;

int main() {
  const TrainTest digits = load_digits();
  polyak::Published<> published;
  std::atomic<bool> done = false;

  std::thread server([&] {
    while (!published.has_snapshot()) std::this_thread::yield();
    for (bool last = false; !last;) {
      last = done;
      const auto snapshot = published.snapshot();  // stays as it is while it is held
      const double loss = evaluate(snapshot.average(), digits.test).loss;
      if (last) std::cout << "the last request was served by step " << snapshot.steps() << ", loss " << loss << '\n';
    }
  });
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights();
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2}}, polyak::Ema{{.decay = 0.999}}};
  for (int t = 1; t <= 4000; ++t) {
    opt.step(theta, model.gradient(theta, batches.next()));
    if (t % 100 == 0) published.publish(opt);
  }
  done = true;
  server.join();
}
