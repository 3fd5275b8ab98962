#include "bench/layer_bench.h"
#include "run_options.h"
#include "text/table.h"
#include "verb.h"

#include <bnq/cpu.h>
#include <bnq/error.h>
#include <bnq/roofs.h>
#include <bnq/threads.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace bnq::cli {
namespace {

constexpr std::array<std::int64_t, 5> token_counts{1, 8, 32, 128, 512};
constexpr std::array schemes{"ternary", "8"};

struct Arguments {
  std::string shape = "4096x4096";
  RunOptions run;
};

/// One line of the answer. No seconds: a call would take too long here.
struct Row {
  std::string scheme;
  std::int64_t tokens;
  std::optional<double> seconds;
  double gmac_per_s;
  double read_gb_per_s;  ///< of weights
};

struct Answer {
  LayerShape shape;
  Roofs roofs;
  std::vector<Row> rows;
  std::vector<std::string> explanations;
};

std::optional<LayerShape> parse_shape(const std::string& text) {
  constexpr std::int64_t most = 1 << 16;
  LayerShape shape{};
  const char* const end = text.data() + text.size();
  const auto outputs = std::from_chars(text.data(), end, shape.outputs);
  if (outputs.ec != std::errc() || outputs.ptr == end || *outputs.ptr != 'x') return std::nullopt;
  const auto depth = std::from_chars(outputs.ptr + 1, end, shape.depth);
  const bool whole = depth.ec == std::errc() && depth.ptr == end;
  if (!whole || shape.outputs < 1 || shape.outputs > most || shape.depth < 1 || shape.depth > most) return std::nullopt;
  return shape;
}

CLI::Validator layer_shape() {
  return {[](const std::string& text) {
            return parse_shape(text) ? "" : refusal(text, "OUTPUTSxDEPTH, each from 1 to 65536, like 4096x4096");
          },
          ""};
}

Row row_of(const std::string& scheme, std::int64_t tokens, LayerRing& ring) {
  const std::optional<double> seconds = ring.seconds(tokens);
  if (!seconds) return {scheme, tokens, {}, 0, 0};
  return {scheme, tokens, seconds, ring.products(tokens) / *seconds / 1e9, ring.weight_bytes() / *seconds / 1e9};
}

/// Of the nearer roof. More tokens than one keep their weights in the cache.
double share(const Row& row, const Roofs& roofs) {
  const double of_read = row.tokens == 1 ? row.read_gb_per_s / roofs.read_gb_per_s : 0;
  return std::max(of_read, row.gmac_per_s / roofs.int8_gmac_per_s);
}

/// The machine may be slowed down for a moment by others: what it did better at counts.
Roofs better(const Roofs& a, const Roofs& b) {
  return {a.isa, a.threads, std::max(a.read_gb_per_s, b.read_gb_per_s), std::max(a.int8_gmac_per_s, b.int8_gmac_per_s)};
}

Answer measure(const LayerShape& shape) {
  Answer answer{shape, measure_roofs(num_threads()), {}, {}};
  for (const char* scheme : schemes) {
    LayerRing ring(shape, scheme);
    answer.explanations.push_back(ring.explain());
    for (const std::int64_t tokens : token_counts) answer.rows.push_back(row_of(scheme, tokens, ring));
    answer.roofs = better(answer.roofs, measure_roofs(num_threads()));
  }
  return answer;
}

std::string as_text(const Answer& answer) {
  using enum Table::Align;
  Table table({{"scheme", left},
               {"tokens", right},
               {"µs a call", right},
               {"GMAC/s", right},
               {"weights GB/s", right},
               {"of the roof", right}});
  for (const Row& row : answer.rows) {
    if (!row.seconds) {
      table.add({row.scheme, std::to_string(row.tokens), "too slow", "", "", ""});
      continue;
    }
    table.add({row.scheme, std::to_string(row.tokens), number("%.1f", *row.seconds * 1e6),
               number("%.1f", row.gmac_per_s), number("%.1f", row.read_gb_per_s), percent(share(row, answer.roofs))});
  }
  const std::string shape = std::to_string(answer.shape.outputs) + " x " + std::to_string(answer.shape.depth);
  std::string text = facts({{"CPU", printable(cpu_name())},
                            {"instruction set", std::string(name(answer.roofs.isa))},
                            {"threads", std::to_string(answer.roofs.threads)},
                            {"memory read", number("%.1f GB/s", answer.roofs.read_gb_per_s)},
                            {"int8 peak", number("%.1f GMAC/s", answer.roofs.int8_gmac_per_s)},
                            {"layer", shape + ", float32 in and out"}});
  text += "\n" + table.text() +
          "\nOne token reads its weights from memory, and its roof is that; more keep them in the cache.\n\n";
  for (const std::string& explanation : answer.explanations) text += explanation;
  return text;
}

std::string as_json(const Answer& answer) {
  std::ostringstream out;
  out << "{\"schema\":\"bnq.bench/1\",\"cpu\":" << std::quoted(printable(cpu_name())) << ",\"instruction_set\":\""
      << name(answer.roofs.isa) << "\",\"threads\":" << answer.roofs.threads
      << ",\"read_gb_per_s\":" << answer.roofs.read_gb_per_s << ",\"int8_gmac_per_s\":" << answer.roofs.int8_gmac_per_s
      << ",\"shape\":[" << answer.shape.outputs << "," << answer.shape.depth << "],\"rows\":[";
  for (const Row& row : answer.rows) {
    out << (&row == answer.rows.data() ? "" : ",") << "{\"scheme\":\"" << row.scheme << "\",\"tokens\":" << row.tokens;
    if (row.seconds) {
      out << ",\"seconds\":" << *row.seconds << ",\"gmac_per_s\":" << row.gmac_per_s
          << ",\"weights_gb_per_s\":" << row.read_gb_per_s << ",\"roof_share\":" << share(row, answer.roofs);
    }
    out << "}";
  }
  out << "]}\n";
  return out.str();
}

Outcome run(const Arguments& arguments) {
  const LayerShape shape = *parse_shape(arguments.shape);
  arguments.run.set_threads();
  let_interrupts_end();
  const Answer answer = measure(shape);
  return {arguments.run.json ? as_json(answer) : as_text(answer)};
}

}  // namespace

Verb add_bench(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("bench", "Measure how fast layers run here, against what this machine can do");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("--shape", arguments->shape, "OUTPUTSxDEPTH of the layer that is timed (4096x4096)")
      ->type_name("NxK")
      ->check(layer_shape());
  arguments->run.add_without_bar(*verb);
  verb->footer(
      "Takes some 10 seconds. Other work on the machine makes all figures smaller, the roofs too; run it twice.\n"
      "BNQ_ISA=avx2 or scalar shows what older CPUs get.");
  return {verb, [arguments] { return run(*arguments); }};
}

}  // namespace bnq::cli
