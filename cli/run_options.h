#pragma once

#include "text/progress.h"
#include "text/table.h"

#include <bnq/threads.h>

#include <CLI/App.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace bnq::cli {

// What an option's text must be. CLI11's own reading takes '', ' 2' and '0x2' as well.

/// `need` in words: "a whole number from 1 to 1024".
inline std::string refusal(const std::string& text, const std::string& need) {
  return "wrong value (got '" + printable(text) + "', need " + need + ")";
}

inline CLI::Validator some_text() {
  return {[](const std::string& text) { return text.empty() ? refusal(text, "some text") : ""; }, ""};
}

inline CLI::Validator whole_number(int least, int most) {
  return {[least, most](const std::string& text) {
            int value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool whole = error == std::errc() && end == text.data() + text.size();
            if (whole && value >= least && value <= most) return std::string();
            return refusal(text, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
          },
          ""};
}

/// Decimal and finite.
inline CLI::Validator real_number() {
  return {[](const std::string& text) {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            const bool plain = !text.empty() && text.find_first_not_of("+-.0123456789eE") == std::string::npos;
            if (plain && *end == '\0' && std::isfinite(value)) return std::string();
            return refusal(text, "a number");
          },
          ""};
}

/// The option of verbs that read what other programs quantized.
inline void add_scales(CLI::App& verb, std::string& scales) {
  verb.add_option("--scales", scales, "What weight_scale of a BitNet folder is: multiply, or inverse (1 / scale)")
      ->type_name("HOW")
      ->check(some_text());
}

/// The option of verbs that read GGUF files.
inline void add_gguf_types(CLI::App& verb, std::vector<std::string>& types) {
  verb.add_option("--gguf-type", types, "What a type of a GGUF file is, where it does not say; an error asks for it")
      ->type_name("TYPE")
      ->allow_extra_args(false)
      ->check(some_text());
}

/// Options of every verb that works for a while.
struct RunOptions {
  static constexpr int most_threads = 1024;  // as bnq/threads.h says

  bool json = false;
  bool no_progress = false;
  std::optional<int> threads;

  void add_to(CLI::App& verb) {
    add_without_bar(verb);
    verb.add_flag("--no-progress", no_progress, "No progress bar; there is one on a terminal only");
  }

  void add_without_bar(CLI::App& verb) {
    verb.add_flag("--json", json, "Print one JSON document instead of text");
    verb.add_option("--threads", threads, "Threads to use; no result depends on it")
        ->type_name("N")
        ->check(whole_number(1, most_threads));
  }

  void set_threads() const {
    if (threads) set_num_threads(*threads);
  }

  /// Sets the threads and starts the bar. `doing` is what the bar says: "quantizing".
  [[nodiscard]] ProgressBar start(const std::string& doing) const {
    set_threads();
    return ProgressBar(doing, !no_progress && ProgressBar::is_wanted());
  }
};

}  // namespace bnq::cli
