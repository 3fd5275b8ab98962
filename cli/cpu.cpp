#include "text/table.h"
#include "verb.h"

#include <bnq/cpu.h>
#include <bnq/threads.h>

#include <algorithm>
#include <iomanip>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::cli {
namespace {

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  std::ranges::transform(available_isas(), std::back_inserter(names), [](Isa isa) { return std::string(name(isa)); });
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

// A printable text between std::quoted's marks is a JSON string: nothing is left in it that JSON escapes otherwise.
std::string json_list(const std::vector<std::string>& words) {
  std::ostringstream out;
  out << "[";
  for (const std::string& word : words) out << (&word == words.data() ? "" : ",") << std::quoted(printable(word));
  out << "]";
  return out.str();
}

std::string as_json() {
  std::ostringstream out;
  out << "{\"schema\":\"bnq.cpu/1\",\"cpu\":" << std::quoted(printable(cpu_name()))
      << ",\"features\":" << json_list(cpu_features()) << ",\"instruction_sets\":" << json_list(isa_names())
      << ",\"active\":" << std::quoted(std::string(name(active_isa()))) << ",\"kernels\":" << json_list(kernel_names())
      << ",\"threads\":" << num_threads() << "}\n";
  return out.str();
}

std::string as_text() {
  Table kernels({{"", Table::Align::left}, {"", Table::Align::left}});
  for (const KernelStatus& kernel : kernel_statuses()) kernels.add({"  " + kernel.name, kernel.status});
  return facts({{"CPU", printable(cpu_name())},
                {"features", joined(cpu_features())},
                {"instruction sets", joined(isa_names()) + " (BNQ_ISA chooses one)"},
                {"active", std::string(name(active_isa()))},
                {"threads", std::to_string(num_threads()) + " (BNQ_NUM_THREADS sets it)"}}) +
         "kernels, best first\n" + kernels.text();
}

}  // namespace

Verb add_cpu(CLI::App& bnq) {
  CLI::App* verb = bnq.add_subcommand("cpu", "What this machine has, and which kernels bnq uses on it");
  const auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "Print one JSON document instead of text");
  return {verb, [json] { return Outcome{*json ? as_json() : as_text()}; }};
}

}  // namespace bnq::cli
