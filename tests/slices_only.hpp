#pragma once

#include <polyak/concepts.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <utility>

namespace support {

/// An optimizer that works slice by slice but cannot hand over single coordinates.
template <polyak::FloatingPoint Scalar>
class SlicesOnly {
 public:
  using scalar_type = Scalar;

  explicit SlicesOnly(polyak::Sgd<Scalar> sgd) : sgd_(std::move(sgd)) {}

  class Update {
   public:
    explicit Update(typename polyak::Sgd<Scalar>::Update update) : update_(update) {}
    template <class Grad>
    void operator()(const polyak::Slice<Scalar, Grad>& slice) noexcept {
      update_(slice);
    }
    [[nodiscard]] bool taken() const noexcept { return update_.taken(); }
    void commit() noexcept { update_.commit(); }

   private:
    typename polyak::Sgd<Scalar>::Update update_;
  };
  Update begin_step(const polyak::StepView<Scalar>& view) { return Update(sgd_.begin_step(view)); }

 private:
  polyak::Sgd<Scalar> sgd_;
};

}  // namespace support
