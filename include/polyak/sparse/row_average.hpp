#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/averagers/tail_average.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/sparse/lag.hpp"
#include "polyak/sparse/sparse_row.hpp"

namespace polyak {

/// Whole numbers that lie side by side: a std::vector, std::array or std::span of them.
template <class R>
concept IndexList = requires(const R& rows) {
  std::span(rows);
  requires std::integral<std::remove_cvref_t<decltype(*std::data(rows))>>;
};

/// The average of a dense matrix of which each step moves few rows, such as a table of embeddings, at the cost of those
/// rows. The table is the caller's, and so is the code that moves it:
///
///     RowAverage average{table, Ema{{.decay = 0.999}}};
///     average.step(table, rows, [&] { for (auto row : rows) table.row(row) -= 0.1 * gradient_of(row); });
///     evaluate(average.average(table));
///
/// Of s = b θ + a u only u is kept, as many Shadows as the table has weights; reading computes s from u and the table
/// it is given. So a row that changes outside of step drags its average along, and a row that becomes NaN or infinite
/// has an average that is so from then on, even if that step does not fold. Call detach(table) before such a change, or
/// after it with a copy of the table as it was: then the average stays where it is, and the changed table is an iterate
/// like any other, which the next step folds in.
///
/// It belongs to one thread at a time: two calls at once, of which one is not const, are a race that may end the
/// program, even if they name different rows. Where several threads move the rows of one table, hold a mutex around
/// step and whatever reads. Or, which is faster (the target row_threads of bench/ tells by how much), give each thread
/// a table of its own, with its RowAverage; the mean over all iterates of all threads is, for a TailAverage, exactly
///
///     (m * a.average(table_a) + n * b.average(table_b)) / (m + n)    with m = a.count(), n = b.count()
///
/// Tables are of float or double. Where both they and Shadow are of double, the average agrees with the dense recursion
/// to some 1e-12 of the largest |θ| so far. Steps allocate only while the lists of rows grow longer. Throws
/// std::logic_error on an averager in use.
template <class Averager = TailAverage<>, class Shadow = double>
  requires(std::same_as<Shadow, float> || std::same_as<Shadow, double>)
class RowAverage : public detail::LagGains<Averager> {
  static constexpr std::string_view name = "polyak::RowAverage";

 public:
  /// The table of averages.
  using Matrix = Eigen::Matrix<Shadow, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  /// For tables of the size of this one. O(table).
  template <class Table>
  explicit RowAverage(const Eigen::MatrixBase<Table>& table, const Averager& averager = {})
      : detail::LagGains<Averager>(averager, name) {
    u_.setZero(table.rows(), table.cols());
    named_.assign(static_cast<std::size_t>(table.rows()), false);
  }

  /// Calls move(), which may change these rows of the table and no others, and folds the table into the average where
  /// that is due. A row may be named twice. O(rows · cols). Throws std::invalid_argument on a table of another size and
  /// on a row out of range, before move is called. Where move throws, there was no step, and the rows are put back.
  /// Throws std::logic_error where move resizes the table or calls step itself.
  template <class Table, IndexList Rows, std::invocable Move>
  void step(Eigen::MatrixBase<Table>& table, const Rows& rows, Move&& move) {
    if (moving_) detail::throw_bad_order(name, "step must not be called while a step moves rows");
    check(table);
    check_rows(rows);
    const auto next = this->gains_.next();
    choose(rows);
    before_.resize((std::max)(before_.rows(), static_cast<Eigen::Index>(rows_.size())), u_.cols());
    for (Eigen::Index i = 0; const Eigen::Index row : rows_) before_.row(i++) = table.row(row).template cast<double>();

    const bool follows = detail::Lag::follows(next, this->has_average());
    if (lag_.begin(follows)) u_.setZero();
    if (lag_.template wants_rescaling<Shadow>()) rescale(table);
    moving_ = true;
    try {
      std::forward<Move>(move)();
      moving_ = false;
    } catch (...) {
      moving_ = false;
      for (Eigen::Index i = 0; const Eigen::Index row : rows_) {
        table.row(row) = before_.row(i++).template cast<typename Table::Scalar>();
      }
      throw;
    }
    if (table.rows() != u_.rows() || table.cols() != u_.cols()) {
      detail::throw_bad_order(name, "the table must keep its size while a step moves rows");
    }
    if (!follows) {
      const auto counterweight = static_cast<Shadow>(lag_.counterweight());
      for (Eigen::Index i = 0; const Eigen::Index row : rows_) {
        u_.row(row) +=
            counterweight * (table.row(row).template cast<Shadow>() - before_.row(i++).template cast<Shadow>());
      }
    }
    lag_.fold(next, follows);
    this->gains_.commit(next);
  }

