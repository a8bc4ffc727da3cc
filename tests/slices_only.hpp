#pragma once

#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace support {

/// An optimizer with a fold of slices that folds nothing: so all that folds with it does so slice by slice too.
template <polyak::FloatingPoint Scalar>
class SlicesOnly : public polyak::Wrapper<SlicesOnly<Scalar>, polyak::Sgd<Scalar>> {
 public:
  static constexpr std::string_view name = "SlicesOnly";

  explicit SlicesOnly(polyak::Sgd<Scalar> sgd)
      : polyak::Wrapper<SlicesOnly<Scalar>, polyak::Sgd<Scalar>>(std::move(sgd)) {}

  template <class Step, class... Folds>
  polyak::Outcome advance(const Step& step, const Folds&... folds) {
    return polyak::advance(this->optimizer_, step, Nothing{}, folds...);
  }

 private:
  struct Nothing {
    template <class Weight>
    void before(std::size_t, std::span<const Weight>) const noexcept {}
    template <class Weight>
    void after(std::size_t, std::span<const Weight>) const noexcept {}
  };
};

}  // namespace support
