#include "common/optimum.hpp"

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace examples {

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

constexpr Index portion = 128;  // samples that stay in cache while they are needed twice

/// Cross-entropy + l2/2 ‖W‖² with its derivatives, W being features x classes.
class Objective {
 public:
  Objective(const Dataset& data, double l2) : data_(data), l2_(l2), probabilities_(data.classes, data.samples()) {}

  /// The value at W; sets the gradient there, and moves the Hessian to W.
  double value_and_gradient(const MatrixXd& w, MatrixXd& gradient) {
    double loss = 0;
    gradient.setZero(w.rows(), w.cols());
    MatrixXd inputs, p;
    for (Index first = 0; first < data_.samples(); first += portion) {
      inputs = portion_from(first).cast<double>();
      p.noalias() = w.transpose() * inputs;
      for (Index i = 0; i < p.cols(); ++i) {
        const int label = data_.labels[static_cast<std::size_t>(first + i)];
        const double score = p(label, i);
        const double highest = p.col(i).maxCoeff();
        p.col(i) = (p.col(i).array() - highest).exp().matrix();
        const double sum = p.col(i).sum();
        p.col(i) /= sum;
        loss += highest + std::log(sum) - score;
        probabilities_.col(first + i) = p.col(i).cast<float>();
        p(label, i) -= 1;
      }
      gradient.noalias() += inputs * p.transpose();
    }
    const auto n = static_cast<double>(data_.samples());
    gradient = gradient / n + l2_ * w;
    return loss / n + l2_ / 2 * w.squaredNorm();
  }

  /// In float: an error in it bends the direction of a Newton step a little, never the point where the steps end.
  [[nodiscard]] MatrixXd hessian_times(const MatrixXd& v) const {
    const MatrixXf narrow = v.cast<float>();
    MatrixXf product = MatrixXf::Zero(v.rows(), v.cols());
    MatrixXf u;
    for (Index first = 0; first < data_.samples(); first += portion) {
      const auto inputs = portion_from(first);
      u.noalias() = narrow.transpose() * inputs;
      for (Index i = 0; i < u.cols(); ++i) {
        const auto p = probabilities_.col(first + i);
        const float mean = p.dot(u.col(i));
        u.col(i) = (p.array() * (u.col(i).array() - mean)).matrix();
      }
      product.noalias() += inputs * u.transpose();
    }
    return product.cast<double>() / static_cast<double>(data_.samples()) + l2_ * v;
  }

  /// The Hessian's block of each class with itself, factored; from every so-many-th sample, for it need not be exact.
  [[nodiscard]] std::vector<Eigen::LLT<MatrixXf>> diagonal_blocks() const {
    constexpr Index enough = 4000;
    const Index stride = std::max<Index>(1, data_.samples() / enough);
    const Index n = (data_.samples() + stride - 1) / stride;
    std::vector<Eigen::LLT<MatrixXf>> blocks;
    MatrixXf scaled(data_.inputs.rows(), n);
    for (Index k = 0; k < data_.classes; ++k) {
      for (Index i = 0; i < n; ++i) {
        const float p = probabilities_(k, i * stride);
        scaled.col(i) = std::sqrt(p * (1 - p) / static_cast<float>(n)) * data_.inputs.col(i * stride);
      }
      MatrixXf block = static_cast<float>(l2_) * MatrixXf::Identity(scaled.rows(), scaled.rows());
      block.selfadjointView<Eigen::Lower>().rankUpdate(scaled);
      blocks.emplace_back(block);
    }
    return blocks;
  }

 private:
  [[nodiscard]] Eigen::Ref<const MatrixXf> portion_from(Index first) const {
    return data_.inputs.middleCols(first, std::min(portion, data_.samples() - first));
  }

  const Dataset& data_;
  double l2_;
  MatrixXf probabilities_;
};

double dot(const MatrixXd& a, const MatrixXd& b) { return a.cwiseProduct(b).sum(); }

/// Solves Hessian d = −gradient by conjugate gradients, preconditioned with the diagonal blocks, until the residual is
/// `tolerance` of the gradient.
MatrixXd newton_direction(const Objective& objective, const MatrixXd& gradient, double tolerance) {
  const auto blocks = objective.diagonal_blocks();
  const auto precondition = [&](const MatrixXd& r) {
    MatrixXd z(r.rows(), r.cols());
    for (Index k = 0; k < r.cols(); ++k) {
      z.col(k) = blocks[static_cast<std::size_t>(k)].solve(r.col(k).cast<float>()).cast<double>();
    }
    return z;
  };

  MatrixXd direction = MatrixXd::Zero(gradient.rows(), gradient.cols());
  MatrixXd residual = -gradient;
  MatrixXd z = precondition(residual);
  MatrixXd p = z;
  double rz = dot(residual, z);
  constexpr int patience = 1000;
  for (int i = 0; i < patience && residual.norm() > tolerance * gradient.norm(); ++i) {
    const MatrixXd hp = objective.hessian_times(p);
    const double step = rz / dot(p, hp);
    direction += step * p;
    residual -= step * hp;
    z = precondition(residual);
    const double previous = rz;
    rz = dot(residual, z);
    p = z + rz / previous * p;
  }
  return direction;
}

}  // namespace

Optimum find_optimum(const Dataset& data, double l2) {
  Objective objective(data, l2);
  MatrixXd w = MatrixXd::Zero(data.inputs.rows(), data.classes);
  MatrixXd gradient, next_gradient;
  double value = objective.value_and_gradient(w, gradient);

  constexpr int max_iterations = 100;
  for (int iteration = 0; iteration < max_iterations; ++iteration) {
    const double norm = gradient.norm();
    if (norm <= 0.01 * l2) {
      return {Eigen::Map<const Eigen::VectorXd>(w.data(), w.size()), value, norm, iteration};
    }
    const MatrixXd direction = newton_direction(objective, gradient, std::min(0.1, std::sqrt(norm)));
    const double slope = dot(gradient, direction);
    double step = 1;
    double next = objective.value_and_gradient(w + direction, next_gradient);
    // The last term allows for rounding, close to the optimum where no step gains more than that.
    while (next > value + 1e-4 * step * slope + 1e-13 && step > 1e-6) {
      step /= 2;
      next = objective.value_and_gradient(w + step * direction, next_gradient);
    }
    w += step * direction;
    value = next;
    gradient.swap(next_gradient);
  }
  throw std::runtime_error("the optimum was not reached in 100 Newton steps; a larger --l2 makes it easier");
}

}  // namespace examples
