#include <polyak/polyak.hpp>

void train(const Eigen::MatrixXd& table) {
  polyak::RowAverage average{table, polyak::TailAverage<polyak::Compensated<double>>{}};
}
