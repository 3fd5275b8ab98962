#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/clients/model_config.h"
#include "core/fail.h"
#include "io/file_form.h"
#include "io/folder/output_shards.h"
#include "io/source.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bnq::detail {

/// A plan, and what carrying it out needs.
struct Work {
  Source source;
  const QuantizeOptions& options;
  Plan plan = {};
  ModelConfig model = {};                           ///< of an input folder
  std::vector<std::optional<FileForm>> forms = {};  ///< one a planned tensor; empty: copied
  std::vector<OutputShard> shards = {};
  std::string index = {};   ///< bytes of the index of an output folder; empty with one shard
  std::string config = {};  ///< bytes of its config.json; empty when the input has none
};

/// Which output file holds which tensor, their sizes, and what else the output has. `work` has tensors and forms.
void place_output(Work& work);

/// The metadata of an output file; scales that only the metadata holds are those of the forms.
[[nodiscard]] safetensors::Metadata shard_metadata(const Work& work, const OutputShard& shard);

/// Of all that an output folder's bytes depend on: bnq's version, the plan, and the input, as far as heads, sizes and
/// times of change tell it from another.
[[nodiscard]] std::string digest_of(const Work& work);

/// Throws as `plan_checkpoint` does.
[[nodiscard]] Work plan_work(const std::filesystem::path& in, const QuantizeOptions& options);

/// Tells a caller how far the work is; throws `interrupted` when the caller wants it to stop.
class ProgressCounter {
 public:
  enum class Writes { no, yes };

  ProgressCounter(const Progress& progress, std::uint64_t total_bytes, Writes writes)
      : progress_(progress), total_bytes_(total_bytes), writes_(writes) {
    add(0);
  }

  void add(std::uint64_t bytes) {
    done_bytes_ += bytes;
    if (!progress_ || progress_(done_bytes_, total_bytes_)) return;
    throw Error(ErrorKind::interrupted, "stopped as asked after " + std::to_string(done_bytes_) + " of " +
                                            std::to_string(total_bytes_) + " bytes" +
                                            (writes_ == Writes::yes ? "; nothing was written" : ""));
  }

 private:
  const Progress& progress_;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t total_bytes_;
  Writes writes_;
};

}  // namespace bnq::detail
