#pragma once

#include <bnq/checkpoint.h>

namespace bnq::detail {

/// Fills in what follows from the tensors: worst and median SQNR, lossless, reproduced, gates_met, and the verdict.
void summarize(Verification& verification, const Gates& gates);

}  // namespace bnq::detail
