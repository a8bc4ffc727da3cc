#include <polyak/polyak.hpp>

#include <Eigen/SparseCore>

void train(polyak::SparseSgd<>& model, const Eigen::SparseMatrix<double>& samples) { model.step(samples.row(0), 0.5); }
