#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <string>

namespace bnq::cli {

/// What `bnq` answers to the shell. docs/command_line has the same table.
enum ExitCode : int {
  exit_ok = 0,
  exit_system = 1,   ///< the system failed: IN missing, no space, no permission, no memory
  exit_usage = 2,    ///< the command line asks for something that has no meaning
  exit_gate = 3,     ///< the quality asked for was not reached
  exit_content = 4,  ///< a file is broken, lies about itself, holds NaN or is already packed
  exit_exists = 5,   ///< the output is already there
  exit_interrupted = 130,
};

/// What a verb has to say: all of standard output, printed at once when the work is done.
struct Outcome {
  std::string text;
  ExitCode code = exit_ok;
};

/// One word after `bnq`. `run` is called when the command line has been read; it throws bnq::Error.
struct Verb {
  CLI::App* app = nullptr;
  std::function<Outcome()> run;
};

Verb add_quantize(CLI::App& bnq);
Verb add_dequantize(CLI::App& bnq);
Verb add_convert(CLI::App& bnq);
Verb add_inspect(CLI::App& bnq);
Verb add_verify(CLI::App& bnq);
Verb add_bench(CLI::App& bnq);
Verb add_cpu(CLI::App& bnq);
Verb add_help(CLI::App& bnq);

/// What stands under the list of verbs: schemes, layouts, examples, exit codes.
[[nodiscard]] std::string help_footer();

/// The help of `bnq` or of one of its verbs.
[[nodiscard]] std::string help_of(const CLI::App& app);

/// Says something on standard error that is no failure.
void warn(const std::string& text);

}  // namespace bnq::cli
