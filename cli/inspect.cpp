#include "run_options.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/checkpoint.h>

#include <memory>
#include <string>
#include <vector>

namespace bnq::cli {
namespace {

struct Arguments {
  std::string file;
  std::string scales;
  std::vector<std::string> gguf_types;
  RunOptions run;
};

std::string notes(const InspectedTensor& tensor) {
  std::string text;
  const auto add = [&](const std::string& note) { text += (text.empty() ? "" : ", ") + note; };
  if (tensor.nan_count > 0) add("NaN: " + grouped(static_cast<std::uint64_t>(tensor.nan_count)));
  if (tensor.inf_count > 0) add("infinite: " + grouped(static_cast<std::uint64_t>(tensor.inf_count)));
  if (tensor.all_zero) add("all zero");
  if (tensor.already_ternary) add("already ternary");
  return text;
}

std::string bits_per_weight(const InspectedTensor& tensor) {
  const std::int64_t elements = element_count(tensor.shape);
  if (!tensor.scheme || elements == 0) return "";
  return number("%.2f", 8 * static_cast<double>(tensor.nbytes) / static_cast<double>(elements));
}

std::string table_of(const Inspection& inspection) {
  using enum Table::Align;
  Table table({{"dtype", left},
               {"shape", left},
               {"bytes", right},
               {"scheme", left},
               {"layout", left},
               {"bits/weight", right},
               {"min", right},
               {"max", right},
               {"zeros", right},
               {"notes", left},
               {"name", left}});
  for (const InspectedTensor& tensor : inspection.tensors) {
    table.add({std::string(name(tensor.dtype)), to_string(tensor.shape), grouped(tensor.nbytes),
               tensor.scheme ? tensor.scheme->to_string() : "", tensor.layout ? std::string(tensor.layout->name()) : "",
               bits_per_weight(tensor), tensor.minimum ? number("%.4g", *tensor.minimum) : "",
               tensor.maximum ? number("%.4g", *tensor.maximum) : "",
               tensor.zero_share ? percent(*tensor.zero_share) : "", notes(tensor), name_text(tensor.name)});
  }
  return table.text();
}

std::string as_text(const std::string& file, const Inspection& inspection) {
  std::string head =
      printable(file) + ": " + bytes_text(inspection.file_bytes) + ", " + count(inspection.tensors.size(), "tensor");
  if (!inspection.written_by.empty()) head += ", written by " + printable(inspection.written_by);
  if (!inspection.unread.empty()) {
    head += "\nnot read: " + inspection.unread + "; what follows are parts of quantized tensors, not their values";
  }
  return head + "\n\n" + table_of(inspection);
}

Outcome run(const Arguments& arguments) {
  Inspection inspection;
  {
    ProgressBar bar = arguments.run.start("reading");
    inspection = inspect_checkpoint(arguments.file, bar.callback(), parse_scale_convention(arguments.scales),
                                    arguments.gguf_types);
  }
  return {arguments.run.json ? to_json(inspection) + "\n" : as_text(arguments.file, inspection)};
}

}  // namespace

Verb add_inspect(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("inspect", "Show what is in a file: dtypes, shapes, ranges, zeros, NaN");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("FILE", arguments->file, "A safetensors or GGUF file, or model folder, low-bit or not")
      ->required()
      ->option_text(" ");
  add_scales(*verb, arguments->scales);
  add_gguf_types(*verb, arguments->gguf_types);
  arguments->run.add_to(*verb);
  verb->footer(
      "Notes in the table: all zero; already ternary (only -a, 0, +a: BitNet weights, lossless as ternary);\n"
      "NaN and infinite (how many; such a tensor cannot be quantized).");
  return {verb, [arguments] { return run(*arguments); }};
}

}  // namespace bnq::cli
