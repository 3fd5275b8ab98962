#include "run_options.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/checkpoint.h>

#include <algorithm>
#include <memory>
#include <string>

namespace bnq::cli {
namespace {

struct Arguments {
  std::string original;
  std::string quantized;
  Gates gates;
  std::string html;
  std::string scales;
  bool force = false;
  RunOptions run;
};

std::string decibel(double sqnr_db) { return sqnr_db > 1e9 ? "lossless" : number("%.2f", sqnr_db); }

std::string notes(const VerifiedTensor& tensor) {
  std::string text;
  const auto add = [&](const std::string& note) { text += (text.empty() ? "" : ", ") + note; };
  if (tensor.gate_missed) add("gate missed");
  if (!tensor.reproduced) add("not what bnq computes");
  return text;
}

std::string table_of(const Verification& verification) {
  using enum Table::Align;
  Table table({{"SQNR dB", right},
               {"cosine", right},
               {"max error", right},
               {"zeros", right},
               {"saturated", right},
               {"floored", right},
               {"bits/weight", right},
               {"scheme", left},
               {"notes", left},
               {"name", left}});
  bool empty = true;
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (!tensor.report) continue;
    const Report& report = *tensor.report;
    table.add({decibel(report.sqnr_db), number("%.6f", report.cosine), number("%.3g", report.max_abs_error),
               percent(report.zero_share), percent(report.saturated_share),
               grouped(static_cast<std::uint64_t>(report.floored_granules)), number("%.2f", report.bits_per_weight),
               tensor.scheme ? tensor.scheme->to_string() : "", notes(tensor), name_text(tensor.name)});
    empty = false;
  }
  return empty ? "" : table.text();
}

std::string differences(const Verification& verification) {
  std::string text;
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (tensor.report || tensor.reproduced) continue;
    text += (tensor.scheme ? "made from another dtype or shape: " : "copy differs: ") + name_text(tensor.name) + "\n";
  }
  for (const std::string& name : verification.missing) text += "missing: " + name_text(name) + "\n";
  for (const std::string& name : verification.extra) text += "extra: " + name_text(name) + "\n";
  return text;
}

std::string tensors_text(const Verification& verification) {
  const auto& tensors = verification.tensors;
  const auto is_copy = [](const VerifiedTensor& t) { return !t.scheme; };
  const auto tally = [&](auto&& which) { return static_cast<std::uint64_t>(std::ranges::count_if(tensors, which)); };
  const std::uint64_t copies = tally(is_copy);
  const std::uint64_t changed = tally([&](const VerifiedTensor& t) { return is_copy(t) && !t.reproduced; });
  const std::uint64_t lossless = tally([](const VerifiedTensor& t) { return t.report && t.report->lossless; });
  std::string text = grouped(tensors.size() - copies) + " quantized (" + grouped(lossless) + " lossless), " +
                     grouped(copies) + " copied (" + (changed == 0 ? "all equal" : grouped(changed) + " differ") + ")";
  if (!verification.missing.empty()) text += ", " + grouped(verification.missing.size()) + " missing";
  if (!verification.extra.empty()) text += ", " + grouped(verification.extra.size()) + " extra";
  return text;
}

bool holds_quantized(const Verification& verification) {
  return std::ranges::any_of(verification.tensors, [](const VerifiedTensor& t) { return t.scheme.has_value(); });
}

std::string reproduced_text(const Verification& verification) {
  if (!holds_quantized(verification)) return "";
  if (verification.is_foreign) return "not looked for: another program has rules of its own";
  return verification.reproduced ? "yes: quantizing the original again gives the same codes and scales"
                                 : "no: these are not the codes that bnq computes from this original";
}

