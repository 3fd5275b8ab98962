#pragma once

#include <bnq/target.h>

#include "checkpoint/clients/architecture.h"
#include "checkpoint/work.h"

#include <string>

namespace bnq::detail {

/// Holds a plan against the target that is to run it, and says in the plan what differs there. `why_bnq_only` is what
/// keeps plain transformers from the folder; empty when nothing does.
/// Throws `unsupported`, naming the first tensor that the target does not take, or what it needs besides; `bad_content`
/// for a folder that lacks a part of its model.
void require_target(Work& work, const Target& target, const FolderArchitecture& architecture,
                    const std::string& why_bnq_only);

}  // namespace bnq::detail
