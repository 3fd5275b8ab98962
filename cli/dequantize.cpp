#include "run_options.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/checkpoint.h>
#include <bnq/error.h>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace bnq::cli {
namespace {

struct Arguments {
  std::string in;
  std::string out;
  std::string dtype;
  std::string scales;
  std::vector<std::string> gguf_types;
  bool force = false;
  RunOptions run;
};

std::optional<DType> target_dtype(const std::string& text) {
  if (text.empty()) return {};
  const std::optional<DType> dtype = parse_dtype(text);
  if (!dtype || !is_quantizable(*dtype)) {
    throw Error(ErrorKind::invalid_argument,
                "dequantize: --dtype is none that values can be written in (got '" + printable(text) +
                    "', need f32, f16 or bf16); leave it out to get the original dtypes back");
  }
  return dtype;
}

std::string as_json(const DequantizeResult& result) {
  std::ostringstream json;
  json << "{\"schema\":\"bnq.dequantize/1\",\"tensors\":" << result.tensors
       << ",\"saturated_values\":" << result.saturated_values << ",\"file_bytes_in\":" << result.file_bytes_in
       << ",\"file_bytes_out\":" << result.file_bytes_out << "}\n";
  return json.str();
}

std::string as_text(const DequantizeResult& result, const std::string& target, const std::string& out) {
  std::string done = count(static_cast<std::uint64_t>(result.tensors), "tensor") + " to " + target;
  if (result.saturated_values > 0) {
    done += ", " + count(static_cast<std::uint64_t>(result.saturated_values), "value") +
            " held at the largest finite number";
  }
  return facts({{"dequantized", done},
                {"file", change(result.file_bytes_in, result.file_bytes_out)},
                {"written", printable(out)}});
}

Outcome run(const Arguments& arguments) {
  const std::optional<DType> dtype = target_dtype(arguments.dtype);
  DequantizeResult result;
  {
    ProgressBar bar = arguments.run.start("dequantizing");
    result = dequantize_checkpoint(arguments.in, arguments.out,
                                   {.dtype = dtype,
                                    .replace = arguments.force,
                                    .convention = parse_scale_convention(arguments.scales),
                                    .gguf_types = arguments.gguf_types,
                                    .progress = bar.callback()});
  }
  if (arguments.run.json) return {as_json(result)};
  return {as_text(result, dtype ? std::string(name(*dtype)) : "the original dtypes", arguments.out)};
}

}  // namespace

Verb add_dequantize(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("dequantize", "Turn low-bit tensors back into floats");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("IN", arguments->in, "A low-bit safetensors or GGUF file, or model folder")
      ->required()
      ->option_text(" ");
  verb->add_option("OUT", arguments->out, "The file or folder to write")->required()->option_text(" ");
  verb->add_option("--dtype", arguments->dtype, "Write f32, f16 or bf16; without it each tensor's original dtype")
      ->type_name("DTYPE");
  verb->add_flag("--force", arguments->force, "Replace OUT if it exists");
  add_scales(*verb, arguments->scales);
  add_gguf_types(*verb, arguments->gguf_types);
  arguments->run.add_to(*verb);
  verb->footer("Example:\n  bnq dequantize small.safetensors floats.safetensors --dtype bf16");
  return {verb, [arguments] { return run(*arguments); }};
}

}  // namespace bnq::cli
