#include "run_options.h"
#include "text/progress.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/cpu.h>
#include <bnq/error.h>
#include <bnq/threads.h>
#include <bnq/version.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

namespace bnq::cli {

void warn(const std::string& text) { std::fprintf(stderr, "bnq: warning: %s\n", text.c_str()); }

namespace {

// Every verb there is. A new one is a line here and a file.
constexpr std::array verbs{add_quantize, add_dequantize, add_convert, add_inspect,
                           add_verify,   add_bench,      add_cpu,     add_help};

ExitCode exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
    case ErrorKind::unsupported:
      return exit_usage;
    case ErrorKind::bad_content:
      return exit_content;
    case ErrorKind::exists:
      return exit_exists;
    case ErrorKind::interrupted:
      return exit_interrupted;
    case ErrorKind::io:
      break;
  }
  return exit_system;
}

ExitCode complain(ExitCode code, const std::string& message) {
  std::fprintf(stderr, "bnq: %s\n", message.c_str());
  return code;
}

/// Standard output is written once, here. Who reads only the beginning (`bnq inspect x | head`) has what they wanted.
ExitCode print(const Outcome& outcome) {
  errno = 0;
  std::fwrite(outcome.text.data(), 1, outcome.text.size(), stdout);
  std::fflush(stdout);
  if (std::ferror(stdout) == 0 || errno == EPIPE) return outcome.code;
  return complain(exit_system, std::string("standard output: could not be written (got ") + std::strerror(errno) + ")");
}

/// Text of a usage error in the grammar of all others.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error, const std::string& first) {
  const auto chosen = app.get_subcommands();
  if (chosen.empty()) return "there is no such verb or option (got '" + printable(first) + "'); see `bnq --help`";
  const std::string verb = chosen.front()->get_name();
  return verb + ": " + printable(error.what()) + "; see `bnq " + verb + " --help`";
}

Outcome run(CLI::App& app, int argc, char** argv) {
  std::vector<Verb> added;
  for (const auto add : verbs) {
    added.push_back(add(app));
    added.back().app->group("Verbs");
    for (CLI::Option* option : added.back().app->get_options()) {
      if (option->get_items_expected_min() > 0) option->check(some_text());
    }
  }
  app.parse(argc, argv);
  for (const Verb& verb : added) {
    if (!verb.app->parsed()) continue;
    (void)num_threads();  // a wrong BNQ_NUM_THREADS or BNQ_ISA is said before any work, whoever would use it
    (void)active_isa();
    return verb.run();
  }
  return {};
}

ExitCode run_and_report(int argc, char** argv) {
  CLI::App app("bnq " BNQ_VERSION ": float tensors to BitNet's low-bit integers and back, exactly", "bnq");
  app.set_version_flag("--version", "bnq " BNQ_VERSION, "Print the version");
  app.set_help_flag("-h,--help", "Print this help");
  app.require_subcommand(1);
  app.get_formatter()->label("SUBCOMMAND", "VERB …");
  app.footer(help_footer);
  try {
    return print(run(app, argc, argv));
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    return print({help_of(chosen.empty() ? app : *chosen.front())});
  } catch (const CLI::CallForVersion& version) {
    return print({std::string(version.what()) + "\n"});
  } catch (const CLI::ParseError& error) {
    if (argc > 1) return complain(exit_usage, usage_message(app, error, argv[1]));
    std::fputs(help_of(app).c_str(), stderr);
    return exit_usage;
  } catch (const Error& error) {
    return complain(exit_code_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return complain(exit_system, "out of memory");
  } catch (const std::exception& error) {
    return complain(exit_system, error.what());
  }
}

}  // namespace
}  // namespace bnq::cli

int main(int argc, char** argv) {
  bnq::cli::catch_interrupts();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error to handle, not the end amid a file
  return bnq::cli::run_and_report(argc, argv);
}
