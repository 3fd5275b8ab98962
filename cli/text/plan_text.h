#pragma once

#include "table.h"

#include <bnq/checkpoint.h>

#include <string>

namespace bnq::cli {

/// Every tensor with its reason, then the totals.
[[nodiscard]] std::string plan_table(const Plan& plan);

/// How many tensors and bytes go which way, what the rules hit, the sizes of both files, and `more`.
[[nodiscard]] std::string plan_totals(const Plan& plan, const Facts& more);

}  // namespace bnq::cli
