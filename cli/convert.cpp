#include "run_options.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/checkpoint.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bnq::cli {
namespace {

struct Arguments {
  std::string in;
  std::string out;
  std::string to;
  std::string target;
  std::string scales;
  std::vector<std::string> gguf_types;
  std::string pre_tokenizer;
  bool keep_names = false;
  bool strict = false;
  bool force = false;
  RunOptions run;
};

std::string scales_text(const ConvertResult& result) {
  if (result.scale_error == 0) return "exact";
  return "rounded by up to " + number("%.2g", 100 * result.scale_error) + " % (" + printable(result.worst_name) + ")";
}

std::string as_text(const ConvertResult& result, const Arguments& arguments) {
  Facts lines{{"converted", count(static_cast<std::uint64_t>(result.tensors), "tensor") + " to " +
                                std::string(result.layout->name())}};
  if (result.ternary_floats > 0) {
    lines.emplace_back("of these", count(static_cast<std::uint64_t>(result.ternary_floats), "float tensor") +
                                       " of -a, 0, +a alone, exactly");
  }
  lines.emplace_back("copied", count(static_cast<std::uint64_t>(result.copied), "tensor"));
  lines.emplace_back("scales", scales_text(result));
  lines.emplace_back("file", change(result.file_bytes_in, result.file_bytes_out));
  lines.emplace_back("written", printable(arguments.out));
  if (!arguments.target.empty()) lines.emplace_back("runs in", arguments.target);
  for (const std::string& note : result.notes) lines.emplace_back("differs", note);
  return facts(lines);
}

Outcome run(const Arguments& arguments) {
  const auto to = arguments.to.empty() ? std::nullopt : std::optional(Layout::parse(arguments.to));
  const auto target = arguments.target.empty() ? std::nullopt : std::optional(Target::parse(arguments.target));
  ConvertResult result;
  {
    ProgressBar bar = arguments.run.start("converting");
    result = convert_checkpoint(arguments.in, arguments.out,
                                {.to = to,
                                 .target = target,
                                 .strict = arguments.strict,
                                 .replace = arguments.force,
                                 .convention = parse_scale_convention(arguments.scales),
                                 .gguf_types = arguments.gguf_types,
                                 .keep_names = arguments.keep_names,
                                 .pre_tokenizer = arguments.pre_tokenizer,
                                 .progress = bar.callback()});
  }
  for (const std::string& warning : result.warnings) warn(warning);
  return {arguments.run.json ? to_json(result) + "\n" : as_text(result, arguments)};
}

}  // namespace

Verb add_convert(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("convert", "Put low-bit tensors into another layout; codes stay as they are");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("IN", arguments->in, "A low-bit safetensors or GGUF file, or model folder")
      ->required()
      ->option_text(" ");
  verb->add_option("OUT", arguments->out, "The file to write: GGUF where it ends in .gguf, else safetensors")
      ->required()
      ->option_text(" ");
  verb->add_option("--to", arguments->to, "The layout; all by `bnq --help`")->type_name("LAYOUT");
  verb->add_option("--target", arguments->target, "Or the program that is to read it, whose layout is taken")
      ->type_name("TARGET");
  verb->add_flag("--strict", arguments->strict, "An error when the layout would round a scale");
  verb->add_flag("--force", arguments->force, "Replace OUT if it exists");
  add_scales(*verb, arguments->scales);
  add_gguf_types(*verb, arguments->gguf_types);
  verb->add_flag("--keep-names", arguments->keep_names,
                 "Of a GGUF file: keep the names of tensors, and the order of rows");
  verb->add_option("--pre-tokenizer", arguments->pre_tokenizer, "For a GGUF file: tokenizer.ggml.pre")
      ->type_name("NAME");
  arguments->run.add_to(*verb);
  verb->footer(
      "Nothing is quantized: float tensors are copied, but for matrices that hold -a, 0, +a alone, which become\n"
      "exact codes.\n\n"
      "Example:\n  bnq convert small.safetensors other.safetensors --to i32_ct\n"
      "  bnq convert bitnet-folder model.gguf --to tq2_0\n"
      "  bnq convert bitnet-folder model.gguf --target llama.cpp");
  return {verb, [arguments] { return run(*arguments); }};
}

}  // namespace bnq::cli
