#include <polyak/polyak.hpp>

double score(const polyak::SparseSgd<>& model, const Eigen::VectorXd& x) { return model.predict(x); }
