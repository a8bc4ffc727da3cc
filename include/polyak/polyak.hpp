#pragma once

/// polyak: stochastic gradient descent with weight averaging, on Eigen. Includes everything.

#include "polyak/averaged.hpp"
#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/decays.hpp"
#include "polyak/averagers/ema.hpp"
#include "polyak/averagers/gain_average.hpp"
#include "polyak/averagers/gains.hpp"
#include "polyak/averagers/swa.hpp"
#include "polyak/averagers/tail_average.hpp"
#include "polyak/concepts.hpp"
#include "polyak/optimizers/sgd.hpp"
#include "polyak/parameters.hpp"
#include "polyak/schedules.hpp"
#include "polyak/version.hpp"
