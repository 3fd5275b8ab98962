#include "text/table.h"
#include "verb.h"

#include <bnq/error.h>
#include <bnq/layout.h>
#include <bnq/scheme.h>
#include <bnq/target.h>

#include <memory>
#include <string>

namespace bnq::cli {
namespace {

using enum Table::Align;

std::string schemes() {
  Table table({{"", left}, {"", left}});
  for (const Scheme& scheme : Scheme::all()) {
    if (scheme == Scheme::activations()) continue;  // for tokens at run time, not for the weights in a file
    table.add({"  " + scheme.to_string(), std::string(scheme.about())});
  }
  return table.text();
}

std::string layouts() {
  Table table({{"", left}, {"", left}});
  for (const Layout& layout : Layout::all())
    table.add({"  " + std::string(layout.name()), std::string(layout.about())});
  return table.text();
}

std::string targets() {
  Table table({{"", left}, {"", left}});
  for (const Target& target : Target::all())
    table.add({"  " + std::string(target.name()), std::string(target.about())});
  return table.text();
}

constexpr const char* examples = R"(
Examples:
  bnq inspect model.safetensors
  bnq quantize model.safetensors small.safetensors --scheme 8 --embeddings 8
  bnq verify model.safetensors small.safetensors --min-sqnr 30
  bnq dequantize small.safetensors floats.safetensors
  bnq convert small.safetensors other.safetensors --to i32_ct

Exit codes:
  0    done
  1    the system failed: a file is missing, no space, no permission, no memory
  2    usage: unknown option or scheme, IN and OUT are the same file, with --strict a rule that hits nothing
  3    verify: a gate was missed
  4    bad content: a file is broken or lies about itself, holds NaN, is already packed
  5    OUT exists (--force replaces it)
  130  interrupted; nothing is left behind)";

}  // namespace

std::string help_footer() {
  return "Schemes, for --scheme, --embeddings, --head and --rule:\n" + schemes() +
         "  Short names: 8, 7, 6, 5, 4, 3, 2; ternary or 1.58; binary or 1. Each may end in :tensor, :row or "
         ":group(n),\n"
         "  the elements that share a scale: 4:group(128), ternary:row.\n\n"
         "Layouts, how codes lie in a file; bnq takes the first that holds the tensor, those behind i8 when they are "
         "named:\n" +
         layouts() + "\nTargets, the program that is to run the model, for --target:\n" + targets() + examples;
}

std::string help_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  const std::string name = (parent == nullptr ? "" : parent->get_name() + " ") + app.get_name();
  std::string text = app.get_formatter()->make_help(&app, name, CLI::AppFormatMode::Normal);
  text.erase(text.find_last_not_of('\n') + 1);
  return text + "\n";
}

Verb add_help(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("help", "Show this text, or that of one verb");
  const auto about = std::make_shared<std::string>();
  verb->add_option("VERB", *about, "The verb to explain")->option_text(" ");
  return {verb, [&bnq, about] {
            if (about->empty()) return Outcome{help_of(bnq)};
            const auto found = bnq.get_subcommands([&](const CLI::App* other) { return other->get_name() == *about; });
            if (found.empty()) {
              throw Error(ErrorKind::invalid_argument,
                          "help: there is no such verb (got '" + printable(*about) + "'); `bnq --help` lists them");
            }
            return Outcome{help_of(*found.front())};
          }};
}

}  // namespace bnq::cli