  /// The average, given the table. O(table). Throws std::logic_error before the first fold, std::invalid_argument on a
  /// table of another size.
  template <class Table>
  [[nodiscard]] Matrix average(const Eigen::MatrixBase<Table>& table) const {
    this->require_average(name);
    check(table);
    if (lag_.average().of_v == 0) return u_;  // detached: NaN in the table must not spoil it
    return s(table.derived(), u_);
  }
  /// One row of it. O(cols).
  template <class Table>
  [[nodiscard]] Eigen::Matrix<Shadow, 1, Eigen::Dynamic, Eigen::RowMajor> average_row(
      const Eigen::MatrixBase<Table>& table, Eigen::Index row) const {
    this->require_average(name);
    check(table);
    check_rows(std::array{row});
    if (lag_.average().of_v == 0) return u_.row(row);
    return s(table.row(row), u_.row(row));
  }

  /// Makes the average independent of the table until the next step. O(table). Throws std::invalid_argument on a table
  /// of another size.
  template <class Table>
  void detach(const Eigen::MatrixBase<Table>& table) {
    check(table);
    if (!this->has_average()) return;
    if (lag_.equal()) u_.setZero();  // it has no share in the average, and need not be finite
    rescale(table);
  }

  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const noexcept { return this->gains_.steps(); }
  /// How often a step or detach visited the whole table: about once in 166/(1−β) steps of an EMA with β near 1, once in
  /// 21/(1−β) if Shadow is float, and once in the step after a gain of 1 that was not the first.
  [[nodiscard]] std::uint64_t sweeps() const noexcept { return lag_.sweeps(); }

  /// Back to the state after construction.
  void reset() {
    this->gains_.reset();
    lag_ = {};
    u_.setZero();
  }

  /// Saves or loads as Averager::serialize does: the average but not the table, which is the caller's to save, and
  /// whose size counts as an option. Throws std::logic_error while a step moves rows. O(table).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    if (moving_) detail::throw_bad_order(name, "serialize must not be called while a step moves rows");
    detail::serialize_version(archive, name);
    const detail::OptionSerializer<Archive> option{archive, name};
    option("shadow", detail::scalar_name<Shadow>);
    option("rows", static_cast<std::uint64_t>(u_.rows()));
    option("columns", static_cast<std::uint64_t>(u_.cols()));
    std::conditional_t<detail::is_loading<Archive>, RowAverage, RowAverage&> state = *this;
    state.lag_.serialize(archive, 0);
    using Flat = Eigen::Matrix<Shadow, Eigen::Dynamic, 1, Eigen::ColMajor>;
    const auto n = static_cast<std::uint64_t>(u_.size());
    if constexpr (detail::is_loading<Archive>) {
      Flat u;
      detail::serialize_array(archive, name, "u", u, n);
      state.u_ = Eigen::Map<const Matrix>(u.data(), u_.rows(), u_.cols());
    } else {
      Eigen::Map<Flat> u(u_.data(), u_.size());
      detail::serialize_array(archive, name, "u", u, n);
    }
    detail::serialize_part(archive, "averager", state.gains_);
    if constexpr (detail::is_loading<Archive>) *this = std::move(state);
  }

 private:
  template <class Table>
  void check(const Eigen::MatrixBase<Table>& table) const {
    using Scalar = typename Table::Scalar;
    static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>,
                  "polyak::RowAverage: a table is of float or double");
    const auto require = [](std::string_view what, Eigen::Index expected, Eigen::Index got) {
      if (got != expected) {
        detail::throw_bad_size(name, what, static_cast<std::size_t>(expected), static_cast<std::size_t>(got));
      }
    };
    require("rows of the table must be", u_.rows(), table.rows());
    require("columns of the table must be", u_.cols(), table.cols());
  }
  void check_rows(const auto& rows) const {
    detail::check_indices(std::span(rows), static_cast<std::size_t>(u_.rows()), name);
  }

  void choose(const auto& rows) {
    rows_.clear();
    rows_.reserve(std::size(rows));
    for (const auto row : rows) {
      const auto named = named_.begin() + static_cast<std::ptrdiff_t>(row);
      if (!*named) rows_.push_back(static_cast<Eigen::Index>(row));
      *named = true;
    }
    for (const Eigen::Index row : rows_) named_[static_cast<std::size_t>(row)] = false;
  }

  template <class Theta, class U>
  [[nodiscard]] auto s(const Theta& theta, const U& u) const {
    const auto [of_v, of_u] = lag_.average();
    return static_cast<Shadow>(of_v) * theta.template cast<Shadow>() + static_cast<Shadow>(of_u) * u;
  }
  template <class Table>
  void rescale(const Eigen::MatrixBase<Table>& table) {
    u_ = s(table.derived(), u_);
    lag_.rescaled(false);
  }

  detail::Lag lag_;
  Matrix u_;
  bool moving_ = false;
  std::vector<Eigen::Index> rows_;                                                 // of the step at hand, each once
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> before_;  // and what they were
  std::vector<bool> named_;
};

}  // namespace polyak