std::string gates_text(const Arguments& arguments, const Verification& verification) {
  std::string asked;
  if (arguments.gates.min_sqnr_db) asked += "SQNR >= " + number("%g", *arguments.gates.min_sqnr_db) + " dB";
  if (arguments.gates.min_cosine) {
    asked += (asked.empty() ? "" : ", ") + ("cosine >= " + number("%g", *arguments.gates.min_cosine));
  }
  if (asked.empty()) return "";
  if (!holds_quantized(verification)) return asked + ": not met, nothing is quantized";
  const auto missed = std::ranges::count_if(verification.tensors, &VerifiedTensor::gate_missed);
  return asked + ": " + (missed == 0 ? "met" : "missed by " + count(static_cast<std::uint64_t>(missed), "tensor"));
}

/// At most ten lines, so that the end of the output is the answer.
std::string summary(const Arguments& arguments, const Verification& verification) {
  Facts lines;
  lines.emplace_back("tensors", tensors_text(verification));
  lines.emplace_back("file", change(verification.file_bytes_before, verification.file_bytes_after) +
                                 ", everything counted, embeddings too");
  if (verification.worst_sqnr_db) {
    const std::string worst = decibel(*verification.worst_sqnr_db);
    lines.emplace_back("worst SQNR", worst + (worst == "lossless" ? "" : " dB  " + name_text(verification.worst_name)));
  }
  if (verification.median_sqnr_db) {
    const std::string median = decibel(*verification.median_sqnr_db);
    lines.emplace_back("median SQNR", median + (median == "lossless" ? "" : " dB"));
  }
  const std::string reproduced = reproduced_text(verification);
  if (!reproduced.empty()) lines.emplace_back("reproduced", reproduced);
  const std::string gates = gates_text(arguments, verification);
  if (!gates.empty()) lines.emplace_back("gates", gates);
  return facts(lines) + "\n" + printable(verification.verdict) + "\n";
}

Outcome run(const Arguments& arguments) {
  Verification verification;
  {
    ProgressBar bar = arguments.run.start("comparing");
    verification = verify_checkpoint(arguments.original, arguments.quantized, arguments.gates, bar.callback(),
                                     parse_scale_convention(arguments.scales));
  }
  if (!arguments.html.empty()) {
    save_html_report(arguments.html, arguments.original, arguments.quantized, verification, arguments.force);
  }
  const ExitCode code = verification.gates_met ? exit_ok : exit_gate;
  if (arguments.run.json) return {to_json(verification) + "\n", code};
  std::string text;
  for (const std::string& block :
       {table_of(verification), differences(verification), summary(arguments, verification)}) {
    text += (text.empty() || block.empty() ? "" : "\n") + block;
  }
  return {text, code};
}

}  // namespace

Verb add_verify(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("verify", "Compare a low-bit model with the original, tensor by tensor");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("ORIGINAL", arguments->original, "The float file or folder")->required()->option_text(" ");
  verb->add_option("QUANTIZED", arguments->quantized, "What `bnq quantize`, or another program, made of it")
      ->required()
      ->option_text(" ");
  verb->add_option("--min-sqnr", arguments->gates.min_sqnr_db, "Exit 3 if a tensor has a smaller SQNR")
      ->type_name("DB")
      ->check(real_number());
  verb->add_option("--min-cosine", arguments->gates.min_cosine, "Exit 3 if a tensor has a smaller cosine")
      ->type_name("C")
      ->check(real_number());
  verb->add_option("--html", arguments->html, "Also write a page with pictures to this file")->type_name("FILE");
  verb->add_flag("--force", arguments->force, "Replace the page if it exists");
  add_scales(*verb, arguments->scales);
  arguments->run.add_to(*verb);
  verb->footer(
      "SQNR = 10 log10(sum w^2 / sum (w - v)^2) in dB, w the original and v what the codes mean; 6 dB are a bit.\n"
      "Example:\n  bnq verify model.safetensors small.safetensors --min-sqnr 30 && echo good enough");
  return {verb, [arguments] { return run(*arguments); }};
}

}  // namespace bnq::cli
