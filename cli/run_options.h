#pragma once

#include "option_value.h"
#include "progress.h"

#include <bnq/threads.h>

#include <CLI/App.hpp>
#include <optional>
#include <string>

namespace bnq::cli {

/// Options of every verb that reads tensors.
struct RunOptions {
  static constexpr int most_threads = 1024;  // as bnq/threads.h says

  bool json = false;
  bool no_progress = false;
  std::optional<int> threads;

  void add_to(CLI::App& verb) {
    verb.add_flag("--json", json, "Print one JSON document instead of text");
    verb.add_option("--threads", threads, "Threads to use; no result depends on it")
        ->type_name("N")
        ->check(whole_number(1, most_threads));
    verb.add_flag("--no-progress", no_progress, "No progress bar; there is one on a terminal only");
  }

  /// Sets the threads and starts the bar. `doing` is what the bar says: "quantizing".
  [[nodiscard]] ProgressBar start(const std::string& doing) const {
    if (threads) set_num_threads(*threads);
    return ProgressBar(doing, !no_progress && ProgressBar::is_wanted());
  }
};

}  // namespace bnq::cli
