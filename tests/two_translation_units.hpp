#pragma once

#include <polyak/polyak.hpp>

#include <typeinfo>

/// The same pieces of polyak as two source files see them.
namespace two_translation_units {

using Optimizer = polyak::Averaged<polyak::Sgd<>, polyak::Ema<>, polyak::Swa<>>;

struct View {
  const void* throwing_helper;
  const void* shared_constant;
  const std::type_info* gain;
  const std::type_info* optimizer;
};

/// Has internal linkage, so that each source file asks for itself.
static View view() {
  return {reinterpret_cast<const void*>(&polyak::detail::throw_bad_argument), &polyak::detail::slice_bytes,
          &typeid(polyak::EmaGain), &typeid(Optimizer)};
}

View view_of_the_other_unit();
Optimizer make_in_the_other_unit();
void step_in_the_other_unit(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad);

}  // namespace two_translation_units
