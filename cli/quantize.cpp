#include "run_options.h"
#include "text/plan_text.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/checkpoint.h>
#include <bnq/error.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bnq::cli {
namespace {

struct Arguments {
  std::string in;
  std::string out;
  QuantizeOptions options;
  std::vector<std::string> rule_texts;
  std::vector<std::string> keep_patterns;
  std::vector<std::string> only_patterns;
  bool dry_run = false;
  RunOptions run;
};

/// Empty for a number of bytes from 1, with or without a unit.
std::string size_problem(const std::string& text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  const bool is_number = !text.empty() && digits != 0 && std::min(digits, text.size()) <= 18;
  if (is_number && text.find_first_of("123456789") < std::min(digits, text.size())) return {};
  return "not a size (got '" + printable(text) + "', need a whole number from 1, as 5GB or 500MB)";
}

[[noreturn]] void usage(const std::string& message) {
  throw Error(ErrorKind::invalid_argument, "quantize: " + message);
}

/// 'PATTERN=SCHEME'. No scheme holds a '=', so a pattern may.
Rule parse_rule(const std::string& text) {
  const std::size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
    usage("--rule is not complete (got '" + printable(text) +
          "', need PATTERN=SCHEME or PATTERN=keep, e.g. '*.mlp.*=ternary')");
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

/// The rules in the order of the command line; --only stands before all of them.
std::vector<Rule> rules_of(const CLI::App& verb, const Arguments& arguments) {
  std::vector<Rule> rules;
  if (!arguments.only_patterns.empty()) rules.push_back({"*", "keep"});
  for (const std::string& pattern : arguments.only_patterns) rules.push_back({pattern, arguments.options.scheme});
  auto rule = arguments.rule_texts.begin();
  auto keep = arguments.keep_patterns.begin();
  for (const CLI::Option* option : verb.parse_order()) {
    if (option->check_lname("rule")) rules.push_back(parse_rule(*rule++));
    if (option->check_lname("keep")) rules.push_back({*keep++, "keep"});
  }
  return rules;
}

void check_out(const Arguments& arguments) {
  if (arguments.out.empty() && !arguments.dry_run) usage("OUT is missing; name the file to write, or use --dry-run");
  if (arguments.dry_run && !arguments.options.replace && !arguments.out.empty() &&
      std::filesystem::exists(std::filesystem::symlink_status(arguments.out))) {
    warn("quantize: " + printable(arguments.out) + " exists; without --dry-run this needs --force");
  }
}

Plan carry_out(const Arguments& arguments, QuantizeOptions options) {
  ProgressBar bar = arguments.run.start("quantizing");
  options.progress = bar.callback();
  if (arguments.dry_run) return plan_checkpoint(arguments.in, options);
  return quantize_checkpoint(arguments.in, arguments.out, options);
}

bool quantizes(const Plan& plan) {
  return std::ranges::any_of(plan.tensors, [](const PlannedTensor& tensor) { return tensor.scheme.has_value(); });
}

/// What the target is, and what it does otherwise. Float tensors were not held against it.
Facts target_facts(const Plan& plan) {
  if (plan.target.empty()) return {};
  if (!quantizes(plan)) return {{"runs in", plan.target + " if the input does: nothing is quantized"}};
  const std::string layout = plan.target_layout ? ", in layout " + std::string(plan.target_layout->name()) : "";
  Facts lines{{"runs in", plan.target + layout}};
  for (const std::string& note : plan.notes) lines.emplace_back("differs", note);
  return lines;
}

/// What is left to do for it.
Facts steps_for_target(const Plan& plan, const std::string& out) {
  if (plan.target.empty() || !quantizes(plan)) return {};
  switch (Target::parse(plan.target).reads()) {
    case Target::Reads::gguf:
      return {{"then", "`bnq convert " + printable(out) + " model.gguf --target " + plan.target + "`"}};
    case Target::Reads::operands:
      return {{"then", "bnq.load and bnq.pack in Python make what an operator of your graph takes"}};
    case Target::Reads::folder:
      break;
  }
  return {};
}

Facts joined(const std::vector<Facts>& parts) {
  Facts all;
  for (const Facts& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Outcome run(const CLI::App& verb, const Arguments& arguments) {
  QuantizeOptions options = arguments.options;
  options.rules = rules_of(verb, arguments);
  check_out(arguments);
  const Plan plan = carry_out(arguments, options);
  for (const std::string& warning : plan.warnings) warn(warning);
  if (arguments.run.json) return {to_json(plan) + "\n"};
  const Facts target = target_facts(plan);
  const Facts steps = steps_for_target(plan, arguments.out.empty() ? "OUT" : arguments.out);
  if (arguments.dry_run) {
    return {plan_table(plan) + "\n" + plan_totals(plan, joined({target, {{"dry run", "nothing was written"}}, steps}))};
  }
  const Facts done{{"written", printable(arguments.out)}, {"next", "`bnq verify IN OUT` measures the loss"}};
  return {plan_totals(plan, joined({target, done, steps}))};
}

/// An option that takes one value each time it is given.
void add_repeated(CLI::App& verb, const std::string& name, std::vector<std::string>& values, const std::string& about) {
  verb.add_option(name, values, about)->allow_extra_args(false);
}

void add_choices(CLI::App& verb, Arguments& arguments) {
  QuantizeOptions& options = arguments.options;
  verb.add_option("--scheme", options.scheme, "For linear weights; 8 unless given, all by `bnq --help`")
      ->type_name("SCHEME");
  verb.add_option("--embeddings", options.embeddings, "Also quantize embedding tables")->type_name("SCHEME");
  verb.add_option("--head", options.head, "Also quantize lm_head")->type_name("SCHEME");
  verb.add_option("--target", options.target, "The program that is to run it: what it cannot is refused")
      ->type_name("TARGET");
  verb.add_option("--plan", options.plan, "A saved plan, which decides for every tensor")->type_name("FILE");
  verb.add_option("--plan-out", options.plan_out, "Write the plan to this file, also with --dry-run")
      ->type_name("FILE");
  verb.add_option("--shard-size", options.shard_bytes, "Most bytes of a shard of an output folder; 5GB unless given")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Validator([](std::string& text) { return size_problem(text); }, ""))
      ->type_name("SIZE");
  add_repeated(verb, "--rule", arguments.rule_texts, "Tensors whose name matches get this scheme, or keep");
  add_repeated(verb, "--keep", arguments.keep_patterns, "Short for --rule 'PATTERN=keep'");
  add_repeated(verb, "--only", arguments.only_patterns,
               "Keep what does not match. Short for --rule '*=keep' and\n--rule 'PATTERN=<scheme>' before all others");
  for (const char* const other : {"--scheme", "--embeddings", "--head", "--rule", "--keep", "--only"}) {
    verb.get_option("--plan")->excludes(verb.get_option(other));
  }
  verb.get_option("--rule")->type_name("PATTERN=SCHEME");
  verb.get_option("--keep")->type_name("PATTERN");
  verb.get_option("--only")->type_name("PATTERN");
}

}  // namespace

Verb add_quantize(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("quantize", "Turn the float weights of a model into low-bit integers");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("IN", arguments->in, "A safetensors file, or a Hugging Face model folder")
      ->required()
      ->option_text(" ");
  verb->add_option("OUT", arguments->out, "The file or folder to write; may be left out with --dry-run")
      ->option_text(" ");
  add_choices(*verb, *arguments);
  verb->add_flag("--dry-run", arguments->dry_run, "Show what would be done and the exact sizes; write nothing");
  verb->add_flag(
      "--strict", arguments->options.strict,
      "Errors, not warnings: a rule that hits nothing, a folder that\ntransformers will not load, a layer that "
      "has to stay float");
  verb->add_flag(
      "--resume", arguments->options.resume,
      "Go on with a folder whose last run was cut off: finished\nshards are kept, now and if this run ends early");
  verb->add_flag("--force", arguments->options.replace, "Replace OUT if it exists; a folder only if bnq wrote it");
  arguments->run.add_to(*verb);
  verb->footer(
      "Patterns are shell wildcards over whole tensor names; put them in quotes: * is any text, ? one character,\n"
      "[abc] or [a-z] one of these, [!a] one that is not; no braces; \\* is the character itself. The last --rule\n"
      "or --keep that matches wins. Without a rule only linear weights are quantized. A rule, and --only, reaches\n"
      "whatever its pattern matches, biases and norms too; a pattern that ends in '.weight' leaves biases out.\n\n"
      "Examples:\n"
      "  bnq quantize model.safetensors small.safetensors --scheme 8 --embeddings 8\n"
      "  bnq quantize Llama-3.2-1B Llama-3.2-1B-int8 --scheme 8 --strict\n"
      "  bnq quantize Llama-3.2-1B Llama-3.2-1B-int8 --target vllm\n"
      "  bnq quantize model.safetensors small.safetensors --scheme 4 --keep '*.0.*' --rule '*.value.weight=8'\n"
      "  bnq quantize model.safetensors --scheme ternary --dry-run");
  return {verb, [verb, arguments] { return run(*verb, *arguments); }};
}

}  // namespace bnq::cli
